import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, SkyCoord
from astropy.time import Time
from ctapipe.coordinates import TelescopeFrame
from ctapipe.image.toymodel import SkewedGaussian
from ctapipe.io import read_table
from scipy.stats import kstest

from trigger_ml.core.config import ParticleConfig, SimulationConfig
from trigger_ml.events.digicam import digicam_geometry, sst1m_subarray
from trigger_ml.events.dl1 import read_dl1, read_runs
from trigger_ml.events.table import concatenate
from trigger_ml.simulation.standin import TRIGGER_THRESHOLD, power_law, simulate, skewed_gaussian

CONFIG = SimulationConfig(
    particles={
        "gamma": ParticleConfig(events=300),
        "proton": ParticleConfig(events=300, energy_min=0.5, energy_max=300, view_cone=8),
    }
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return simulate(CONFIG, tmp_path_factory.mktemp("sim"), seed=11, progress=False)


@pytest.fixture(scope="module")
def events(files):
    return [concatenate(list(read_dl1(path, true_image=True, peak_time=True))) for path in files]


def hillas(path):
    return read_table(path, "/dl1/event/telescope/parameters/tel_001")


def test_one_file_for_each_particle_with_all_its_events(files, events):
    assert [path.name for path in files] == ["gamma.dl1.h5", "proton.dl1.h5"]
    assert [len(table) for table in events] == [300, 300]
    assert set(events[0].truth.primary_id) == {0}
    assert set(events[1].truth.primary_id) == {101}
    assert not set(events[0].obs_id) & set(events[1].obs_id)


def test_density_is_that_of_ctapipes_toy_model():
    geometry = digicam_geometry()
    x, y, psi = 0.1, -0.05, 0.7
    model = SkewedGaussian(
        x=x * u.m, y=y * u.m, length=0.05 * u.m, width=0.02 * u.m, psi=psi * u.rad, skewness=0.4
    )
    dx, dy = geometry.pix_x.value - x, geometry.pix_y.value - y
    along, across = dx * np.cos(psi) + dy * np.sin(psi), -dx * np.sin(psi) + dy * np.cos(psi)
    ours = skewed_gaussian(
        along[np.newaxis], across[np.newaxis], np.array([0.05]), np.array([0.02]), np.array([0.4])
    )
    np.testing.assert_allclose(
        ours[0], model.pdf(geometry.pix_x, geometry.pix_y).to_value("m-2"), rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize("index", [-1.0, -2.0, -2.7])
def test_energies_follow_the_power_law(index):
    energy = power_law(np.random.default_rng(0), 5000, 0.3, 100.0, index)

    def cumulative(x):
        if index == -1.0:
            return np.log(x / 0.3) / np.log(100 / 0.3)
        power = index + 1
        return (x**power - 0.3**power) / (100**power - 0.3**power)

    assert kstest(energy, cumulative).pvalue > 1e-3


def test_same_seed_same_events_and_another_seed_others(files, tmp_path):
    small = SimulationConfig(particles={"gamma": ParticleConfig(events=40)})
    images = []
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        (path,) = simulate(small, tmp_path / folder, seed=seed, progress=False)
        images.append(next(read_dl1(path)).image)
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_more_events_begin_with_the_same_ones(tmp_path):
    """Only the end of a production depends on how many events are asked for."""
    images = []
    for n in (20, 35):
        config = SimulationConfig(particles={"gamma": ParticleConfig(events=n)})
        (path,) = simulate(config, tmp_path / str(n), seed=3, progress=False)
        images.append(next(read_dl1(path)).image)
    np.testing.assert_array_equal(images[0], images[1][:20])


def test_record_of_the_run_counts_what_was_thrown(files, events):
    for path, table in zip(files, events, strict=True):
        (run,) = read_runs(path)
        assert run.thrown.sum() == run.n_showers * run.n_reuse
        shower = table.event_id // 100
        assert shower[-1] == run.n_showers
        assert shower.max() == run.n_showers
        # uniform cores: the mean distance is two thirds of the radius
        centre = (run.core_edges[1:] + run.core_edges[:-1]) / 2
        assert np.average(centre, weights=run.thrown.sum(axis=0)) == pytest.approx(500 * 2 / 3, rel=0.05)


def test_uses_share_what_belongs_to_the_shower(events):
    truth, shower = events[0].truth, events[0].event_id // 100
    for column in ("energy", "alt", "az", "h_first_int"):
        for one in np.unique(shower):
            assert len(np.unique(getattr(truth, column)[shower == one])) == 1
    assert len(np.unique(truth.core_x)) == len(truth)
    assert len(np.unique(truth.shower_id)) == len(np.unique(shower))


def source_offset(table):
    # any place and time will do, for directions relative to the horizon
    frame = AltAz(location=sst1m_subarray().reference_location, obstime=Time("2026-01-01"))
    source = SkyCoord(alt=table.truth.alt * u.rad, az=table.truth.az * u.rad, frame=frame)
    pointing = SkyCoord(alt=table.pointing_alt * u.rad, az=table.pointing_az * u.rad, frame=frame)
    return source, pointing


def test_gammas_come_from_the_source_and_protons_from_the_cone(events):
    source, pointing = source_offset(events[0])
    np.testing.assert_allclose(source.separation(pointing).deg, 0.5, atol=1e-6)
    source, pointing = source_offset(events[1])
    separation = source.separation(pointing).deg
    assert 4 < separation.max() <= 8


def test_gamma_images_point_at_their_source(files, events):
    """The line through an image passes near the source; the telescope frame is ctapipe's, not ours."""
    parameters = hillas(files[0])
    source, pointing = source_offset(events[0])
    place = source.transform_to(TelescopeFrame(telescope_pointing=pointing))
    x, y, psi = (np.asarray(parameters[f"hillas_{name}"]) for name in ("fov_lon", "fov_lat", "psi"))
    elongated = np.asarray(parameters["hillas_length"] > 2.5 * parameters["hillas_width"])
    elongated &= np.asarray(parameters["hillas_intensity"]) > 150
    assert elongated.sum() > 20
    dx, dy = place.fov_lon.deg - x, place.fov_lat.deg - y
    miss = np.abs(-dx * np.sin(np.deg2rad(psi)) + dy * np.cos(np.deg2rad(psi)))[elongated]
    assert np.median(miss) < 0.12


def test_protons_are_wider_and_farther_out(files):
    gamma, proton = (hillas(path) for path in files)
    assert np.nanmedian(proton["hillas_width"]) > 1.15 * np.nanmedian(gamma["hillas_width"])
    assert np.nanmedian(proton["hillas_r"]) > 1.5 * np.nanmedian(gamma["hillas_r"])


def test_classes_overlap(files):
    """Width alone must not give the answer away (nor be useless)."""
    from sklearn.metrics import roc_auc_score

    width = [np.nan_to_num(np.asarray(hillas(path)["hillas_width"]), nan=0.1) for path in files]
    auc = roc_auc_score([0] * 300 + [1] * 300, np.concatenate(width))
    assert 0.6 < auc < 0.9


def test_every_image_fulfils_the_trigger_condition(events):
    neighbours = digicam_geometry().neighbor_matrix_sparse
    for table in events:
        near = (neighbours @ table.true_image.T).T + table.true_image
        assert (near.max(axis=1) >= TRIGGER_THRESHOLD).all()


def test_noise_is_that_of_the_night_sky(events):
    """Pixels without Cherenkov light have zero mean and the spread of their photo-electrons."""
    dark = events[0].image[events[0].true_image == 0]
    expected = np.sqrt(0.2 * 28 * (1 + 0.15**2) + 0.6**2)
    assert dark.mean() == pytest.approx(0, abs=0.01)
    assert dark.std() == pytest.approx(expected, rel=0.01)


def test_more_energy_more_light(events):
    truth, size = events[0].truth, events[0].true_image.sum(axis=1)
    near = np.hypot(truth.core_x, truth.core_y) < 120
    assert np.corrcoef(np.log(truth.energy[near]), np.log(size[near]))[0, 1] > 0.9


def test_several_telescopes_see_one_shower(tmp_path):
    config = SimulationConfig(
        particles={"gamma": ParticleConfig(events=80, energy_min=5.0)},
        telescopes=((70.0, 30.0, 0.0), (-70.0, -30.0, 0.0)),
    )
    (path,) = simulate(config, tmp_path, seed=2, progress=False)
    table = concatenate(list(read_dl1(path)))
    assert len(table) == 80
    assert set(table.tel_id) == {1, 2}
    _, uses = np.unique(table.event_id, return_counts=True)
    assert (uses == 2).sum() > 10
