"""The steps that made the recorded images, against the images themselves and against what they must do."""

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

from trigger_ml.instrument.digicam import sst1m_subarray

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "recorded_pipeline.py"


@pytest.fixture(scope="module")
def script():
    specification = importlib.util.spec_from_file_location("recorded_pipeline", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def geometry():
    return sst1m_subarray().tel[1].camera.geometry


def test_the_file_shows_the_steps(script, geometry, shared_data):
    with h5py.File(shared_data / "digicam-real-images" / "images.h5") as file:
        facts = script.facts(file["image"][:], geometry)
    assert facts["never_lit"] == script.SWITCHED_OFF.tolist()
    # two fifths lie below the lower cut, and nearly all of them beside a pixel above it: one row was added
    assert facts["below_boundary"] > 0.4
    assert facts["within_a_row"] > 0.998
    assert facts["least_brightest_pixel"] > script.PICTURE
    assert facts["least_size"] == pytest.approx(script.LEAST_SIZE, abs=0.01)
    # seven samples cannot hold more than 12 bits each
    assert 0.8 * 7 * 4095 < facts["largest_sum_of_samples"] < 7 * 4095


def pulse(geometry, charges, sample=11):
    waveforms = np.zeros((1, geometry.n_pixels, 50))
    for pixel, charge in charges.items():
        waveforms[0, pixel, sample - 1 : sample + 2] = charge * 23 / 3
    return waveforms


def test_tail_cuts_and_the_row_around(script, geometry):
    centre = int(np.hypot(geometry.pix_x, geometry.pix_y).argmin())
    one, two = (int(n) for n in geometry.neighbors[centre][:2])
    spread = np.full(geometry.n_pixels, 1.0)
    image = script.images(pulse(geometry, {centre: 40, one: 18, two: 5}), spread, geometry)[0]
    assert image[[centre, one, two]] == pytest.approx([40, 18, 5])
    # alone a pixel is not enough
    assert not script.images(pulse(geometry, {centre: 40, two: 5}), spread, geometry).any()


def test_late_pulses_and_pixels_switched_off_are_lost(script, geometry):
    centre = int(np.hypot(geometry.pix_x, geometry.pix_y).argmin())
    pair = {centre: 40, int(geometry.neighbors[centre][0]): 40}
    spread = np.full(geometry.n_pixels, 1.0)
    assert not script.images(pulse(geometry, pair, sample=30), spread, geometry).any()
    off = int(script.SWITCHED_OFF[20])
    beside = [int(n) for n in geometry.neighbors[off]]
    image = script.images(pulse(geometry, dict.fromkeys([off, *beside], 40)), spread, geometry)[0]
    assert image[off] == 0
