import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, SkyOffsetFrame
from astropy.table import QTable
from hypothesis import given
from hypothesis import strategies as st
from pairs import evaluate_pair
from pyirf.benchmarks import angular_resolution

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation import direction
from trigger_ml.evaluation.events import EvaluationEvents, energy_bins
from trigger_ml.evaluation.uncertainty import resample_showers

offsets = st.floats(-6, 6)
altitudes = st.floats(np.deg2rad(10), np.pi / 2)
azimuths = st.floats(0, 2 * np.pi)


def around(alt, az, n=400, spread=2.0, seed=0):
    """Pointings, all equal, and offsets in degrees around them."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, spread, (n, 2)), np.full(n, alt), np.full(n, az)


def vector(alt, az):
    return np.stack([np.cos(alt) * np.cos(az), np.cos(alt) * np.sin(az), np.sin(alt)], axis=-1)


@pytest.mark.parametrize(("alt", "az"), [(70, 0), (70, 359.9), (20, 180), (89.9, 12), (90, 0)])
def test_offsets_are_astropys(alt, az):
    plane, alt0, az0 = around(np.deg2rad(alt), np.deg2rad(az))
    found_alt, found_az = direction.sky_direction(plane, alt0, az0)
    frame = SkyOffsetFrame(origin=SkyCoord(az * u.deg, alt * u.deg))
    sky = SkyCoord(plane[:, 0] * u.deg, plane[:, 1] * u.deg, frame=frame).icrs
    np.testing.assert_allclose(vector(found_alt, found_az), vector(sky.dec.rad, sky.ra.rad), atol=1e-9)
    back = direction.camera_offsets(found_alt, found_az, alt0, az0)
    np.testing.assert_allclose(back, plane, atol=1e-6)


@given(lon=offsets, lat=offsets, alt=altitudes, az=azimuths)
def test_offsets_return(lon, lat, alt, az):
    plane = np.array([[lon, lat]])
    back = direction.camera_offsets(*direction.sky_direction(plane, [alt], [az]), [alt], [az])
    np.testing.assert_allclose(back, plane, atol=1e-5)


@given(lon=offsets, lat=offsets, dlon=offsets, dlat=offsets, alt=altitudes, az=azimuths, turn=azimuths)
def test_separation_is_that_of_vectors_and_does_not_know_where_north_is(lon, lat, dlon, dlat, alt, az, turn):
    first = direction.sky_direction([[lon, lat]], [alt], [az])
    second = direction.sky_direction([[dlon, dlat]], [alt], [az])
    found = direction.separation(*first, *second)
    a, b = vector(*first)[0], vector(*second)[0]
    expected = np.rad2deg(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))
    assert found[0] == pytest.approx(expected, abs=1e-9)
    rotated = direction.separation(first[0], first[1] + turn, second[0], second[1] + turn)
    assert rotated[0] == pytest.approx(found[0], abs=1e-6)


def test_azimuth_wraps():
    first, second = np.deg2rad([359.0, 1.0]), np.deg2rad([1.0, 359.0])
    np.testing.assert_allclose(np.rad2deg(direction.circular_difference(first, second)), [-2, 2])


def metrics_of(alt, az, spread=0.2):
    plane, alt0, az0 = around(np.deg2rad(alt), np.deg2rad(az))
    true_alt, true_az = direction.sky_direction(plane, alt0, az0)
    rng = np.random.default_rng(5)
    reco = direction.sky_direction(plane + rng.normal(0, spread, plane.shape), alt0, az0)
    r = resample_showers(np.arange(400), np.ones(400), 20, seed=1)
    bins = np.zeros(400, dtype=np.int64)
    return direction.direction_metrics(r, *reco, true_alt, true_az, bins, 1), (reco, (true_alt, true_az))


def test_figures_of_merit_by_hand():
    found, (reco, true) = metrics_of(60, 0)
    a, b = vector(*reco), vector(*true)
    angle = np.rad2deg(np.arccos(np.clip((a * b).sum(axis=1), -1, 1)))
    assert found["mean_separation"][0, 0] == pytest.approx(angle.mean(), rel=1e-6)
    assert found["rms_separation"][0, 0] == pytest.approx(np.sqrt((angle**2).mean()), rel=1e-6)
    d = np.abs(np.rad2deg(reco[1] - true[1]))
    assert found["azimuth_mae"][0, 0] == pytest.approx(np.minimum(d, 360 - d).mean())
    assert found["altitude_mae"][0, 0] == pytest.approx(np.abs(np.rad2deg(reco[0] - true[0])).mean())
    assert found["altitude_bias"][0, 0] == pytest.approx(np.rad2deg(reco[0] - true[0]).mean())
    assert found["altitude_std"][0, 0] == pytest.approx(np.rad2deg(reco[0] - true[0]).std())


def test_angular_resolution_is_pyirfs():
    found, (reco, true) = metrics_of(60, 0)
    table = QTable({"true_energy": np.ones(400) * u.TeV, "theta": direction.separation(*reco, *true) * u.deg})
    expected = angular_resolution(table, [0.5, 2] * u.TeV)
    assert found["angular_resolution"][0, 0] == pytest.approx(
        expected["angular_resolution_68"][0].to_value("deg"), abs=2e-3
    )


@pytest.mark.parametrize(("alt", "az"), [(60, 360), (60, 123), (89.95, 40), (90, 0)])
def test_separations_do_not_depend_on_where_the_telescope_points(alt, az):
    reference, found = metrics_of(60, 0)[0], metrics_of(alt, az)[0]
    for name in ("angular_resolution", "mean_separation", "rms_separation"):
        np.testing.assert_allclose(found[name], reference[name], rtol=1e-6)


def test_containment_and_density():
    angle = np.array([0.05, 0.15, 0.15, 0.95])
    r = resample_showers(np.arange(4), np.ones(4), 20, seed=1)
    found = direction.containment(r, angle, limit=0.5, confidence=0.68, points=5)
    assert found.angle == pytest.approx((0.1, 0.2, 0.3, 0.4, 0.5))
    assert [row.value for row in found.fraction] == [0.25, 0.75, 0.75, 0.75, 0.75]
    sky = direction.density(np.array([[0.5, -0.5], [0.5, -0.5], [3.0, 0.0]]), limit=1.0, cells=2)
    assert sky.events == ((0, 2), (0, 0))
    assert sky.outside == 1


def events_at(alt, n=600):
    rng = np.random.default_rng(9)
    plane, alt0, az0 = around(np.deg2rad(alt), 0.01, n)
    true_alt, true_az = direction.sky_direction(plane, alt0, az0)
    energy = 10 ** rng.uniform(0, 1, n)
    events = EvaluationEvents(
        np.ones(n), energy, np.arange(n), alt=true_alt, az=true_az, pointing_alt=alt0, pointing_az=az0
    )
    return plane, events, rng


def test_evaluate_compares_directions():
    plane, events, rng = events_at(70)
    good, bad = (plane + rng.normal(0, s, plane.shape) for s in (0.1, 0.2))
    found = evaluate_pair(good, bad, events, EvaluationConfig(bootstrap=40), 1, "direction")
    assert found.pair().metrics["angular_resolution"].ratio.value == pytest.approx(2, abs=0.2)
    assert found.pair().metrics["angular_resolution"].state == "worse"
    assert len(found.pair().bins["angular_resolution"]) == len(energy_bins(events.energy, 5))
    assert found.details.models["float"].containment.fraction[-1].value > 0.9
    bare = EvaluationEvents(events.label, events.energy, events.shower_id)
    with pytest.raises(InputError, match="true direction"):
        evaluate_pair(good, bad, bare, EvaluationConfig(bootstrap=40), 1, "direction")


def test_near_the_zenith_the_reader_is_warned():
    plane, events, _ = events_at(89)
    found = evaluate_pair(plane, plane, events, EvaluationConfig(bootstrap=20), 1, "direction")
    assert any("zenith" in flag for flag in found.flags)
    assert found.pair().metrics["mean_separation"].reference.value == pytest.approx(0, abs=1e-6)
