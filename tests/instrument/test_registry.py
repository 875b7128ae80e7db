from dataclasses import replace

import numpy as np
import pytest
from plugin_page import block, place, place_from_page

from trigger_ml.core.config import EventsConfig, InputConfig, SimulationConfig
from trigger_ml.core.errors import CameraMismatchError, ConfigError, InputError
from trigger_ml.core.particles import PRIMARY_IDS
from trigger_ml.events.dl1 import write_dl1
from trigger_ml.events.loading import load_dataset
from trigger_ml.events.sources import open_events, require_camera
from trigger_ml.events.table import EventTable, Truth
from trigger_ml.instrument import sst1m
from trigger_ml.instrument.digicam import digicam, sst1m_subarray
from trigger_ml.instrument.registry import CAMERAS, camera
from trigger_ml.simulation.production import simulate

GROUP = "trigger_ml.cameras"
SIMPLE = """
from dataclasses import replace
from trigger_ml.instrument.digicam import digicam

def other():
    found = digicam()
    geometry = found.geometry.transform_to(found.geometry.frame)
    geometry.name = "Other"
    return replace(found, name="Other", geometry=geometry)
"""


@pytest.fixture
def hexcam(monkeypatch, tmp_path):
    """The page's camera, from its installed package."""
    place_from_page(monkeypatch, tmp_path / "site", "hexcam")
    return camera("HexCam")


def events(n, particle, n_pixels=91):
    rng = np.random.default_rng(PRIMARY_IDS[particle])
    numbers = np.arange(n)
    return EventTable(
        obs_id=np.full(n, 1 + PRIMARY_IDS[particle]),
        event_id=100 * (numbers + 1),
        tel_id=np.ones(n, dtype=np.int64),
        image=rng.gamma(0.5, 20.0, (n, n_pixels)).astype(np.float32),
        peak_time=rng.uniform(0, 60, (n, n_pixels)).astype(np.float32),
        pointing_alt=np.full(n, 1.2),
        pointing_az=np.zeros(n),
        truth=Truth(
            primary_id=np.full(n, PRIMARY_IDS[particle]),
            shower_id=numbers + 1,
            energy=rng.uniform(1, 10, n),
            alt=np.full(n, 1.2),
            az=np.zeros(n),
            core_x=rng.normal(0, 50, n),
            core_y=rng.normal(0, 50, n),
            h_first_int=np.full(n, 2e4),
            x_max=np.full(n, 300.0),
        ),
    )


def test_digicam_is_the_default():
    assert camera() is camera("DigiCam") is digicam()
    found = camera()
    assert found.name == SimulationConfig().camera == sst1m_subarray().tel[1].camera.name
    assert found.grid.n_pixels == sst1m.N_PIXELS == 1296
    assert found.geometry == sst1m_subarray().tel[1].camera.geometry
    assert found.readout == sst1m_subarray().tel[1].camera.readout
    assert found.subarray([(0, 0, 0), (80, 0, 0)]).tel[2].camera.name == "DigiCam"
    assert (found.adc.amplitude, found.adc.baseline, found.adc.maximum) == (5.2, 300, 4095)


def test_a_camera_from_outside_has_a_grid_and_patches(hexcam):
    assert "HexCam" in CAMERAS.names()
    assert CAMERAS.origin("HexCam", "camera") == "hexcam 1.0"
    assert hexcam.grid.n_pixels == 91
    assert hexcam.grid.shape == (11, 11)
    assert len(hexcam.grid.symmetries) == 12
    inside = np.bincount(hexcam.patches.patch_of_pixel) == 3
    # 91 is no multiple of three
    assert inside.sum() >= 20
    assert not inside.all()
    touching = hexcam.geometry.neighbor_matrix
    for patch in np.flatnonzero(inside):
        pixels = np.flatnonzero(hexcam.patches.patch_of_pixel == patch)
        assert touching[np.ix_(pixels, pixels)].sum() == 6


def test_a_network_reads_events_of_a_camera_from_outside(hexcam, tmp_path):
    paths, images = [], []
    for particle in ("gamma", "proton"):
        table = events(20, particle)
        paths.append(tmp_path / f"{particle}.dl1.h5")
        write_dl1(paths[-1], table, hexcam.subarray([(0.0, 0.0, 0.0)]))
        images.append(table.image)
    settings = InputConfig(pedestal="none")
    dataset = load_dataset(paths, EventsConfig(camera="HexCam", input=settings))
    assert dataset.grid.camera == "HexCam"
    assert dataset.grid.same_layout(hexcam.grid)
    assert dataset.counts.shape == (40, 11, 11, 1)
    image = np.concatenate(images)
    expected = np.clip(np.rint(image / settings.charge_lsb), 0, 2**settings.bits - 1)
    found = dataset.counts[:, hexcam.grid.rows, hexcam.grid.columns, 0]
    assert np.mean(expected > 0) > 0.5
    np.testing.assert_array_equal(found, expected)
    assert dataset.counts.sum() == found.sum()
    np.testing.assert_array_equal(dataset.label, [1] * 20 + [0] * 20)
    with pytest.raises(CameraMismatchError, match=r"has camera HexCam \(91 pixels on 11 x 11\).*DigiCam"):
        require_camera(open_events(paths[0]), camera().grid)


def test_the_page_shows_how_to_ask_for_it(hexcam):
    names = {}
    exec(block("After `pip install .`", "python"), names)
    assert names["hexcam"].name == "HexCam"


def test_only_digicam_can_be_simulated(hexcam, tmp_path):
    with pytest.raises(ConfigError, match=r"simulation.camera: HexCam: .*DigiCam. Give events of HexCam"):
        simulate(SimulationConfig(camera="HexCam"), tmp_path / "events", seed=1, progress=False)
    with pytest.raises(ConfigError, match=r"simulation.camera: NectarCam: no camera has this name"):
        simulate(SimulationConfig(camera="NectarCam"), tmp_path / "events", seed=1, progress=False)
    assert not (tmp_path / "events").exists()


def test_an_unknown_name_is_told_with_the_known_ones(hexcam):
    with pytest.raises(ConfigError) as caught:
        camera("Digicam", "trigger.camera")
    assert str(caught.value) == (
        "trigger.camera: Digicam: no camera has this name; the nearest is DigiCam. Known: DigiCam, HexCam; "
        "a package adds one by an entry point of the group trigger_ml.cameras (docs/plugins.md)."
    )


@pytest.mark.parametrize("name", ["DigiCam", "Other"])
def test_a_doubled_name_is_an_error_that_names_both(monkeypatch, tmp_path, name):
    for number in (1, 2):
        place(
            monkeypatch, tmp_path / str(number), f"cam{number}", SIMPLE, GROUP,
            {name: f"cam{number}:other"}, f"package-{number}", f"{number}.0",
        )  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        camera(name)
    for number in (1, 2):
        assert f"package-{number} {number}.0 (entry point {GROUP}: {name} = cam{number}:other)" in str(
            caught.value
        )
    assert ("trigger_ml itself" in str(caught.value)) == (name == "DigiCam")
    if name == "Other":
        # who does not ask for it is not concerned
        assert camera().name == "DigiCam"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import not_installed_anywhere", "cannot be loaded .ModuleNotFoundError: No module named 'not_inst"),
        ("other = 3", r"cannot be loaded \(TypeError: 'int' object is not callable\)"),
        ("def another(): ...", "cannot be loaded .AttributeError: .*other"),
        ("def other(): raise RuntimeError('no\\nluck')", r"cannot be loaded \(RuntimeError: no\)"),
        ("def other(): return 'a camera'", "it gives a str, no Camera"),
        ("from trigger_ml.instrument.digicam import digicam as other", "gives a camera of the name DigiCam"),
        (
            SIMPLE.replace(", geometry=geometry", ""),
            "InputError: camera Other: its geometry has the name Dig",
        ),
    ],
)
def test_a_broken_plug_in_is_one_error_that_names_it(monkeypatch, tmp_path, source, why):
    place(monkeypatch, tmp_path, "broken", source, GROUP, {"Other": "broken:other"}, "a-package", "2.1")
    with pytest.raises(ConfigError, match=why) as caught:
        camera("Other")
    text = str(caught.value)
    assert text.startswith(f"plug-in a-package 2.1 (entry point {GROUP}: Other = broken:other): it ")
    assert "\n" not in text
    # it does no harm to those who do not ask for it
    assert camera().name == "DigiCam"


def test_a_simple_plug_in_works(monkeypatch, tmp_path):
    place(monkeypatch, tmp_path, "simple", SIMPLE, GROUP, {"Other": "simple:other"})
    assert camera("Other").grid.same_layout(camera().grid)


@pytest.mark.parametrize("part", ["readout", "patches"])
def test_parts_of_another_camera_are_refused(hexcam, part):
    with pytest.raises(InputError, match=f"camera HexCam: its geometry has 91 pixels, its {part} 1296"):
        replace(hexcam, **{part: getattr(digicam(), part)})
