"""Files with varied conditions: monitoring tables, the truth, and the night sky alone."""

import numpy as np
import pytest
from ctapipe.containers import EventType
from ctapipe.io import EventSource, HDF5MonitoringSource, MonitoringType

from trigger_ml.core.config import EventsConfig, ParticleConfig, SimulationConfig
from trigger_ml.core.errors import InputError
from trigger_ml.events.dl1 import read_dl1
from trigger_ml.events.loading import load_dataset
from trigger_ml.events.monitoring import SLOT, read_conditions
from trigger_ml.simulation import chunks, telescope
from trigger_ml.simulation.chunks import Worker
from trigger_ml.simulation.nuisances import NAMES, block_generator, disturb, draw
from trigger_ml.simulation.production import simulate

NUISANCES = {
    "night_sky": (0.03, 0.25),
    "gain": (0.9, 1.1),
    "throughput": (0.8, 1.05),
    "dead_pixels": (0.01, 0.05),
    "pedestal_offset": (0.1, 1.0),
}
PARTICLES = {
    name: ParticleConfig(events=16, energy_min=low, energy_max=80.0, max_core_distance=250.0)
    for name, low in (("gamma", 3.0), ("electron", 3.0))
}
SEED = 3


def config(workers=1, **changes):
    values = {"particles": PARTICLES, "nuisances": NUISANCES, "night_sky_events": 20}
    return SimulationConfig(workers=workers, **values | changes)


def patch(monkeypatch):
    monkeypatch.setattr(chunks, "SHOWERS_PER_CHUNK", {"gamma": 3, "electron": 3})
    monkeypatch.setattr(telescope, "SKY_SAMPLES", 1 << 15)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        patch(monkeypatch)
        directory = tmp_path_factory.mktemp("blocks")
        made = simulate(config(), directory, seed=SEED, progress=False)
        # the night sky is not among the labelled files
        assert [path.name for path in made] == ["gamma.dl1.h5", "electron.dl1.h5"]
        return directory


@pytest.fixture(params=["gamma", "electron", "night_sky"])
def path(request, folder):
    return folder / f"{request.param}.dl1.h5"


def test_the_truth_can_be_read_back(path):
    found = read_conditions(path)
    assert len(found) > 1
    np.testing.assert_array_equal(found.block, np.arange(len(found)))
    assert set(found.nuisances) == {*NAMES, "trigger_threshold"}
    for row, block in enumerate(found.block):
        expected = draw(config(), SEED, int(block)).to_dict()
        assert {name: found.nuisances[name][row] for name in NAMES} == expected


def test_dead_pixels_are_those_drawn_and_dark(path):
    found = read_conditions(path)
    nominal = Worker(config(), SEED, None).telescopes[1].nominal
    events = next(iter(read_dl1(path)))
    for block in range(len(found)):
        _, dead = disturb(
            nominal, draw(config(), SEED, block), config().nuisances, block_generator(SEED, block, 1)
        )
        assert dead.any()
        np.testing.assert_array_equal(found.dead[block], dead)
        assert np.all(events.image[events.block == block][:, dead] == 0)


def test_events_lie_in_their_block(path):
    found, events = read_conditions(path), next(iter(read_dl1(path)))
    assert events.block.min() == 0
    assert events.block.max() == len(found) - 1
    assert np.all(np.diff(events.block) >= 0)
    np.testing.assert_allclose(np.diff(found.time_start), SLOT, atol=1e-6)
    # what lies between two slots belongs to none
    gap = (found.time_end[:-1] + found.time_start[1:]) / 2
    assert np.all(found.rows(1, gap) == -1)
    assert np.all(found.rows(2, found.time_start + 1) == -1)


def test_pedestals_describe_the_night_sky_file(folder):
    found = read_conditions(folder / "night_sky.dl1.h5")
    events = next(iter(read_dl1(folder / "night_sky.dl1.h5")))
    assert len(events) == 20
    for block in np.unique(events.block):
        images = events.image[events.block == block]
        alive = ~found.dead[block]
        pull = (images - found.pedestal_mean[block])[:, alive] / found.pedestal_std[block][alive]
        assert abs(pull.mean()) < 0.05
        assert pull.std() == pytest.approx(1, abs=0.07)


def test_clocked_events_have_no_shower_and_no_label(folder):
    path = folder / "night_sky.dl1.h5"
    events = next(iter(read_dl1(path)))
    assert events.truth is None
    assert np.all(events.event_type == EventType.SKY_PEDESTAL.value)
    with pytest.raises(InputError, match="no simulated showers"):
        load_dataset([folder / "gamma.dl1.h5", path], EventsConfig())


def test_particles_share_their_conditions(folder):
    one, two = (read_conditions(folder / f"{name}.dl1.h5") for name in ("gamma", "electron"))
    n = min(len(one), len(two))
    for name in NAMES:
        np.testing.assert_array_equal(one.nuisances[name][:n], two.nuisances[name][:n])
    np.testing.assert_array_equal(one.dead[:n], two.dead[:n])
    np.testing.assert_array_equal(one.pedestal_std[:n], two.pedestal_std[:n])


@pytest.mark.filterwarnings("ignore:The function argument 'time'")
def test_ctapipe_finds_the_monitoring_of_each_event(path):
    ours, events = read_conditions(path), next(iter(read_dl1(path)))
    seen = 0
    with EventSource(path) as source:
        monitoring = HDF5MonitoringSource(subarray=source.subarray, input_files=[path])
        assert {MonitoringType.PIXEL_STATISTICS, MonitoringType.CAMERA_COEFFICIENTS} == set(
            monitoring.monitoring_types
        )
        for row, event in enumerate(source):
            block = int(events.block[row])
            camera = monitoring.get_camera_monitoring_container(1, event.trigger.time)
            alive = ~ours.dead[block]
            for name in ("mean", "median", "std"):
                theirs = camera.pixel_statistics.pedestal_image[name][0]
                np.testing.assert_array_equal(theirs[alive], getattr(ours, f"pedestal_{name}")[block][alive])
                assert np.all(np.isnan(theirs[~alive]))
            np.testing.assert_array_equal(camera.coefficients.outlier_mask[0], ours.dead[block])
            np.testing.assert_allclose(camera.coefficients.pedestal_offset[0], ours.baseline_mean[block])
            seen += 1
    assert seen == len(events)


def test_nominal_files_hold_monitoring_too(tmp_path, monkeypatch):
    patch(monkeypatch)
    plain = config(nuisances={}, night_sky_events=0, particles={"gamma": PARTICLES["gamma"]})
    (path,) = simulate(plain, tmp_path, seed=SEED, progress=False)
    found = read_conditions(path)
    assert np.all(found.nuisances["gain"] == 1)
    assert np.all(found.nuisances["night_sky"] == plain.nsb_rate)
    assert not found.dead.any()
    assert next(iter(read_dl1(path))).block.max() == len(found) - 1
    assert not (tmp_path / "night_sky.dl1.h5").exists()


def test_files_without_monitoring_have_no_conditions(folder, tmp_path):
    from trigger_ml.events.dl1 import read_subarray, write_dl1

    events = next(iter(read_dl1(folder / "gamma.dl1.h5")))
    write_dl1(tmp_path / "plain.h5", events, read_subarray(folder / "gamma.dl1.h5"))
    assert len(read_conditions(tmp_path / "plain.h5")) == 0
    assert np.all(next(iter(read_dl1(tmp_path / "plain.h5"))).block == -1)


@pytest.mark.slow
def test_number_of_workers_does_not_matter(tmp_path):
    # in a spawned worker nothing is patched: whole chunks, and the blocks that they have
    small = {"gamma": PARTICLES["gamma"].model_copy(update={"events": 300})}
    files = []
    for workers in (1, 2):
        directory = tmp_path / str(workers)
        simulate(config(workers, particles=small, night_sky_events=150), directory, seed=5, progress=False)
        files.append(directory)
    for name in ("gamma", "night_sky"):
        one, two = (read_conditions(directory / f"{name}.dl1.h5") for directory in files)
        np.testing.assert_array_equal(one.pedestal_std, two.pedestal_std)
        np.testing.assert_array_equal(one.nuisances["night_sky"], two.nuisances["night_sky"])
        tables = (read_dl1(directory / f"{name}.dl1.h5") for directory in files)
        for first, second in zip(*tables, strict=True):
            np.testing.assert_array_equal(first.image, second.image)
            np.testing.assert_array_equal(first.block, second.block)
