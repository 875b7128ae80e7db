"""Multiplicity and clustering against counting by hand and scikit-learn's DBSCAN."""

import math

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from trigger_ml.instrument.digicam import digicam
from trigger_ml.instrument.patches import patches_of_three
from trigger_ml.simulation import electronics
from trigger_ml.simulation.threshold import LIVE, Scan, threshold_at
from trigger_ml.trigger import flower_sum, neighbours
from trigger_ml.trigger.registry import TRIGGERS, trigger

PATCHES = digicam().patches
NAMES = ("flower-sum", *neighbours.MULTIPLICITIES, "clustering")


@pytest.fixture
def waveform(rng):
    found = rng.normal(2, 4, (1296, 50)).astype(np.float32)
    lit = np.isin(PATCHES.patch_of_pixel, PATCHES.cluster[200])
    found[lit, 20:25] += rng.uniform(0, 30, (lit.sum(), 5)).astype(np.float32)
    return found


def sums_of(waveform, first, last):
    sums = np.zeros((432, last - first))
    np.add.at(sums, PATCHES.patch_of_pixel, waveform[:, first:last].astype(float))
    return np.clip(np.floor(sums), 0, 255)


def cores(sums, threshold, least, span):
    """Core points (patch, sample) that scikit-learn finds among the patches that reach the threshold."""
    geometry = digicam().geometry
    _, position = patches_of_three(geometry.pix_x.value, geometry.pix_y.value)
    patch, sample = np.nonzero(sums >= threshold)
    if len(patch) == 0:
        return np.zeros((0, 2), int)
    apart = np.hypot(*(position[patch][:, np.newaxis] - position[patch]).transpose(2, 0, 1)) / math.sqrt(3)
    later = np.abs(sample[:, np.newaxis] - sample)
    distance = np.maximum(apart, later / span if span else np.where(later > 0, 9.0, 0.0))
    found = DBSCAN(eps=1.05, min_samples=least, metric="precomputed").fit(distance).core_sample_indices_
    return np.stack([patch, sample], axis=1)[found]


@pytest.mark.parametrize("name", [*neighbours.MULTIPLICITIES, "clustering"])
@pytest.mark.parametrize("window", [(0, 50), (12, 30)])
def test_it_fires_when_scikit_learn_finds_a_core(waveform, name, window):
    least = neighbours.MULTIPLICITIES.get(name, neighbours.CLUSTERING_LEAST)
    span = neighbours.CLUSTERING_SPAN if name == "clustering" else 0
    sums = sums_of(waveform, *window)
    peak = trigger(name).decide(waveform, PATCHES, math.inf, *window).peak
    assert 5 < peak < 255
    for threshold in (peak - 12, peak - 3, peak, peak + 1):
        found = trigger(name).decide(waveform, PATCHES, threshold, *window)
        expected = cores(sums, threshold, least, span)
        assert found.fires == (len(expected) > 0) == (threshold <= peak)
        assert found.sample == (window[0] + expected[:, 1].min() if len(expected) else -1)
        assert found.peak == peak


def test_flowers_are_sums_of_nineteen(waveform):
    sums = sums_of(waveform, 8, 40)
    expected = np.max(
        [sums[[p for p in members if p >= 0]].sum(axis=0) for members in PATCHES.cluster_19], axis=0
    )
    peak = expected.max()
    for threshold in (0.0, float(np.median(expected)), peak, peak + 1):
        found = flower_sum.decide(waveform, PATCHES, threshold, 8, 40)
        reached = np.flatnonzero(expected >= threshold)
        assert found == (len(reached) > 0, 8 + reached[0] if len(reached) else -1, peak)


@pytest.mark.parametrize("name", NAMES)
def test_dead_and_saturated_cameras_are_judged(name):
    decide = trigger(name).decide
    dark = np.zeros((1296, 50), np.float32)
    assert decide(dark, PATCHES, 1.0, 0, 50) == (False, -1, 0)
    full = np.full((1296, 50), 4095, np.float32)
    size = 19 if name == "flower-sum" else 1
    assert decide(full, PATCHES, 255.0, 0, 50) == (True, 0, 255.0 * size)
    # one pixel alone is no neighbourhood
    dark[700, 20] = 4095
    expected = 255.0 if name == "flower-sum" else 0.0
    assert decide(dark, PATCHES, math.inf, 0, 50).peak == expected


@pytest.mark.parametrize("name", [name for name in NAMES if name != "clustering"])
def test_the_tail_is_that_of_independent_patches(name, rng):
    """Patches drawn independently: how often one place exceeds each threshold, counted."""
    counts = np.bincount(rng.poisson(12, 4_000_000), minlength=256)[:256]
    tail = trigger(name).noise.probability(counts)
    assert tail[0] == pytest.approx(1)
    assert (np.diff(tail) <= 1e-12).all()
    drawn = rng.poisson(12, (400_000, 19 if name == "flower-sum" else 7))
    if name == "flower-sum":
        value = drawn.sum(axis=1)
    else:
        least = neighbours.MULTIPLICITIES[name]
        value = np.minimum(drawn[:, 0], np.sort(drawn, axis=1)[:, -least])
    for part in (0.5, 0.9, 0.99, 0.999):
        threshold = int(np.quantile(value, part))
        counted = (value >= threshold).mean()
        assert tail[threshold] == pytest.approx(counted, abs=4 * math.sqrt(counted / len(value)), rel=0.01)


def test_all_can_be_set_to_one_rate(rng):
    """Of windows of noise, a threshold for a rate lets through what a count of the windows says."""
    first, last = electronics.SEARCH
    windows = rng.normal(3, 4, (300, 1296, last - first)).astype(np.float32)
    part = 0.15
    error = 4 * math.sqrt(part * (1 - part) / len(windows))
    for name in NAMES:
        algorithm = trigger(name)
        if algorithm.noise is None:
            continue
        decisions = [algorithm.decide(w, PATCHES, math.inf, 0, last - first) for w in windows]
        maxima = np.array([decision.peak for decision in decisions])
        counts = sum(algorithm.noise.count(w, PATCHES, 0, last - first) for w in windows)
        found = threshold_at(Scan(maxima, algorithm.noise.probability(counts)), -math.log1p(-part) / LIVE)
        # thresholds that whole counts can have lie around it
        assert (maxima >= math.ceil(found)).mean() < part + error
        assert (maxima >= math.floor(found)).mean() > part - error


def test_they_are_in_the_registry():
    assert TRIGGERS.names()[: 1 + len(NAMES)] == ["digital-sum", *NAMES]
