import math

import numpy as np
import pytest
from scipy.special import i0e

from trigger_ml.simulation import cherenkov
from trigger_ml.simulation.cherenkov import TABLE_STEP, expected
from trigger_ml.simulation.electromagnetic import SEGMENT_COLUMNS
from trigger_ml.simulation.geometry import camera_axes

UP = camera_axes(math.pi / 2, 0.0)
DOWN = np.array([0.0, 0.0, -1.0])


@pytest.fixture
def table(atmosphere):
    """One photo-electron for every photon of 300 to 500 nm, no absorption."""
    heights = np.arange(0, 60e3, TABLE_STEP)
    wavelength = np.linspace(300, 500, 101)
    return cherenkov.light_table(
        heights, atmosphere.depth(heights), atmosphere.refractivity(heights),
        np.ones((len(heights), len(wavelength))), wavelength, np.ones_like(wavelength),
    )  # fmt: skip


def segment(sigma, sine=0.02, height=8000.0, length=100.0):
    row = np.zeros((1, SEGMENT_COLUMNS), np.float32)
    row[0, 2], row[0, 5], row[0, 6], row[0, 7] = height, -1.0, length, sine
    row[0, 8], row[0, 9] = length * sine**2, sigma**2
    return row


def test_frank_tamm(table):
    # 370 photons per eV and cm times sin^2: 1.653 eV between 300 and 500 nm
    assert table[0, 0] == pytest.approx(369.8 * (1239.84 / 300 - 1239.84 / 500) * 100, rel=1e-3)


@pytest.mark.parametrize("x", [0.0, 0.5, 3.7, 3.8, 30.0])
def test_bessel(x):
    assert cherenkov._bessel_i0e(x) == pytest.approx(i0e(x), rel=1e-5)


@pytest.mark.parametrize("sigma", [0.003, 0.02, 0.1])
def test_all_light_lands_somewhere(table, sigma):
    """The mean light per area, integrated over a sphere around the emission, is all the light."""
    row = segment(sigma)[0]
    total = float(row[8]) * table[int(8000 / TABLE_STEP), 0]
    angles = np.linspace(1e-4, min(0.02 + 5 * sigma, 1.2), 4000)
    distance = 6000.0
    received = 0.0
    density = np.array(
        [
            expected(row, np.array([distance * math.sin(a), 0.0, 8000 - distance * math.cos(a)]), table, 1e-3)
            / 1e-3
            for a in angles
        ]
    )
    received = np.trapezoid(density * 2 * math.pi * distance**2 * np.sin(angles), angles)
    # the density is per small angle: tangents in place of angles, and tails beyond the cut at 4.2 sigma
    assert received == pytest.approx(total, rel=0.03)


def test_electron_light_has_the_expected_mean(table, rng, telescope):
    row = segment(0.02, length=200.0)
    row[0, 8] *= 100
    position = np.array([150.0, 0.0, 2150.0])
    mean = expected(row[0], position, table, 9.4)
    facets = telescope.optics.facets
    counts = []
    for _ in range(400):
        photons, count = cherenkov.electron_light(
            rng, row, 1, position, UP, DOWN, table, 9.4, facets, 0.78, 0.2, np.empty((16, 5)), 0
        )
        counts.append(count)
    assert np.mean(counts) == pytest.approx(mean, abs=4 * math.sqrt(mean / 400))
    # the direction to the segment; at the zenith increasing altitude is towards negative x
    assert photons[:count, 0].mean() == pytest.approx(150 / 5850, abs=1e-3)
    assert np.abs(photons[:count, 3:]).max() < 2.1


def test_light_outside_the_view_is_dropped(table, rng, telescope):
    row = segment(0.2, length=2000.0)
    row[0, 8] *= 1000
    photons = np.empty((16, 5))
    arguments = (
        rng,
        row,
        1,
        np.array([1500.0, 0.0, 2150.0]),
        UP,
        DOWN,
        table,
        9.4,
        telescope.optics.facets,
        0.78,
    )
    assert cherenkov.electron_light(*arguments, 0.3, photons, 0)[1] > 0
    assert cherenkov.electron_light(*arguments, 0.1, photons, 0)[1] == 0


def muon(x, height=5000.0):
    track = np.zeros((1, cherenkov.TRACK_COLUMNS))
    track[0] = x, 0, height, 0, 0, -1, height - 2150, (105.7 / 20e3) ** 2, 0, 0, 1
    return track


def test_muon_through_the_mirror_makes_a_ring(table, rng, telescope):
    position = np.array([0.0, 0.0, 2150.0])
    photons, count = cherenkov.track_light(
        rng, muon(0.5), 1, position, UP, DOWN, table, 2.0, np.empty((64, 5)), 0
    )
    radius = np.hypot(photons[:count, 0], photons[:count, 1])
    ground = 2 * table[int(2150 / TABLE_STEP), 2] - (105.7 / 20e3) ** 2
    assert np.median(radius) == pytest.approx(math.sqrt(ground), rel=0.02)
    # all azimuths: the muon is inside the mirror
    assert np.histogram(np.arctan2(photons[:count, 1], photons[:count, 0]), 8)[0].min() > 0
    # a disc of radius R takes all light of the last R / sin of path, averaged over azimuth by chords from
    # 0.5 m
    angle = np.linspace(0, 2 * np.pi, 1000)
    chord = -0.5 * np.cos(angle) + np.sqrt(4 - (0.5 * np.sin(angle)) ** 2)
    mean = table[int(2150 / TABLE_STEP), 0] * ground * chord.mean() / math.sqrt(ground)
    assert count == pytest.approx(mean, rel=0.05)


def test_distant_muon_makes_an_arc(table, rng):
    position = np.array([0.0, 0.0, 2150.0])
    photons, count = cherenkov.track_light(
        rng, muon(20.0), 1, position, UP, DOWN, table, 2.0, np.empty((64, 5)), 0
    )
    assert count > 5
    assert photons[:count, 0].max() < -0.01
    assert np.abs(photons[:count, 1]).max() < 0.01


def test_both_methods_agree_on_a_straight_track(table, rng):
    """The same track as electron segments and as a muon: mean light at 100 m."""
    position = np.array([100.0, 0.0, 2150.0])
    sigma = 0.002
    track = muon(0.0, height=9000.0)
    track[0, 8] = sigma**2
    counts = [
        cherenkov.track_light(rng, track, 1, position, UP, DOWN, table, 1.73, np.empty((64, 5)), 0)[1]
        for _ in range(300)
    ]
    total = 0.0
    for height in np.arange(2160, 9000, 20.0):
        sine2 = 2 * table[int(height / TABLE_STEP), 2] - (105.7 / 20e3) ** 2
        total += expected(
            segment(sigma, math.sqrt(sine2), height, 20.0)[0], position, table, math.pi * 1.73**2
        )
    assert np.mean(counts) == pytest.approx(total, rel=0.07)


def test_light_arrives_in_order_of_optical_path(table, rng, telescope):
    """A vertical shower overhead: light from below arrives first, since the particle outruns it."""
    position = np.array([0.0, 0.0, 2150.0])
    times = {}
    for height in (4000.0, 10000.0):
        row = segment(0.005, sine=0.01, height=height, length=500.0)
        row[0, 8] *= 100
        photons, count = cherenkov.electron_light(
            rng, row, 1, position, UP, DOWN, table, 9.4,
            telescope.optics.facets, 0.78, 0.2, np.empty((64, 5)), 0,
        )  # fmt: skip
        times[height] = np.median(photons[:count, 2])
    assert 0.3 < times[10000.0] - times[4000.0] < 6.0
