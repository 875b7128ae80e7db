from dataclasses import replace

import numpy as np
import pytest

from trigger_ml.core.config import NuisancesConfig, SimulationConfig
from trigger_ml.simulation import threshold
from trigger_ml.simulation.nuisances import Nuisances
from trigger_ml.simulation.threshold import LIVE, Scan, Threshold, scan, threshold_at
from trigger_ml.trigger.digital_sum import cluster_tail


def nuisances(night_sky, gain=1.0):
    return Nuisances(night_sky, gain, 0.0, 1.0, 0.0, 0.0, 0.0, 0.2)


def test_cluster_tail_is_that_of_seven_patches(rng):
    patch = np.zeros(256, dtype=np.int64)
    patch[[0, 3, 10]] = 70, 20, 10
    tail = cluster_tail(patch)
    drawn = rng.choice([0, 3, 10], size=(200_000, 7), p=[0.7, 0.2, 0.1]).sum(axis=1)
    for at in (1, 6, 20, 30):
        share = (drawn >= at).mean()
        assert tail[at] == pytest.approx(share, abs=4 * np.sqrt(share / 200_000))
    # far beyond what can be drawn: all seven at ten
    assert tail[70] == pytest.approx(1e-7, rel=1e-6)
    assert np.all(tail[71:] < 1e-20)


@pytest.mark.parametrize("rate", [0.04, 0.2])
def test_counted_rate_is_the_one_asked_for(telescope, rate):
    """A threshold from 400 windows, judged by 3,000 others at a rate that the 400 could not count."""
    parts = replace(telescope.nominal, rate=rate)
    few = scan(np.random.default_rng(1), telescope, parts, 400)
    wanted = 5e4
    at = threshold_at(few, wanted)
    # 2.6 of 400 windows: the extrapolation is at work
    assert (few.maxima >= at).sum() < threshold.LEAST_COUNT
    many = scan(np.random.default_rng(2), telescope, parts, 3000).maxima
    expected = 3000 * -np.expm1(-wanted * LIVE)
    # 19 expected; beside their own fluctuation the fit's
    assert 0.4 * expected < (many >= at).sum() < 2.0 * expected


def test_too_few_windows_are_refused():
    with pytest.raises(ValueError, match="too few"):
        threshold_at(Scan(np.arange(5.0), cluster_tail(np.ones(256, dtype=np.int64))), 100.0)


def test_threshold_grows_with_night_sky_and_gain_and_falls_with_the_rate(telescope, monkeypatch):
    monkeypatch.setattr(threshold, "N_WINDOWS", 200)
    monkeypatch.setattr(threshold, "NODES", 4)
    varied = NuisancesConfig(night_sky=(0.03, 0.25))
    rare, often = (
        Threshold(SimulationConfig(nuisances=varied, accidental_rate=rate), telescope) for rate in (50, 1000)
    )
    values = [rare.at(nuisances(night_sky)) for night_sky in np.geomspace(0.03, 0.25, 15)]
    assert np.all(np.diff(values) > 0)
    assert values[-1] > 1.5 * values[0]
    for night_sky in (0.03, 0.1, 0.25):
        assert often.at(nuisances(night_sky)) < rare.at(nuisances(night_sky))
    assert rare.at(nuisances(0.1, gain=1.1)) == pytest.approx(1.1 * rare.at(nuisances(0.1)))


def test_threshold_is_fixed_without_a_rate(telescope):
    fixed = Threshold(SimulationConfig(trigger_threshold=321.0), telescope)
    assert fixed.at(nuisances(0.03)) == fixed.at(nuisances(0.2, gain=1.1)) == 321.0


def test_one_night_sky_needs_one_scan(telescope, monkeypatch):
    monkeypatch.setattr(threshold, "N_WINDOWS", 200)
    single = Threshold(SimulationConfig(nsb_rate=0.1, accidental_rate=100), telescope)
    assert 150 < single.at(nuisances(0.1)) < 260
