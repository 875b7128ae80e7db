import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trigger_ml.trigger.baseline import (
    AS_BUILT,
    RunningMean,
    Spread,
    bounds,
    estimate,
    running_baseline,
    spread,
)


@settings(max_examples=30)
@given(st.integers(0, 6), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_the_running_mean_is_the_mean_of_the_samples_before(shift, delay, seed):
    stream = np.random.default_rng(seed).integers(0, 4096, (2, 90))
    rule = RunningMean(shift, delay)
    window = 1 << shift
    baseline, total = running_baseline(stream, rule)
    first = window + delay - 1
    assert baseline.shape == total.shape == (2, 90 - first)
    for k in range(first, 90):
        newest = k - delay
        chosen = stream[:, newest - window + 1 : newest + 1]
        np.testing.assert_array_equal(total[:, k - first], chosen.sum(axis=1))
        np.testing.assert_array_equal(baseline[:, k - first], chosen.sum(axis=1) // window)


def test_a_stream_without_a_whole_mean_is_refused():
    with pytest.raises(ValueError, match="no mean of 1024"):
        running_baseline(np.zeros((1, 1029)))
    assert running_baseline(np.zeros((1, 1030)))[0].shape == (1, 1)


def windows(rng, n, noise=5.0, rule=AS_BUILT):
    """Windows cut from streams, with true baselines, and what the camera would write."""
    first = (1 << rule.shift) + rule.delay - 1
    level = rng.uniform(200, 220, (n, 1))
    stream = rng.normal(level, noise, (n, first + 50)).round().astype(np.int32)
    baseline, total = running_baseline(stream, rule)
    return stream[:, first:], baseline, total[:, rule.recorded_at] >> (rule.shift - 4)


def test_the_guess_is_exact_at_the_recorded_sample(rng):
    samples, truth, recorded = windows(rng, 500)
    found = estimate(samples, recorded, 1 / 16)
    np.testing.assert_array_equal(found[:, 6], truth[:, 6])
    assert np.abs(found - truth).max() <= 1
    # better than the recorded baseline for all of the window
    frozen = np.broadcast_to(truth[:, 6:7], truth.shape)
    assert (found == truth).mean() > (frozen == truth).mean()


def test_the_guess_follows_what_the_file_holds(rng):
    """Where what leaves is the mean, exactly, the guess is the baseline: nothing else is unknown."""
    n = 50
    stream = np.full((3, 1024 + 6 + n - 1), 100, np.int32)
    stream[:, -n:] += rng.integers(-90, 900, (3, n), dtype=np.int32)
    baseline, total = running_baseline(stream)
    # the first sample of the window is in the recorded sum: it never leaves it in the window
    found = estimate(stream[:, -n:], total[:, 6], 1 / 1024)
    mean = total[:, 6] / 1024
    np.testing.assert_allclose(
        found, np.floor(baseline - (mean[:, np.newaxis] - 100) * (np.arange(n) - 6) / 1024), atol=1
    )
    np.testing.assert_array_equal(found[:, 6], baseline[:, 6])


def test_bounds_hold_the_truth_and_no_more_than_they_must(rng):
    samples, truth, recorded = windows(rng, 400)
    known = Spread(np.sqrt(np.arange(51.0)) * 5 * np.ones((400, 1)))
    low, high = bounds(samples, recorded, 1 / 16, known, 5.0)
    assert ((low <= truth) & (truth <= high)).all()
    np.testing.assert_array_equal(low[:, 6], high[:, 6])
    # 5 spreads of a sum of 43 samples: 164 of 1024
    assert (high - low).max() <= 1
    assert 0.6 < (low == high).mean() < 0.9
    narrow = bounds(samples, recorded, 1 / 16, known, 0.5)
    assert not ((narrow[0] <= truth) & (truth <= narrow[1])).all()
    # another rule is found out
    wrong = bounds(samples, recorded, 1 / 16, known, 5.0, RunningMean(recorded_at=20))
    assert not ((wrong[0] <= truth) & (truth <= wrong[1])).all()


def test_the_spread_is_that_of_sums_and_no_shower_moves_it(rng):
    samples = rng.normal(300, 8, (60, 20, 50)).round().astype(np.int32)
    recorded = np.full((60, 20), 300 * 16)
    found = spread(samples, recorded, 1 / 16).of_sum
    assert found.shape == (20, 51)
    assert found[:, 0].max() == 0
    np.testing.assert_allclose(np.median(found[:, 1:], axis=0), 8 * np.sqrt(np.arange(1, 51)), rtol=0.2)
    samples[::10, 5] += 2000
    assert spread(samples, recorded, 1 / 16).of_sum[5, 50] < 1.5 * found[5, 50] + 1
