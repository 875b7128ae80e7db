"""The comparisons of docs/simulation.md, with tolerances."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from ctapipe.coordinates import TelescopeFrame

from trigger_ml.instrument.digicam import digicam, sst1m_subarray
from trigger_ml.simulation.atmosphere import atmosphere_above
from trigger_ml.simulation.geometry import sky_direction
from trigger_ml.simulation.shower import ShowerMaker

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "validate_simulation.py"


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    specification = importlib.util.spec_from_file_location("validate_simulation", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    # as when it is run: its own folder comes first
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        specification.loader.exec_module(module)
    # figures of a test run do not replace the documented ones
    module.FIGURES = tmp_path_factory.mktemp("figures")
    return module


def test_noise_is_the_cameras(script, shared_data, rng):
    result = script.noise(shared_data, rng)
    # one number, the night-sky rate, is fitted to the variance; the shape in time and the spread must follow
    assert 0.1 < result["fitted_rate_per_ns"] < 0.3
    assert result["largest_difference"] < 0.05
    assert abs(result["mean_adc_above_baseline"]) < 0.3
    real, model = result["pixel_sigma_percentiles_16_50_84"]
    np.testing.assert_allclose(model, real, rtol=0.07)


@pytest.mark.parametrize("energy", [0.5, 2.0])
def test_gamma_depth_of_maximum_follows_cascade_theory(rng, energy):
    maker = ShowerMaker(atmosphere_above(0.0), np.zeros(3), 5e-3)
    axis = -sky_direction(math.radians(60), 0.0)
    depth = np.array([maker.make(rng, "gamma", energy, axis).x_max for _ in range(120)])
    expected = 36.62 * (math.log(energy * 1e6 / 86.0) + 0.5)
    assert abs(depth.mean() - expected) < 25 + 2 * depth.std() / math.sqrt(len(depth))


def test_protons_fluctuate_more_than_gammas(rng, maker, axis):
    spread = {
        name: np.std([maker.make(rng, name, 2.0, axis).x_max for _ in range(60)])
        for name in ("gamma", "proton")
    }
    assert spread["proton"] > 1.3 * spread["gamma"]


def test_light_is_proportional_to_energy(rng, maker, axis):
    light = []
    for energy, count in ((0.3, 25), (3.0, 12), (10.0, 8)):
        total = [maker.make(rng, "gamma", energy, axis).segments[:, 8].sum() for _ in range(count)]
        light.append(np.mean(total) / energy)
    assert light[1:] == pytest.approx([light[0]] * 2, rel=0.1)


def test_a_time_gradient_does_not_depend_on_what_was_fitted_before(script, rng):
    geometry = sst1m_subarray().tel[1].camera.geometry.transform_to(TelescopeFrame())
    x, y = geometry.pix_x.to_value("deg"), geometry.pix_y.to_value("deg")
    charge = 200 * np.exp(-0.5 * (((x - 1) / 0.6) ** 2 + (y / 0.2) ** 2))
    # times without a straight line have many good fits, between which the first draws choose
    times = rng.normal(40, 10, (6, len(x)))
    first, second = (
        [script.measure(geometry, charge, time, (0.0, 0.0), 100.0).gradient for time in times]
        for _ in range(2)
    )
    assert first == second


@pytest.fixture(scope="module")
def prod4_file(script, shared_data):
    return script.simulation_trigger.read_prod4(shared_data / "sst1m-prod4-simtel" / script.SIMTEL)


def test_the_file_triggered_where_prod4s_sum_says(script, prod4_file):
    part = script.simulation_trigger
    sums = part.Sums()
    recorded = np.array([sums.prod4(w - part.PEDESTAL) for w in prod4_file.waveforms.values()])
    reached = recorded.max(axis=1) >= part.THRESHOLD
    assert reached.sum() >= 128
    first = 3 + (recorded[reached] >= part.THRESHOLD).argmax(axis=1)
    # the file's own configuration: the readout starts 18 samples before the trigger
    assert np.isin(first, [17, 18, 19]).all()
    assert (first == 18).mean() > 0.9


def test_the_same_photo_electrons_trigger_the_same_telescopes(script, prod4_file, rng):
    part = script.simulation_trigger
    telescope = part.Telescope(
        digicam(), atmosphere_above(2150.0), math.radians(70), 0.0, part.NSB_RATE, 270.0, 5
    )
    telescope.renew_sky(rng)
    sums = part.Sums()
    kept = {event for event, _ in prod4_file.waveforms}
    keys = [key for key in prod4_file.light if key[0] in kept]
    assert len(keys) == 366
    theirs = np.array([key in prod4_file.waveforms for key in keys])
    fired = np.array([part.decisions(rng, telescope, sums, *prod4_file.light[key]) for key in keys])
    assert fired[:, 0].sum() == pytest.approx(theirs.sum(), rel=0.1)
    assert (fired[:, 0] == theirs).mean() > 0.93
    # the hardware's sum at the product's threshold is the stricter: the whole of the difference of triggers
    assert fired[:, 1].sum() == pytest.approx(0.67 * theirs.sum(), rel=0.1)


@pytest.mark.slow
def test_gammas_against_sim_telarray(script, shared_data, rng):
    # fewer repeats, and the fluctuations of our own showers move the medians by more than the bounds
    result = script.prod4(shared_data, rng, repeats=24)["quantities"]
    for name in ("size", "length", "width", "source", "true_size"):
        assert np.all(np.abs(np.array(result[name]["ratio"]) - 1) < 0.25), (name, result[name])
    # the gradient passes through zero near the core, where a ratio means nothing
    assert np.all(np.abs(np.array(result["gradient"]["ratio"][1:]) - 1) < 0.2), result["gradient"]
    assert abs(result["gradient"]["difference"][0]) < 0.5


@pytest.mark.slow
def test_protons_against_recorded_images(script, shared_data, rng):
    result = script.real_images(shared_data, rng)
    print(json.dumps(result))
    for name in ("width", "length"):
        hadron, gamma = result["distance"][name]["hadron"], result["distance"][name]["gamma"]
        assert hadron["ks"] < 0.2
        assert gamma["ks"] > hadron["ks"] + 0.1
        assert hadron["median_ratio"] == pytest.approx(1, abs=0.2)
