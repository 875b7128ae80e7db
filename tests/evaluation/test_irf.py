import json
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from pairs import evaluate_pair
from pyirf.benchmarks import angular_resolution, energy_bias_resolution
from pyirf.binning import create_histogram_table
from pyirf.irf import effective_area_per_energy
from pyirf.sensitivity import calculate_sensitivity, estimate_background

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.base import plain
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation import direction
from trigger_ml.evaluation.bookkeeping import Simulated, event_rates, pooled, simulations_of
from trigger_ml.evaluation.direction import ONE_SIGMA
from trigger_ml.evaluation.events import EvaluationEvents, energy_bins
from trigger_ml.evaluation.gadf import write_irfs
from trigger_ml.evaluation.irf import evaluate_irf
from trigger_ml.evaluation.selection import Reconstruction, select
from trigger_ml.evaluation.uncertainty import resample_showers
from trigger_ml.events.dataset import RunEvents

CONFIG = EvaluationConfig(bootstrap=30)
THROWN = {
    "gamma": Simulated("gamma", 200_000, 0.5, 50.0, -2.0, 800.0),
    "proton": Simulated("proton", 900_000, 0.5, 50.0, -2.0, 1200.0, view_cone=6.0),
    "electron": Simulated("electron", 50_000, 0.5, 50.0, -2.0, 800.0, view_cone=6.0),
}


def power_law(rng, n, low=0.5, high=50.0):
    """Energies from an index of -2."""
    return 1 / (1 / low - rng.random(n) * (1 / low - 1 / high))


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(6)
    counts = {"gamma": 6000, "proton": 6000, "electron": 800}
    code = np.repeat([0, 101, 1], list(counts.values()))
    n = len(code)
    label = (code == 0).astype(int)
    alt0, az0 = np.full(n, np.deg2rad(70)), np.full(n, 0.01)
    radius = np.where(label == 1, 0.5, 6 * np.sqrt(rng.random(n)))
    turn = rng.uniform(0, 2 * np.pi, n)
    plane = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    alt, az = direction.sky_direction(plane, alt0, az0)
    energy = power_law(rng, n)
    events = EvaluationEvents(
        label,
        energy,
        np.arange(n) // 2,
        alt=alt,
        az=az,
        pointing_alt=alt0,
        pointing_az=az0,
        primary_id=code,
    )
    score = rng.normal(np.where(label == 1, 1.5, -1.5), 1.0)
    other = score + rng.normal(0, 0.4, n)
    reco = [
        Reconstruction(
            energy * np.exp(rng.normal(0, 0.15, n)),
            *direction.sky_direction(plane + rng.normal(0, 0.12, plane.shape), alt0, az0),
        )
        for _ in range(2)
    ]
    bins = energy_bins(energy, 5)
    return events, np.stack([score, other]), reco, bins, resample_showers(events.shower_id, label, 30, 1)


def table(events, reco, rate, mask):
    result = QTable()
    result["true_energy"] = events.energy[mask] * u.TeV
    result["reco_energy"] = reco.energy[mask] * u.TeV
    result["weight"] = rate[mask]
    away = direction.separation(reco.alt, reco.az, events.pointing_alt, events.pointing_az)
    result["reco_source_fov_offset"] = away[mask] * u.deg
    return result


def respond(events, scores, bins, resamples, reco=None):
    """The response of two models."""
    names = ("float", "compressed")
    both = None if reco is None else dict(zip(names, reco, strict=True))
    named = dict(zip(names, scores, strict=True))
    return evaluate_irf(named, "float", events, bins, resamples, THROWN, CONFIG, both)


def test_reconstructed_results_are_pyirfs(sample):
    events, scores, reco, bins, resamples = sample
    found = respond(events, scores, bins, resamples, reco)
    json.dumps(plain(found), allow_nan=False)
    chosen = select(events, scores[0], bins, CONFIG, reco[0])
    rate, masks, _ = event_rates(events, THROWN)
    edges, hours = bins.edges * u.TeV, 50 * 3600.0
    signal = table(events, reco[0], rate * hours, masks["gamma"] & chosen.on)
    noise = table(events, reco[0], rate * hours, ~masks["gamma"] & chosen.passes)
    area = effective_area_per_energy(signal, THROWN["gamma"].to_pyirf(), edges).to_value("m2")
    mine = [row.reference.value for row in found.comparisons["compressed"].bins["effective_area"]]
    np.testing.assert_allclose(mine, area, rtol=1e-9)
    quality_is_pyirfs(found, events, reco[0], masks["gamma"] & chosen.passes, edges)
    cuts = QTable()
    cuts["center"] = 0.5 * (edges[1:] + edges[:-1])
    cuts["cut"] = chosen.theta_cut * u.deg
    off = estimate_background(
        noise, edges, cuts, alpha=0.2, fov_offset_min=0 * u.deg, fov_offset_max=5 * u.deg
    )
    sensitivity = calculate_sensitivity(create_histogram_table(signal, edges), off, alpha=0.2)
    relative = np.array(sensitivity["relative_sensitivity"])
    assert np.isfinite(relative).sum() >= 5
    crab = 3.23e-11 * bins.centers ** (-2.47 - 0.24 * np.log10(bins.centers)) * bins.centers**2
    # a bin without a single background event is no bin without background
    near = noise[noise["reco_source_fov_offset"] < 5 * u.deg]
    seen = np.histogram(near["reco_energy"].to_value("TeV"), bins.edges)[0] > 0
    for row, value in zip(
        found.comparisons["compressed"].bins["sensitivity"],
        np.where(seen, relative * crab, np.nan),
        strict=True,
    ):
        if np.isfinite(value):
            assert row.reference.value == pytest.approx(value, rel=1e-6)
        else:
            assert row.reference.value is None
    assert found.level == "reconstructed"
    fields = (masks["proton"] | masks["electron"]) & chosen.passes
    away = direction.separation(reco[0].alt, reco[0].az, events.pointing_alt, events.pointing_az)
    inside = (reco[0].energy >= bins.edges[0]) & (reco[0].energy < bins.edges[-1])
    assert found.comparisons["compressed"].metrics["background_rate"].reference.value == pytest.approx(
        rate[fields & (away < 5) & inside].sum()
    )


def quality_is_pyirfs(found, events, reco, kept, edges):
    """Resolutions and bias of the gammas that pass the gammaness cut."""
    signal = QTable()
    signal["true_energy"] = events.energy[kept] * u.TeV
    signal["reco_energy"] = reco.energy[kept] * u.TeV
    theta = direction.separation(reco.alt, reco.az, events.alt, events.az)
    signal["theta"] = theta[kept] * u.deg
    dispersion = energy_bias_resolution(signal, edges, bias_function=np.nanmedian)
    spread = angular_resolution(signal, edges, "true", quantile=ONE_SIGMA)
    for name, theirs, tolerance in (
        ("energy_bias", dispersion["bias"], 0.01),
        ("energy_resolution", dispersion["resolution"], 0.01),
        ("angular_resolution", spread["angular_resolution_68"].to_value("deg"), 0.01),
    ):
        mine = [row.reference.value for row in found.comparisons["compressed"].bins[name]]
        # quantiles between two events are interpolated there and not here: look where there are many
        many = np.histogram(events.energy[kept], edges.to_value("TeV"))[0] > 200
        np.testing.assert_allclose(
            np.array(mine, dtype=float)[many], np.asarray(theirs)[many], atol=tolerance
        )
        assert many.sum() >= 3


def test_cuts_keep_the_asked_fractions(sample):
    events, scores, reco, bins, _ = sample
    chosen = select(events, scores[0], bins, CONFIG, reco[0])
    index = np.searchsorted(bins.edges, reco[0].energy) - 1
    for b in range(2, 6):
        inside = (index == b) & events.gamma
        assert chosen.passes[inside].mean() == pytest.approx(0.7, abs=0.02)
        assert chosen.on[inside & chosen.passes].mean() == pytest.approx(0.68, abs=0.02)


def test_a_bin_with_few_gammas_has_the_cuts_of_all_energies(sample):
    events, scores, reco, bins, _ = sample
    config = CONFIG.model_copy(update={"min_events": 10**6})
    chosen = select(events, scores[0], bins, config, reco[0])
    theta = direction.separation(reco[0].alt, reco[0].az, events.alt, events.az)
    kept = theta[events.gamma & chosen.passes]
    assert chosen.theta_cut == pytest.approx(np.quantile(kept, 0.68))
    assert (chosen.score_cut == chosen.score_cut[0]).all()


def test_rates_integrate_the_flux_over_area_and_solid_angle(sample):
    events = sample[0]
    rate, masks, notes = event_rates(events, THROWN)
    # every shower thrown would give this; only the fraction in the sample triggered
    norm, index = 9.8e-6, -2.62
    flux = norm / (index + 1) * (50.0 ** (index + 1) - 0.5 ** (index + 1))
    everything = flux * np.pi * 1200e2**2 * 2 * np.pi * (1 - np.cos(np.deg2rad(6)))
    proton = masks["proton"]
    assert rate[proton].sum() == pytest.approx(everything * proton.sum() / 900_000, rel=0.05)
    assert any("MAGIC" in note for note in notes)


def test_trigger_level_uses_true_energies_and_says_so(sample):
    events, scores, _, bins, resamples = sample
    found = respond(events, scores, bins, resamples)
    assert found.level == "trigger"
    assert any("assumed angular resolution of 0.18 degrees" in note for note in found.notes)
    kept = events.gamma & select(events, scores[0], bins, CONFIG).passes
    thrown = THROWN["gamma"].to_pyirf().calculate_n_showers_per_energy(bins.edges * u.TeV)
    expected = np.histogram(events.energy[kept], bins.edges)[0] / thrown * np.pi * 800**2
    mine = [row.reference.value for row in found.comparisons["compressed"].bins["effective_area"]]
    np.testing.assert_allclose(mine, expected, rtol=1e-9)


def test_a_worse_model_has_more_background(sample):
    events, scores, _, bins, resamples = sample
    rng = np.random.default_rng(1)
    bad = scores[0] + rng.normal(0, 1.5, len(events))
    found = respond(events, (scores[0], bad), bins, resamples)
    assert found.comparisons["compressed"].metrics["background_rate"].state == "worse"


def test_evaluate_carries_the_response_or_the_reason(sample):
    events, scores, _, _, _ = sample
    with_it = evaluate_pair(*scores, events, CONFIG, 1, simulations=THROWN)
    assert with_it.irf.level == "trigger"
    assert with_it.quantities["sensitivity"].better == "lower"
    json.dumps(plain(with_it), allow_nan=False)
    assert "not known" in evaluate_pair(*scores, events, CONFIG, 1).irf.reason
    few = {"gamma": THROWN["gamma"]}
    assert "missing for protons" in evaluate_pair(*scores, events, CONFIG, 1, simulations=few).irf.reason
    narrow = {**THROWN, "proton": Simulated("proton", 10, 0.5, 50, -2, 1200)}
    reason = evaluate_pair(*scores, events, CONFIG, 1, simulations=narrow).irf.reason
    assert "isotropic flux" in reason


@pytest.mark.parametrize(
    ("alone", "code", "reason"),
    [
        ("helium", 402, "missing for protons"),
        ("electron", 1, "missing for protons"),
        ("proton", 101, "isotropic flux"),
    ],
    ids=["helium", "electrons", "protons from one direction"],
)
def test_backgrounds_without_a_response_end_in_a_report_with_the_reason(
    sample, tmp_path, alone, code, reason
):
    """Valid simulations, of which no rate follows: the comparison of the models does not need it."""
    events, scores, _, _, _ = sample
    hadrons = np.where(events.primary_id == 0, 0, code)
    given = replace(events, primary_id=hadrons)
    cone = 0.0 if alone == "proton" else 6.0
    thrown = {"gamma": THROWN["gamma"], alone: Simulated(alone, 10, 0.5, 50.0, -2.0, 800.0, view_cone=cone)}
    found = evaluate_pair(*scores, given, CONFIG, 1, simulations=thrown)
    assert 0.8 < found.pair().metrics["auc"].reference.value < 1
    assert reason in found.irf.reason
    json.dumps(plain(found), allow_nan=False)


def test_particles_without_a_spectrum_are_left_out_and_named(sample):
    events = sample[0]
    helium = EvaluationEvents(
        events.label, events.energy, events.shower_id, primary_id=np.where(events.primary_id == 1, 402, 101)
    )
    rate, masks, notes = event_rates(helium, THROWN)
    assert rate[masks["helium"]].sum() == 0
    assert any("800 helium events" in note for note in notes)
    assert any("No electrons" in note for note in notes)


class Run:
    n_showers, n_reuse = 100, 10
    energy_min, energy_max, spectral_index = 0.5, 50.0, -2.0
    max_core_distance, view_cone = 800.0, 0.0
    min_core_distance, view_cone_min = 0.0, 0.0


def test_runs_are_pooled():
    found = pooled("gamma", [Run(), Run()], fraction=0.25)
    assert found == Simulated("gamma", 500, 0.5, 50.0, -2.0, 800.0, 0.0)
    other = Run()
    other.spectral_index = -2.7
    with pytest.raises(InputError, match="differ in spectral_index"):
        pooled("gamma", [Run(), other])
    with pytest.raises(InputError, match="no run"):
        pooled("gamma", [])


def numbered(obs_id, **changes):
    run = Run()
    run.obs_id = obs_id
    for name, value in changes.items():
        setattr(run, name, value)
    return run


def account(file, obs_id, primary, read=40, usable=None, kept=None):
    usable = read if usable is None else usable
    return RunEvents(file, obs_id, primary, read, usable, usable if kept is None else kept)


PRIMARY = np.repeat([0, 0, 101], 40)
SHOWER = np.arange(120) // 2


def test_runs_find_their_particle_and_the_part_evaluated():
    runs = {0: [numbered(1), numbered(2)], 1: [numbered(3, view_cone=5.0)]}
    accounts = [account(0, 1, 0), account(0, 2, 0), account(1, 3, 101)]
    found = simulations_of(runs, accounts, PRIMARY, SHOWER, rows=np.r_[0:20, 80:90])
    # 10 of 40 gamma showers, 5 of 20 proton showers
    assert found["gamma"].n_showers == pytest.approx(2000 / 4)
    assert found["proton"].n_showers == pytest.approx(1000 / 4)
    assert found["proton"].view_cone == 5.0
    assert simulations_of(runs, accounts, PRIMARY, SHOWER)["gamma"].n_showers == 2000
    with pytest.raises(InputError, match="run 1: mixes"):
        simulations_of(runs, [*accounts, account(0, 1, 101)], PRIMARY, SHOWER)
    with pytest.raises(InputError, match="has no event"):
        simulations_of({0: [numbered(9)]}, [], PRIMARY, SHOWER)


def test_a_run_is_that_of_its_file():
    """Gammas and protons with one run number, each in its own file."""
    runs = {0: [numbered(7)], 1: [numbered(7, n_showers=300)]}
    accounts = [account(0, 7, 0, 80), account(1, 7, 101)]
    found = simulations_of(runs, accounts, PRIMARY, SHOWER)
    assert {name: one.n_showers for name, one in found.items()} == {"gamma": 1000, "proton": 3000}


def test_a_run_without_events_counts_its_showers():
    runs = {0: [numbered(1), numbered(2)], 1: [numbered(3), numbered(4), numbered(5)]}
    accounts = [account(0, 1, 0, 80), account(1, 4, 101)]
    found = simulations_of(runs, accounts, PRIMARY, SHOWER)
    assert {name: one.n_showers for name, one in found.items()} == {"gamma": 2000, "proton": 3000}
    # where the file has two particles, nothing tells which of them the empty run was to give
    both = {0: [numbered(1), numbered(2), numbered(3)]}
    with pytest.raises(InputError, match="run 3: has no event"):
        simulations_of(both, [account(0, 1, 0, 80), account(0, 2, 101)], PRIMARY, SHOWER)


def test_what_drops_events_says_what_it_does_to_the_showers_thrown():
    runs = {0: [numbered(1)], 1: [numbered(2)]}
    # a quarter of the gammas are used, all alike; the protons lost and cut were thrown all the same
    accounts = [account(0, 1, 0, 400, 320, 80), account(1, 2, 101, 100, 40)]
    found = simulations_of(runs, accounts, PRIMARY, SHOWER)
    assert found["gamma"].n_showers == pytest.approx(1000 / 4)
    assert found["proton"].n_showers == 1000
    gamma, proton = (" ".join(found[name].notes) for name in ("gamma", "proton"))
    assert "max_events` keeps 80 of 320" in gamma
    assert "80 of 400" in gamma
    assert "not seen" in gamma
    assert "60 of 100" in proton
    assert "max_events" not in proton


def test_rings_of_cores_and_bookkeeping_that_is_missing():
    run = Run()
    run.min_core_distance = 480.0
    # of 800 m: 64 % of the circle's area
    assert pooled("gamma", [run]).max_impact == pytest.approx(640.0)
    run.view_cone = np.nan
    with pytest.raises(InputError, match="does not tell its view_cone"):
        pooled("gamma", [run])


# gammapy's own sources warn when they are compiled for the first time
@pytest.mark.filterwarnings("ignore")
def test_gammapy_computes_a_sensitivity_from_the_written_responses(
    sample, sensitivity_with_gammapy, tmp_path
):
    reason = "gammapy 2.1 cannot be imported beside regions 0.12 or later"
    pytest.importorskip("gammapy.datasets", reason=reason, exc_type=ImportError)
    from gammapy.irf import load_irf_dict_from_file

    events, scores, reco, _, _ = sample
    path = write_irfs(tmp_path / "irf.fits.gz", events, scores[0], THROWN, CONFIG, reco[0])
    irfs = load_irf_dict_from_file(path)
    assert set(irfs) == {"aeff", "edisp", "psf", "bkg"}
    inside = irfs["psf"].containment(rad=0.2 * u.deg, energy_true=2 * u.TeV, offset=0.5 * u.deg)
    assert float(inside) == pytest.approx(1 - np.exp(-0.5 * (0.2 / 0.12) ** 2), abs=0.04)
    table = sensitivity_with_gammapy(irfs)
    good = table[np.isfinite(table["e2dnde"].data)]
    assert len(good) >= 3
    # the Crab itself is seen easily in 50 hours, and far below it is not
    flux = good["e2dnde"].quantity.to_value("TeV cm-2 s-1")
    assert (flux < 3e-11).all()
    assert (flux > 1e-14).all()


# pyirf writes optional column references that the schema does not list
@pytest.mark.filterwarnings("ignore:Unexpected header card")
def test_the_schema_of_the_format_accepts_the_files(sample, tmp_path):
    schema = pytest.importorskip("ogadf_schema.irfs", reason="ogadf-schema is not installed")
    events, scores, reco, _, _ = sample
    path = write_irfs(tmp_path / "irf.fits", events, scores[0], THROWN, CONFIG, reco[0])
    with fits.open(path) as content:
        kinds = [hdu.header["HDUCLAS4"] for hdu in content[1:]]
        for kind, hdu in zip(kinds, content[1:], strict=True):
            getattr(schema, kind).validate_hdu(hdu)
    assert kinds == ["AEFF_2D", "EDISP_2D", "PSF_TABLE", "BKG_2D"]


def test_trigger_level_file_has_the_area_alone(sample, tmp_path):
    events, scores, _, bins, _ = sample
    path = write_irfs(tmp_path / "irf.fits", events, scores[0], THROWN, CONFIG)
    with fits.open(path) as content:
        assert [hdu.name for hdu in content[1:]] == ["EFFECTIVE AREA"]
        area = content[1].data["EFFAREA"][0]
        assert content[1].header["HDUCLAS4"] == "AEFF_2D"
    assert area.shape == (2, len(bins))
    np.testing.assert_array_equal(area[0], area[1])


def test_diffuse_gammas_have_offset_bins(sample, tmp_path):
    events, scores, reco, _, _ = sample
    thrown = {**THROWN, "gamma": Simulated("gamma", 200_000, 0.5, 50.0, -2.0, 800.0, view_cone=3.0)}
    path = write_irfs(tmp_path / "irf.fits", events, scores[0], thrown, CONFIG, reco[0])
    with fits.open(path) as content:
        area = content["EFFECTIVE AREA"].data["EFFAREA"][0]
    assert area.shape[0] == 3
    assert area[0].sum() > 0
    assert area[2].sum() == 0


def test_one_energy_gives_one_bin_and_no_background_no_sensitivity(sample):
    events, scores, reco, _, _ = sample
    rows = (events.energy > 1.01) & (events.energy < 1.5)
    part = [r[rows] for r in reco]
    thrown = {name: replace(s, energy_min=1.0, energy_max=1.5) for name, s in THROWN.items()}
    both = tuple(Reconstruction(np.full(int(rows.sum()), 1.2), r.alt, r.az) for r in part)
    found = evaluate_pair(*scores[:, rows], events[rows], CONFIG, 1, simulations=thrown, reconstruction=both)
    assert found.energy_bins.edges == pytest.approx((1.0, 10**0.2))
    assert found.response().bins["effective_area"][0].reference.value > 0
    quiet = np.where(events.gamma, 5.0, -5.0)
    silent = evaluate_pair(quiet, quiet, events, CONFIG, 1, simulations=THROWN)
    assert all(row.reference.value is None for row in silent.response().bins["sensitivity"])
    assert "no background showers" in silent.response().bins["sensitivity"][2].reference.flag
    assert silent.response().metrics["mean_sensitivity"].state == "undefined"


def test_events_without_reconstruction_leave_both_models(sample):
    events, scores, reco, _, _ = sample
    energy = reco[1].energy.copy()
    energy[:9] = np.nan
    broken = (reco[0], Reconstruction(energy, reco[1].alt, reco[1].az))
    found = evaluate_pair(*scores, events, CONFIG, 1, simulations=THROWN, reconstruction=broken)
    assert found.events.dropped == {"no finite prediction": 9}
    nothing = Reconstruction(np.full(len(events), np.nan), reco[0].alt, reco[0].az)
    with pytest.raises(InputError, match="no event can be evaluated"):
        evaluate_pair(*scores, events, CONFIG, 1, simulations=THROWN, reconstruction=(nothing, reco[1]))


def test_the_order_of_events_does_not_matter(sample):
    events, scores, reco, _, _ = sample
    rows = np.random.default_rng(8).permutation(len(events))
    shuffled = [r[rows] for r in reco]
    first = evaluate_pair(*scores, events, CONFIG, 1, simulations=THROWN, reconstruction=tuple(reco))
    second = evaluate_pair(
        *scores[:, rows], events[rows], CONFIG, 1, simulations=THROWN, reconstruction=tuple(shuffled)
    )
    for name, value in first.response().metrics.items():
        for key in ("value", "low", "high"):
            assert getattr(second.response().metrics[name].ratio, key) == pytest.approx(
                getattr(value.ratio, key), rel=1e-9
            )
