import math

import numpy as np
import pytest

from trigger_ml.simulation.shower import Shower, depth_of_maximum
from trigger_ml.simulation.telescope import light_table

POSITION = np.array([0.0, 100.0, 2150.0])


def test_expectation_is_the_mean_of_the_light(telescope, maker, rng, axis):
    shower = maker.make(rng, "gamma", 2.0, axis)
    expected = telescope.expectation(shower, POSITION)
    counts = [len(telescope.photo_electrons(rng, shower, POSITION)[0]) for _ in range(25)]
    # the table counts photons before the pixels' efficiencies (1 / 1.2); some fall beside facets and pixels
    assert np.mean(counts) == pytest.approx(expected / 1.2, rel=0.05)


def test_gamma_image_points_at_its_source(telescope, maker, axis):
    """The shower comes from the centre of the camera: the image's long axis passes it."""
    rng = np.random.default_rng(3)
    misses, distances = [], []
    for _ in range(6):
        shower = maker.make(rng, "gamma", 8.0, axis)
        pixel, _ = telescope.photo_electrons(rng, shower, np.array([0.0, 150.0, 2150.0]))
        x, y = telescope.optics.pixels[pixel].T
        # only the core of the image
        near = np.hypot(x - np.median(x), y - np.median(y)) < 0.1
        x, y = x[near], y[near]
        values, vectors = np.linalg.eigh(np.cov(x, y))
        assert values[1] > 2 * values[0]
        across = vectors[:, 0]
        misses.append(abs(across @ [x.mean(), y.mean()]))
        distances.append(math.hypot(x.mean(), y.mean()))
        # the telescope stands west of the core: light comes from the east, larger azimuth
        assert y.mean() > 0
    assert np.median(misses) < 0.02
    # 150 m over some 8 km: about a degree
    assert 0.05 < np.median(distances) < 0.2


def test_bright_showers_trigger_and_dim_ones_do_not(telescope, maker, axis):
    rng = np.random.default_rng(6)
    bright = maker.make(rng, "gamma", 5.0, axis)
    image = telescope.observe(rng, bright, POSITION)
    assert image is not None
    assert image.charge.shape == image.true_image.shape == (1296,)
    assert image.waveform.shape == (1296, 50)
    assert image.true_image.sum() > 300
    lit = image.true_image > 30
    np.testing.assert_allclose(image.charge[lit].sum(), image.true_image[lit].sum(), rtol=0.15)
    # the window is placed on the trigger
    assert 50 < np.median(image.peak_time[lit]) < 110
    dim = maker.make(rng, "gamma", 0.05, axis)
    assert telescope.observe(rng, dim, np.array([0.0, 300.0, 2150.0])) is None


def test_waveform_sums_to_the_charge(telescope, maker, axis):
    rng = np.random.default_rng(6)
    image = None
    while image is None:
        image = telescope.observe(rng, maker.make(rng, "gamma", 5.0, axis), POSITION)
    peak = image.waveform.argmax(axis=1)
    pixel = int(image.charge.argmax())
    window = image.waveform[pixel, peak[pixel] - 3 : peak[pixel] + 4].sum()
    assert window * telescope.electronics.correction == pytest.approx(image.charge[pixel], rel=1e-4)


def test_light_table_falls_with_height(atmosphere):
    table = light_table(atmosphere, math.radians(20))
    low, high = table[int(3000 / 50), 0], table[int(15000 / 50), 0]
    assert 0.4 * low < high < 0.8 * low


def test_empty_shower_is_no_event(telescope, rng, axis):
    nothing = Shower(np.empty((0, 12), np.float32), np.empty((0, 11)), axis, 1e4, math.nan, np.zeros(10))
    assert telescope.observe(rng, nothing, POSITION) is None


def test_depth_of_maximum():
    depth = np.arange(110) * 10 + 5.0
    profile = np.exp(-0.5 * ((depth - 333) / 120) ** 2)
    assert depth_of_maximum(profile) == pytest.approx(333, abs=1.0)
    assert math.isnan(depth_of_maximum(np.zeros(20)))
    assert depth_of_maximum(np.eye(1, 20)[0]) == pytest.approx(5.0)
