import numpy as np
import pytest

from trigger_ml.instrument.digicam import digicam
from trigger_ml.trigger.digital_sum import cluster_tail, decide, least_light, patch_counts
from trigger_ml.trigger.registry import trigger


@pytest.fixture(scope="module")
def patches():
    return digicam().patches


def by_hand(waveform, patches, first, last):
    """Largest cluster sum at every sample, with NumPy and Python's own sets."""
    sums = np.zeros((len(patches), last - first))
    np.add.at(sums, patches.patch_of_pixel, waveform[:, first:last].astype(float))
    clipped = np.clip(np.floor(sums), 0, 255)
    return np.max(
        [clipped[[p for p in cluster if p >= 0]].sum(axis=0) for cluster in patches.cluster], axis=0
    )


def test_peak_is_the_clipped_sum(patches):
    waveform = np.zeros((1296, 50), np.float32)
    inner = next(p for p in range(432) if (patches.cluster[p] >= 0).all())
    for patch in patches.cluster[inner]:
        waveform[patches.patch_of_pixel == patch, 20] = 10.0
    assert decide(waveform, patches, 210.0, 0, 50) == (True, 20, 7 * 30)
    assert decide(waveform, patches, 210.5, 0, 50) == (False, -1, 7 * 30)
    assert decide(waveform, patches, 1.0, 21, 50) == (False, -1, 0)
    waveform[patches.patch_of_pixel == inner, 20] = 1000.0
    assert decide(waveform, patches, 1.0, 0, 50).peak == 255 + 6 * 30
    waveform[:, 20] *= -1
    assert decide(waveform, patches, 1.0, 0, 50).peak == 0


@pytest.mark.parametrize("window", [(0, 50), (8, 40)])
def test_decision_is_that_of_sums_by_hand(patches, window, rng):
    waveform = rng.normal(0, 4, (1296, 50)).astype(np.float32)
    waveform[rng.choice(1296, 30), rng.choice(50, 30)] += 200
    expected = by_hand(waveform, patches, *window)
    peak = expected.max()
    for threshold in (0.0, np.median(expected), peak, peak + 1):
        found = decide(waveform, patches, float(threshold), *window)
        reached = np.flatnonzero(expected >= threshold)
        assert found == (len(reached) > 0, window[0] + reached[0] if len(reached) else -1, peak)


def test_counts_and_tail_are_those_of_patches(patches, rng):
    waveform = rng.normal(0, 4, (1296, 50)).astype(np.float32)
    counts = patch_counts(waveform, patches, 8, 40)
    assert counts.shape == (256,)
    assert counts.sum() == 432 * 32
    sums = np.zeros((432, 32))
    np.add.at(sums, patches.patch_of_pixel, waveform[:, 8:40].astype(float))
    assert counts[0] == (sums < 1).sum()
    assert counts[7] == ((sums >= 7) & (sums < 8)).sum()
    # the mean of seven independent patches is seven times one's
    tail = cluster_tail(counts)
    assert tail[1:].sum() == pytest.approx(7 * (counts * np.arange(256)).sum() / counts.sum())


def test_a_bright_sky_leaves_less_for_light_to_do(patches, rng):
    dark = [np.zeros((1296, 50), np.float32)] * 2
    assert least_light(200.0, (), patches, 8, 40) == least_light(200.0, dark, patches, 8, 40) == 90.0
    bright = [np.full((1296, 50), 7.0, np.float32)] * 2
    # seven patches of 21 counts, without a fluctuation
    assert least_light(200.0, bright, patches, 8, 40) == pytest.approx(200 - 147)
    flickering = [np.full((1296, 50), level, np.float32) for level in (6.0, 8.0)]
    assert least_light(200.0, flickering, patches, 8, 40) == pytest.approx(200 - 147 - 3.5 * np.sqrt(7) * 3)


def test_it_is_the_default():
    assert trigger().decide is decide
    assert trigger("digital-sum").noise is not None
