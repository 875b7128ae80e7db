"""The comparison of simulated hadrons with recorded images: its weights, its detector, its statistics."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from trigger_ml.instrument import sst1m
from trigger_ml.simulation import telescope

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts():
    """The benchmark's modules by name; they import each other as when they are run."""
    names = ("hadron_photons", "hadron_detector", "hadrons", "recorded_logits")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        return {name: importlib.import_module(name) for name in names}


def test_weights_make_the_flux(scripts, rng):
    photons = scripts["hadron_photons"]
    energy = photons.energy_of(rng.random(400_000))
    core = photons.core_of(rng.random(400_000))
    assert energy.min() >= 1
    assert energy.max() <= 1000
    for group, (norm, index, part) in enumerate(photons.GROUPS.values()):
        weight = photons.weight(group, energy, core) * part

        def integral(low, high, norm=norm, index=index):
            return norm * (high ** (index + 1) - low ** (index + 1)) / (index + 1)

        above = weight[energy > 10].sum() / weight.sum()
        assert above == pytest.approx(integral(10, 1000) / integral(1, 1000), rel=0.03)
        # even on the ground
        assert weight[core < 400].sum() / weight.sum() == pytest.approx(0.25, rel=0.03)
    totals = [(photons.weight(g, energy, core) * p[2]).sum() for g, p in enumerate(photons.GROUPS.values())]
    expected = [p[0] / (-p[1] - 1) for p in photons.GROUPS.values()]
    np.testing.assert_allclose(np.array(totals) / totals[0], np.array(expected) / expected[0], rtol=0.02)


def test_a_shard_is_the_same_again(scripts, maker, atmosphere, monkeypatch):
    photons = scripts["hadron_photons"]
    monkeypatch.setattr(photons, "SHOWERS", 3)
    monkeypatch.setattr(photons, "SITE", 2150.0)
    monkeypatch.setattr(photons, "energy_of", lambda u: 10.0 + u)
    monkeypatch.setattr(photons, "core_of", lambda u: 50.0 + 100 * u)
    monkeypatch.setattr(photons, "CONE", math.radians(1))
    tel = telescope.Telescope(photons.digicam(), atmosphere, photons.ALTITUDE, 0.0, 0.1, 270.0, seed=4)
    rows, kept = photons.make_shard(7, tel, maker)
    again, _ = photons.make_shard(7, tel, maker)
    np.testing.assert_array_equal(rows, again)
    assert len(rows) > 10
    assert np.isin(rows[:, 0], [21, 22, 23]).all()
    light = rows[:, photons.COLUMNS.index("light")]
    # light beside the camera is kept too
    assert (np.array([len(k) for k in kept]) >= light).all()
    assert (light >= photons.LEAST).all()


@pytest.fixture(scope="module")
def spot():
    """Light of one point at the camera's centre, in the units of the store."""
    return np.zeros((20_000, 3), np.int16)


def centroid_and_spread(detector, pixel):
    place = detector.optics.pixels[pixel]
    return place.mean(axis=0), place.std(axis=0)


def test_blur_is_as_wide_as_it_says(scripts, spot):
    module = scripts["hadron_detector"]
    wide = module.Detector(module.Variant(point_spread=0.5))
    pixel, _ = wide.photo_electrons(spot)
    _, spread = centroid_and_spread(wide, pixel)
    blur = math.radians(0.5) * sst1m.FOCAL_LENGTH
    # a pixel's own size adds to it: hexagons of 24.3 mm have 6.4 mm along each axis
    np.testing.assert_allclose(spread, math.hypot(blur, 0.0243 * math.sqrt(5 / 72)), rtol=0.02)
    stray = module.Detector(module.Variant(stray=0.3, stray_spread=0.5))
    _, part = centroid_and_spread(stray, stray.photo_electrons(spot)[0])
    np.testing.assert_allclose(part, math.sqrt(0.3) * spread, rtol=0.05)


def test_light_is_kept_copied_and_delayed_by_its_part(scripts, spot):
    module = scripts["hadron_detector"]
    nominal = module.Detector(module.Variant())
    pixel, _ = nominal.photo_electrons(spot)
    (centre,) = np.unique(pixel)
    assert len(pixel) == pytest.approx(len(spot) / 1.2 * nominal.parts.efficiency[centre], rel=0.02)
    beside, _ = module.Detector(module.Variant(neighbours=0.2)).photo_electrons(spot)
    counts = np.bincount(beside, minlength=1296)
    ring = nominal.optics.neighbours[centre]
    assert counts[ring].sum() == pytest.approx(0.2 * counts[centre], rel=0.05)
    assert counts.sum() == counts[centre] + counts[ring].sum()
    _, late = module.Detector(module.Variant(tail=0.5, tail_time=30.0)).photo_electrons(spot)
    assert (late > 0).sum() == pytest.approx(0.5 * (late == 0).sum(), rel=0.05)
    assert late[late > 0].mean() == pytest.approx(30.0, rel=0.05)
    ceiling = module.Detector(module.Variant(ceiling=900.0))
    assert ceiling.waveform(np.full(5000, centre), np.full(5000, 40.0)).max() == 900.0


def test_model_is_given_the_recorded_sizes(scripts, rng):
    module = scripts["hadrons"]
    real = 150 * rng.pareto(1.5, 4000) + 150
    table = {"size": 150 * rng.pareto(0.8, 3000) + 150, "weight": rng.random(3000)}
    weight = module.size_matched(real, table)
    for low, high in zip(module.FINE, module.FINE[1:], strict=False):
        inside = (table["size"] >= low) & (table["size"] < high)
        assert weight[inside].sum() == pytest.approx(((real >= low) & (real < high)).sum())
    # three showers, one of them worth the two others
    assert module.effective(np.array([1.0, 1, 1, 1]), np.array([0, 1, 2, 2])) == pytest.approx(16 / 6)
    assert module.median(np.array([3.0, 1, 2]), np.array([1.0, 1, 5])) == 2


def fake(rng, n, shift):
    """Tables that differ in the width alone, by ``shift`` standard deviations."""
    names = ("skewness", "kurtosis", "length", "pixels", "leakage", "first", "two", "five", "above30")
    table = {name: rng.standard_normal(n) for name in names}
    table["size"] = 150 * rng.pareto(1.5, n) + 150
    table["width"] = rng.standard_normal(n) + shift
    return table | {"shower": np.arange(n) // 3, "weight": np.ones(n)}


@pytest.mark.slow
def test_trees_find_a_difference_and_none_where_there_is_none(scripts, rng):
    module = scripts["hadrons"]
    real = fake(rng, 1500, 0.0)
    for shift, expected in ((0.0, 0.5), (1.0, 0.76)):
        table = fake(rng, 1500, shift)
        label, score, weight, *_ = module.scores(real, table)
        # two normal distributions a standard deviation apart have an area of 0.76
        assert roc_auc_score(label, score, sample_weight=weight) == pytest.approx(expected, abs=0.045)


def test_kolmogorov_distance_is_the_known_one(scripts, rng):
    module = scripts["recorded_logits"]
    one, two = rng.normal(0, 1, 300), rng.normal(0.3, 1, 500)
    even = np.ones(300), np.ones(500)
    assert module.kolmogorov(one, even[0], two, even[1]) == pytest.approx(ks_2samp(one, two).statistic)
    # a weight of two is the same event twice
    twice = np.concatenate([two, two[:100]])
    weight = np.where(np.arange(500) < 100, 2.0, 1.0)
    assert module.kolmogorov(one, even[0], two, weight) == pytest.approx(ks_2samp(one, twice).statistic)
    result = module.compare(rng, one, two, np.full(500, 1 / 500), np.arange(500))
    assert result["expected"] == pytest.approx(0.87 * math.sqrt(1 / 300 + 1 / 500), rel=0.15)
    assert result["distance"] == pytest.approx(ks_2samp(one, two).statistic)


def test_noise_is_put_where_no_light_is(scripts, rng):
    module = scripts["recorded_logits"]
    dark = rng.normal(3, 1, (50, 4)).astype(np.float32)
    images = np.zeros((2000, 4), np.float32)
    images[:, 1] = 100.0
    noisy = module.with_noise(rng, images, dark)
    assert noisy[:, 1] == pytest.approx(100 * (1 - sst1m.CROSS_TALK))
    for pixel in (0, 2, 3):
        assert np.isin(noisy[:, pixel], np.maximum(dark[:, pixel], 0)).all()
        assert noisy[:, pixel].mean() == pytest.approx(np.maximum(dark[:, pixel], 0).mean(), abs=0.1)
