import numpy as np
import pytest
from recorded_trigger import PATCHES

from trigger_ml.trigger.digital_sum import decide
from trigger_ml.trigger.level0 import Level0, cluster_sums, patch_traces


@pytest.fixture
def window(rng):
    samples = rng.normal(300, 5, (1296, 50)).round().astype(np.int32)
    samples[rng.choice(1296, 60), rng.choice(50, 60)] += 300
    return samples, np.full((1296, 50), 299, np.int32)


def test_sums_are_those_by_hand(window):
    samples, baseline = window
    sums = np.zeros((432, 50), int)
    np.add.at(sums, PATCHES.patch_of_pixel, samples - baseline)
    traces = patch_traces(samples, baseline, PATCHES.patch_of_pixel, 432)
    assert traces.dtype == np.uint8
    np.testing.assert_array_equal(traces, np.clip(sums, 0, 255))
    assert (sums > 255).any()
    assert (sums < 0).any()
    for cluster in (PATCHES.cluster, PATCHES.cluster_19):
        expected = [traces[[p for p in members if p >= 0]].sum(axis=0, dtype=int) for members in cluster]
        np.testing.assert_array_equal(cluster_sums(traces, cluster), expected)


def test_pixels_are_clipped_before_they_are_summed(window):
    samples, baseline = window
    traces = patch_traces(samples, baseline, PATCHES.patch_of_pixel, 432, 30)
    assert traces.max() <= 90
    sums = np.zeros((432, 50), int)
    np.add.at(sums, PATCHES.patch_of_pixel, np.minimum(samples - baseline, 30))
    np.testing.assert_array_equal(traces, np.clip(sums, 0, 255))


def test_it_is_the_simulation_s_trigger_on_whole_counts(window):
    samples, baseline = window
    above = (samples - baseline).astype(np.float32)
    for threshold in (1, 100, 330, 5000):
        answer = Level0(PATCHES, threshold).judge(samples, baseline)
        expected = decide(above, PATCHES, float(threshold), 0, 50)
        assert (answer.fires, answer.sample) == (expected.fires, expected.sample)
    assert 0 < Level0(PATCHES, 330).judge(samples, baseline).patch7.sum() < 432 * 50


def test_either_size_of_clusters_fires(window):
    samples, baseline = window
    none = Level0(PATCHES, None).judge(samples, baseline)
    assert not none.fires
    large = Level0(PATCHES, None, 400).judge(samples, baseline)
    assert large.fires
    assert not large.patch7.any()
    np.testing.assert_array_equal(large.patch19, cluster_sums(large.traces, PATCHES.cluster_19) >= 400)
    both = Level0(PATCHES, 330, 400).judge(samples, baseline)
    at = (both.patch7 | both.patch19).any(axis=0)
    assert both.sample == at.argmax()


def test_dead_and_saturated_pixels_do_no_more_than_their_patch(window):
    samples, baseline = window
    # a dead pixel delivers its baseline, or nothing at all
    samples[10], samples[500], samples[900] = 299, 0, 4095
    traces = patch_traces(samples, baseline, PATCHES.patch_of_pixel, 432)
    assert (traces[PATCHES.patch_of_pixel[500]] == 0).all()
    assert (traces[PATCHES.patch_of_pixel[900]] == 255).all()
    assert cluster_sums(traces, PATCHES.cluster).max() <= 7 * 255
