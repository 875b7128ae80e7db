"""A point source seen through diffuse gammas: the same as a point source, by hand and by pyirf."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from pairs import evaluate_pair
from pyirf.irf import effective_area_per_energy_and_fov
from pyirf.spectral import CRAB_MAGIC_JHEAP2015, PowerLaw, calculate_event_weights
from scipy.integrate import quad

from trigger_ml.core.config.evaluation import EvaluationConfig, IrfConfig
from trigger_ml.core.errors import InputError, StageError
from trigger_ml.evaluation import direction
from trigger_ml.evaluation.bookkeeping import Simulated, event_rates, signal_ring, true_offset
from trigger_ml.evaluation.events import EvaluationEvents, energy_bins
from trigger_ml.evaluation.gadf import write_irfs
from trigger_ml.evaluation.irf import evaluate_irf
from trigger_ml.evaluation.selection import Reconstruction, select
from trigger_ml.evaluation.uncertainty import resample_showers

RING = IrfConfig(signal_offset=(0.0, 1.0))
CONFIG = EvaluationConfig(bootstrap=20, bins_per_decade=3, min_events=3, min_showers=3, irf=RING)
CONE, AREA = 3.0, np.pi * 800.0**2
LOW, HIGH = 1.0, 30.0
N_GAMMA, N_PROTON = 150_000, 40_000


def efficiency(energy):
    """Of the telescope's trigger: the same at every offset."""
    return 0.1 + 0.25 * np.log10(energy)


def toy(view_cone, seed):
    """Showers thrown and triggered; gammas from one direction at 0.5 degrees, or all over a cone."""
    rng = np.random.default_rng(seed)
    label = np.repeat([1, 0], [N_GAMMA, N_PROTON])
    energy = 1 / (1 / LOW - rng.random(len(label)) * (1 / LOW - 1 / HIGH))
    cone = np.where(label == 1, view_cone, 6.0)
    offset = np.rad2deg(np.arccos(rng.uniform(np.cos(np.deg2rad(cone)), 1)))
    offset[(label == 1) & (view_cone == 0)] = 0.5
    turn = rng.uniform(0, 2 * np.pi, len(label))
    seen = rng.random(len(label)) < efficiency(energy)
    label, energy, offset, turn = (x[seen] for x in (label, energy, offset, turn))
    alt0, az0 = np.full(len(label), np.deg2rad(70)), np.zeros(len(label))
    plane = np.stack([offset * np.cos(turn), offset * np.sin(turn)], axis=1)
    alt, az = direction.sky_direction(plane, alt0, az0)
    reco = Reconstruction(
        energy * np.exp(rng.normal(0, 0.1, len(label))),
        *direction.sky_direction(plane + rng.normal(0, 0.1, plane.shape), alt0, az0),
    )
    events = EvaluationEvents(
        label, energy, np.arange(len(label)), alt=alt, az=az, pointing_alt=alt0, pointing_az=az0
    )
    score = rng.normal(np.where(label == 1, 1.5, -1.5), 1.0)
    thrown = {
        "gamma": Simulated("gamma", N_GAMMA, LOW, HIGH, -2.0, 800.0, view_cone),
        "proton": Simulated("proton", N_PROTON, LOW, HIGH, -2.0, 1200.0, 6.0),
    }
    return events, score, reco, thrown


@pytest.fixture(scope="module")
def diffuse():
    return toy(CONE, 1)


@pytest.fixture(scope="module")
def point():
    return toy(0.0, 2)


def response(sample, with_directions):
    events, score, reco, thrown = sample
    bins = energy_bins(events.energy, CONFIG.bins_per_decade)
    resamples = resample_showers(events.shower_id, events.label, CONFIG.bootstrap, 1)
    both = {"first": reco, "second": reco} if with_directions else None
    return evaluate_irf(
        {"first": score, "second": score}, "first", events, bins, resamples, thrown, CONFIG, both
    )


@pytest.mark.parametrize("with_directions", [False, True])
def test_diffuse_and_point_like_gammas_give_the_same_response(diffuse, point, with_directions):
    found = [response(sample, with_directions) for sample in (diffuse, point)]
    # the ring holds a ninth of the diffuse showers: its binomial fluctuation dominates
    for first, second in zip(*(f.comparisons["second"].bins["effective_area"] for f in found), strict=True):
        error = first.reference.value / np.sqrt(max(first.reference.events, 1))
        assert first.reference.value == pytest.approx(second.reference.value, abs=4 * error)
    rates = [f.comparisons["second"].metrics["signal_rate"].reference.value for f in found]
    assert rates[0] == pytest.approx(rates[1], rel=0.1)
    limits = [f.comparisons["second"].metrics["mean_sensitivity"].reference.value for f in found]
    assert limits[0] == pytest.approx(limits[1], rel=0.15)
    assert any("true offset of 0 to 1 degrees" in note for note in found[0].notes)
    assert not any("diffuse" in note for note in found[1].notes)


def test_effective_area_by_hand_and_by_pyirf(diffuse):
    events, score, _, thrown = diffuse
    bins = energy_bins(events.energy, CONFIG.bins_per_decade)
    chosen = select(events, score, bins, CONFIG)
    away = direction.separation(events.alt, events.az, events.pointing_alt, events.pointing_az)
    kept = events.gamma & chosen.passes & (away < 1.0)
    count = np.histogram(events.energy[kept], bins.edges)[0]
    # a power law of index -2: the showers of a bin by hand
    edges = np.clip(bins.edges, LOW, HIGH)
    share = (1 - np.cos(np.deg2rad(1))) / (1 - np.cos(np.deg2rad(CONE)))
    showers = N_GAMMA * (1 / edges[:-1] - 1 / edges[1:]) / (1 / LOW - 1 / HIGH) * share
    mine = [
        row.reference.value for row in response(diffuse, False).comparisons["second"].bins["effective_area"]
    ]
    np.testing.assert_allclose(mine, count / showers * AREA, rtol=1e-9)
    table = QTable()
    table["true_energy"] = events.energy[kept] * u.TeV
    table["true_source_fov_offset"] = away[kept] * u.deg
    theirs = effective_area_per_energy_and_fov(
        table, thrown["gamma"].to_pyirf(), bins.edges * u.TeV, [0, 1] * u.deg
    )
    np.testing.assert_allclose(mine, theirs[:, 0].to_value("m2"), rtol=1e-9)


def test_rates_are_pyirfs_weights_and_those_of_the_crab(diffuse):
    events, _, _, thrown = diffuse
    ring = signal_ring(events, thrown["gamma"], (0.0, 1.0))
    rate = event_rates(events, thrown, ring)[0]
    inside = events.gamma & ring.inside
    simulated = PowerLaw.from_simulation(thrown["gamma"].to_pyirf(), 1 * u.s)
    theirs = calculate_event_weights(
        events.energy[inside] * u.TeV, CRAB_MAGIC_JHEAP2015, simulated.integrate_cone(0 * u.deg, 1 * u.deg)
    )
    np.testing.assert_allclose(rate[inside], theirs, rtol=1e-9)
    assert not rate[events.gamma & ~ring.inside].any()

    def crab(energy):
        flux = 3.23e-11 * energy ** (-2.47 - 0.24 * np.log10(energy))
        return flux * efficiency(energy) * AREA * 1e4

    assert rate[inside].sum() == pytest.approx(quad(crab, LOW, HIGH)[0], rel=0.1)


def test_a_ring_away_from_the_axis(diffuse):
    events, _, _, thrown = diffuse
    ring = signal_ring(events, thrown["gamma"], (1.0, 9.0))
    assert (ring.inner, ring.outer) == (1.0, CONE)
    away = direction.separation(events.alt, events.az, events.pointing_alt, events.pointing_az)
    assert ring.inside[events.gamma].sum() == (away[events.gamma] >= 1).sum()
    whole = np.cos(np.deg2rad([0, 1, CONE]))
    assert ring.share == pytest.approx((whole[1] - whole[2]) / (whole[0] - whole[2]))


def test_a_source_that_was_not_thrown_is_a_reason_not_a_number(diffuse):
    events, score, _, thrown = diffuse
    few = np.arange(0, len(events), 20)
    outside = EvaluationConfig(bootstrap=20, irf=IrfConfig(signal_offset=(4.0, 5.0)))
    found = evaluate_pair(score[few], score[few], events[few], outside, 1, simulations=thrown)
    assert "is 4 to 5 degrees" in found.irf.reason
    blind = EvaluationEvents(events.label, events.energy, events.shower_id)
    with pytest.raises(InputError, match="have no pointing"):
        signal_ring(blind, thrown["gamma"], (0.0, 1.0))
    with pytest.raises(ValueError, match="rising"):
        IrfConfig(signal_offset=(1.0, 1.0))


def test_background_thrown_in_a_narrow_cone_fills_that_cone_only(diffuse):
    events, score, reco, thrown = diffuse
    # the same protons, thrown within 4 degrees: half the solid angle that 6 degrees would fill
    away = direction.separation(events.alt, events.az, events.pointing_alt, events.pointing_az)
    rows = events.gamma | (away < 4)
    part = (1 - np.cos(np.deg2rad(4))) / (1 - np.cos(np.deg2rad(6)))
    narrow = {**thrown, "proton": Simulated("proton", N_PROTON * part, LOW, HIGH, -2.0, 1200.0, 4.0)}
    found = [
        response(sample, True).comparisons["second"].metrics["mean_sensitivity"].reference.value
        for sample in ((events, score, reco, thrown), (events[rows], score[rows], reco[rows], narrow))
    ]
    assert found[0] == pytest.approx(found[1], rel=0.15)


def test_response_files_have_the_area_of_every_offset(diffuse, tmp_path):
    events, score, reco, thrown = diffuse
    path = write_irfs(tmp_path / "irf.fits", events, score, thrown, CONFIG, reco)
    with fits.open(path) as content:
        data = content["EFFECTIVE AREA"].data[0]
        assert [hdu.header["HDUCLAS4"] for hdu in content[1:]] == [
            "AEFF_2D",
            "EDISP_2D",
            "PSF_TABLE",
            "BKG_2D",
        ]
        np.testing.assert_allclose(data["THETA_HI"], [1, 2, 3])
        area = data["EFFAREA"]
    # the toy's efficiency is the same everywhere; the gammaness cut keeps 70 %
    centers = np.sqrt(data["ENERG_LO"] * data["ENERG_HI"]).astype(float)
    for row in area[:, 1:3]:
        np.testing.assert_allclose(row, (0.7 * AREA * efficiency(centers))[1:3], rtol=0.15)


# gammapy's own sources warn when they are compiled for the first time
@pytest.mark.filterwarnings("ignore")
def test_gammapy_sees_the_same_source_in_both(diffuse, point, sensitivity_with_gammapy, tmp_path):
    from gammapy.irf import load_irf_dict_from_file

    limits = []
    for number, (events, score, reco, thrown) in enumerate((diffuse, point)):
        path = write_irfs(tmp_path / f"{number}.fits.gz", events, score, thrown, CONFIG, reco)
        table = sensitivity_with_gammapy(load_irf_dict_from_file(path))
        limits.append(table["e2dnde"].quantity.to_value("TeV cm-2 s-1"))
    good = np.isfinite(limits).all(axis=0)
    assert good.sum() >= 3
    # the source at 0.5 degrees is in the innermost ring of the diffuse sample, which holds a ninth of it
    np.testing.assert_allclose(np.array(limits)[0][good], np.array(limits)[1][good], rtol=0.3)


@pytest.mark.parametrize("unknown", [None, np.nan])
def test_without_pointing_there_is_a_reason_not_an_area_of_zero(diffuse, tmp_path, unknown):
    events, score, _, thrown = diffuse
    few = events[np.arange(0, len(events), 20)]
    blind = None if unknown is None else few.pointing_alt * unknown
    few, scores = replace(few, pointing_alt=blind), score[np.arange(0, len(events), 20)]
    config = EvaluationConfig(bootstrap=20)
    found = evaluate_pair(scores, scores, few, config, 1, simulations=thrown)
    assert "have no pointing" in found.irf.reason
    path = tmp_path / "x.fits"
    with pytest.raises(InputError, match="have no pointing"):
        write_irfs(path, few, scores, thrown, config)
    assert not path.exists()


def test_a_ring_of_directions_has_the_area_of_its_own_solid_angle(diffuse):
    """The gammas of a ring are those of the whole cone that fall into it; so are the showers thrown."""
    events, _, _, thrown = diffuse
    away = signal_ring(events, thrown["gamma"], (0.0, 9.0))
    limits = (1.2, 2.0)
    offset = true_offset(events, events.gamma)
    inside = events.gamma & (offset >= limits[0]) & (offset < limits[1])
    share = (np.cos(np.deg2rad(1.2)) - np.cos(np.deg2rad(2.0))) / (1 - np.cos(np.deg2rad(away.outer)))
    ring = replace(
        thrown["gamma"], n_showers=thrown["gamma"].n_showers * share, view_cone_min=1.2, view_cone=2.0
    )
    rows = inside | ~events.gamma
    cut = events[rows]
    of_ring = signal_ring(cut, ring, (0.0, 1.5))
    of_cone = signal_ring(events, thrown["gamma"], (1.2, 1.5))
    assert (of_ring.inner, of_ring.outer) == (1.2, 1.5)
    assert of_ring.share * ring.n_showers == pytest.approx(of_cone.share * thrown["gamma"].n_showers)
    assert (of_ring.inside & cut.gamma).sum() == (of_cone.inside & events.gamma).sum()
    rates = [event_rates(*arguments)[0] for arguments in (
        (cut, {**thrown, "gamma": ring}, of_ring), (events, thrown, of_cone)
    )]  # fmt: skip
    np.testing.assert_allclose(rates[0][cut.gamma].sum(), rates[1][events.gamma].sum(), rtol=1e-9)


def test_a_thin_ring_is_a_source_at_one_offset(diffuse, tmp_path):
    """All gammas from 0.3999 to 0.4001 degrees: the area in the file is that of all, at any offset."""
    events, score, _, thrown = diffuse
    few = np.arange(0, len(events), 10)
    events, score = events[few], score[few]
    alt = np.where(events.gamma, events.pointing_alt + np.deg2rad(0.4), events.alt)
    az = np.where(events.gamma, events.pointing_az, events.az)
    events = replace(events, alt=alt, az=az)
    ring = replace(thrown["gamma"], view_cone_min=0.3999, view_cone=0.4001)
    point = replace(thrown["gamma"], view_cone=0.0)
    config = EvaluationConfig(bootstrap=20)
    areas = []
    for number, gamma in enumerate((ring, point)):
        path = write_irfs(tmp_path / f"{number}.fits", events, score, {**thrown, "gamma": gamma}, config)
        with fits.open(path) as hdus:
            areas.append(np.array(hdus[1].data["EFFAREA"][0]))
    assert areas[0].max() > 0
    np.testing.assert_allclose(areas[0], areas[1], rtol=1e-6)
    np.testing.assert_array_equal(areas[0][0], areas[0][1])


@pytest.mark.parametrize("name", ["x.fits", "x.fits.gz"])
@pytest.mark.parametrize("part", [1, 4, 7])
def test_responses_that_were_not_written_whole_replace_nothing(diffuse, tmp_path, monkeypatch, name, part):
    events, score, _, thrown = diffuse
    few = np.arange(0, len(events), 20)
    path = tmp_path / name
    path.write_bytes(b"old")
    writeto = fits.HDUList.writeto

    def lossy(self, target, **options):
        writeto(self, target, **options)
        with open(target, "r+b") as stream:
            stream.truncate(target.stat().st_size * part // 8)

    monkeypatch.setattr(fits.HDUList, "writeto", lossy)
    with pytest.raises(StageError, match="not written whole"):
        write_irfs(path, events[few], score[few], thrown, EvaluationConfig(bootstrap=20))
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == [name]
