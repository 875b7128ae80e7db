"""Bins of light: the energy that a gamma of equal light has, and what it does to the response."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import evaluate_pair
from pyirf.spectral import IRFDOC_PROTON_SPECTRUM
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation.bookkeeping import Simulated
from trigger_ml.evaluation.events import EvaluationEvents, energy_bins, observed_bins
from trigger_ml.evaluation.light import fit_light_energy

CONFIG = EvaluationConfig(bootstrap=20)
LESS = 2.6  # light of a gamma over that of a proton of its energy
GAMMA = Simulated("gamma", 60_000, 0.3, 100.0, -2.0, 500.0)
PROTON = Simulated("proton", 400_000, 0.5, 300.0, -2.0, 500.0, view_cone=6.0)


def test_the_relation_of_a_power_law_is_found_and_continued():
    rng = np.random.default_rng(1)
    energy = 10 ** rng.uniform(0, 1, 4000)
    light = fit_light_energy(100 * energy**1.2 * np.exp(rng.normal(0, 0.1, 4000)), energy)
    sizes = np.array([150.0, 400.0, 1200.0])
    np.testing.assert_allclose(light(sizes), (sizes / 100) ** (1 / 1.2), rtol=0.06)
    # beyond the gammas it goes on as a power law
    assert light([1e5])[0] == pytest.approx(1000 ** (1 / 1.2), rel=0.4)
    assert np.isnan(light([0.0, -3.0, np.nan])).all()


@settings(max_examples=50)
@given(st.integers(1, 400), st.integers(0, 10**6), st.floats(0.0, 3.0))
def test_more_light_is_never_less_energy(n, seed, scatter):
    rng = np.random.default_rng(seed)
    energy = 10 ** rng.uniform(-1, 2, n)
    light = fit_light_energy(80 * energy * np.exp(rng.normal(0, scatter, n)), energy)
    estimate = light(np.geomspace(0.1, 1e7, 300))
    assert np.isfinite(estimate).all()
    assert (np.diff(estimate) >= 0).all()
    assert estimate[-1] > estimate[0]


def test_gammas_without_light_are_no_relation():
    with pytest.raises(InputError, match="none has light"):
        fit_light_energy([0.0, 0.0], [1.0, 2.0])


def test_bins_hold_what_an_observer_sees():
    events = EvaluationEvents(
        np.array([1, 1, 0, 0]),
        np.array([1.2, 8.0, 3.0, 300.0]),
        np.arange(4),
        light_energy=np.array([1.5, 7.0, 1.5, np.nan]),
    )
    bins = observed_bins(events, 5)
    assert bins.by == "light"
    assert bins.edges[[0, -1]] == pytest.approx([1.0, 10.0])
    assert bins.index[0] == bins.index[2] == 0
    assert bins.index[3] == len(bins)
    assert observed_bins(events, 5, np.array([1.2, 0.1, 3.0, 99.0])).index.tolist() == [0, 5, 2, 5]
    assert observed_bins(replace(events, light_energy=None), 5).by == "true"


def thrown(rng, simulated):
    low, high = simulated.energy_min, simulated.energy_max
    return 1 / (1 / low - rng.random(int(simulated.n_showers)) * (1 / low - 1 / high))


@pytest.fixture(scope="module")
def telescope():
    """Showers thrown at a telescope that triggers on 100 p.e., the light of a gamma of 1 TeV."""
    rng = np.random.default_rng(4)
    energy = np.concatenate([thrown(rng, GAMMA), thrown(rng, PROTON)])
    label = np.repeat([1, 0], [int(GAMMA.n_showers), int(PROTON.n_showers)])
    size = 100 * energy * np.where(label == 1, 1, 1 / LESS) * np.exp(rng.normal(0, 0.03, len(energy)))
    seen = size > 100
    label, energy, size = label[seen], energy[seen], size[seen]
    # brighter images are told apart better, up to 600 p.e.
    power = separation(size)
    score = rng.normal(np.where(label == 1, power, -power), 1.0)
    light = fit_light_energy(size[label == 1][::2], energy[label == 1][::2])
    offset = np.rad2deg(np.arccos(rng.uniform(np.cos(np.deg2rad(6)), 1, len(label))))
    alt0 = np.full(len(label), np.deg2rad(70))
    events = EvaluationEvents(
        label,
        energy,
        np.arange(len(label)),
        alt=alt0 + np.deg2rad(np.where(label == 1, 0.5, offset)),
        az=np.zeros(len(label)),
        pointing_alt=alt0,
        pointing_az=np.zeros(len(label)),
        size=size,
        light_energy=light(size),
    )
    return events, score


def separation(size):
    return 0.25 + 0.6 * np.log10(np.minimum(size, 600.0) / 100)


@pytest.fixture(scope="module")
def judged(telescope):
    events, score = telescope
    return evaluate_pair(score, score, events, CONFIG, 1, simulations={"gamma": GAMMA, "proton": PROTON})


def values(rows):
    return np.array([np.nan if row.reference.value is None else row.reference.value for row in rows])


def test_background_is_that_of_protons_of_equal_light(judged):
    """Against the flux integrated over the energies of protons with a bin's light."""
    edges = np.array(judged.energy_bins.edges)
    found = values(judged.response().bins["background_rate"])
    area, sky = np.pi * 500.0**2, 2 * np.pi * (1 - np.cos(np.deg2rad(5)))

    def flux(energy):
        return IRFDOC_PROTON_SPECTRUM(energy * u.TeV).to_value("TeV-1 m-2 s-1 sr-1")

    checked = 0
    for b in range(len(found)):
        low, high = edges[b], edges[b + 1]
        if low < 1.2 or high > 30:
            continue
        cut = separation(100 * np.sqrt(low * high)) + norm.ppf(0.3)
        kept = norm.sf(cut + separation(100 * np.sqrt(low * high)))
        expected = quad(flux, LESS * low, LESS * high)[0] * area * sky * kept
        assert found[b] == pytest.approx(expected, rel=0.15)
        checked += 1
    assert checked >= 5


def test_the_sensitivity_is_best_where_it_should_be(telescope, judged):
    edges = np.array(judged.energy_bins.edges)
    best = np.sqrt(edges[:-1] * edges[1:])[np.nanargmin(values(judged.response().bins["sensitivity"]))]
    assert 2 < best < 20
    # binned by true energy the protons below 2.6 TeV do not trigger: the best would lie at the threshold
    events, score = telescope
    blind = replace(events, light_energy=None)
    found = evaluate_pair(score, score, blind, CONFIG, 1, simulations={"gamma": GAMMA, "proton": PROTON})
    edges = np.array(found.energy_bins.edges)
    wrong = np.sqrt(edges[:-1] * edges[1:])[np.nanargmin(values(found.response().bins["sensitivity"]))]
    assert wrong < 4
    assert any("true energy" in flag for flag in found.flags)


def test_auc_rises_with_light_as_the_separation_does(telescope, judged):
    events, score = telescope
    auc = values(judged.pair().bins["auc"])
    edges = np.array(judged.energy_bins.edges)
    inside = (events.light_energy >= edges[6]) & (events.light_energy < edges[7])
    assert auc[6] == pytest.approx(roc_auc_score(events.label[inside], score[inside]))
    # from the threshold on: below 1 TeV there are only a few upward fluctuations
    first = int(np.argmin(np.abs(edges - 1.0)))
    assert (np.diff(auc[first : first + 4]) > 0).all()
    assert judged.energy_bins.label == "Energy of a gamma of equal light"


def test_what_the_energy_from_light_is_worth_is_said(judged):
    found = judged.details.light
    assert found.overall["energy_resolution"].value == pytest.approx(0.03, abs=0.01)
    assert abs(found.overall["energy_bias"].value) < 0.01
    assert any("gamma of equal light" in note for note in judged.irf.notes)


def test_events_without_a_clean_image_count_in_the_area_and_in_no_bin(telescope):
    events, score = telescope
    few = np.arange(0, len(events), 5)
    dark = np.arange(len(few)) % 4 == 0
    energy = np.where(dark, np.nan, events.light_energy[few])
    part, logit = replace(events[few], light_energy=energy), score[few]
    found = evaluate_pair(logit, logit, part, CONFIG, 1, simulations={"gamma": GAMMA, "proton": PROTON})
    assert found.events.outside_bins >= dark.sum()
    in_bins = sum(row.reference.events for row in found.pair().bins["auc"])
    assert in_bins == len(few) - found.events.outside_bins
    # 70 % of the gammas pass, with and without a clean image
    bins = energy_bins(part.energy[part.gamma], 5)
    area = values(found.response().bins["effective_area"]) / (np.pi * 500**2)
    number = GAMMA.to_pyirf().calculate_n_showers_per_energy(bins.edges * u.TeV)
    share = np.histogram(part.energy[part.gamma], bins.edges)[0] / number
    good = share > 0
    assert np.sum((area * number)[good]) == pytest.approx(0.7 * np.sum((share * number)[good]), rel=0.03)
