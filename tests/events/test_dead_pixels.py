"""Pixels that say nothing: in training, in the trees and in `emulate`, as `events.dead_pixels` says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tables
from ctapipe.image import NeighborAverage

from trigger_ml.core.config import EventsConfig, InputConfig
from trigger_ml.core.errors import InputError
from trigger_ml.events.camera_input import NOT_FINITE, CameraInput
from trigger_ml.events.dead_pixels import fill_with_neighbours, silent_pixels
from trigger_ml.events.dl1 import read_dl1, write_dl1
from trigger_ml.events.image_parameters import neighbour_table
from trigger_ml.events.loading import load_dataset
from trigger_ml.events.monitoring import Conditions, slot
from trigger_ml.events.night_sky import load_night_sky
from trigger_ml.events.rival import RivalParameters, read_parameters
from trigger_ml.events.sources import open_events
from trigger_ml.events.table import EventTable
from trigger_ml.instrument.digicam import digicam_geometry, sst1m_subarray

N = 24
DEAD = 77
NAN = np.float32(np.nan)
GEOMETRY = digicam_geometry()
AROUND = GEOMETRY.neighbors[DEAD]


def with_image(table: EventTable, change) -> EventTable:
    image = table.image.copy()
    change(image)
    return replace(table, image=image)


def monitored(table: EventTable, flagged: int | None = None, spreadless: int | None = None) -> Conditions:
    """Two blocks of constant noise; pixels without a flag or a spread in the second only."""
    rows, n_pixels = 2, table.image.shape[1]
    mean, std = np.full((rows, n_pixels), 3.0, np.float32), np.full((rows, n_pixels), 1.0, np.float32)
    mean[:, AROUND] = 4.0
    dead = np.zeros((rows, n_pixels), dtype=bool)
    if flagged is not None:
        dead[1, flagged] = True
    if spreadless is not None:
        std[1, spreadless] = 0.0
    begin, end = slot(np.arange(rows))
    return Conditions(
        np.arange(rows), np.full(rows, 7), np.ones(rows, dtype=np.int64), begin, end, np.full(rows, 64),
        mean, mean, std, mean, std, dead, {},
    )  # fmt: skip


@pytest.fixture
def files(tmp_path, make_events):
    """A gamma and a proton file as tables and paths, written by a function of the images' change."""

    def write(change=lambda image: None, conditions=None):
        made, paths = [], []
        for seed, particle in enumerate(("gamma", "proton")):
            block = np.repeat([0, 1], N // 2)
            table = replace(make_events(N, particle=particle, seed=seed), block=block)
            made.append(with_image(table, change))
            paths.append(tmp_path / f"{particle}.h5")
            given = None if conditions is None else (lambda made=made: conditions(made[-1]))
            write_dl1(paths[-1], made[-1], sst1m_subarray(), conditions=given, parameters=False)
        return made, paths

    return write


def nan_at(pixel, events=slice(None)):
    def change(image):
        image[events, pixel] = NAN

    return change


def config(policy: str, **changes) -> EventsConfig:
    return EventsConfig.model_validate({"dead_pixels": policy, **changes})


def test_filling_is_ctapipes_neighbour_average() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(5, 3, (30, 1296)).astype(np.float32)
    missing = rng.uniform(size=values.shape) < 0.05
    # one with all of its neighbours
    missing[3, [DEAD, *AROUND]] = True
    times = rng.uniform(0, 200, values.shape).astype(np.float32)
    expected = NeighborAverage(sst1m_subarray())
    filled, left = fill_with_neighbours(np.where(missing, NAN, values), missing, neighbour_table(GEOMETRY))
    for row in range(len(values)):
        image, _ = expected(1, values[row].copy(), times[row].copy(), missing[row][np.newaxis])
        np.testing.assert_allclose(filled[row], image, rtol=1e-5, atol=1e-5)
    assert left[3, DEAD]
    assert filled[3, DEAD] == 0
    alive = GEOMETRY.neighbor_matrix.astype(int) @ (~missing).T.astype(int) > 0
    np.testing.assert_array_equal(left, missing & ~alive.T)


def test_silent_pixels_are_nan_in_all_images() -> None:
    images = np.zeros((10, 5), np.float32)
    images[:, 1] = NAN
    images[:9, 2] = NAN
    images[:, 3] = np.inf
    np.testing.assert_array_equal(silent_pixels([images[:5], images[5:]], 5), [0, 1, 0, 0, 0])
    assert not silent_pixels([], 5).any()
    assert not silent_pixels([images[:0]], 5).any()


@pytest.mark.parametrize("pedestal", ["pixel", "none"])
def test_zero_is_no_light_and_costs_no_event(files, pedestal) -> None:
    _, whole = files()
    settings = {"input": {"pedestal": pedestal}}
    expected = load_dataset(whole, config("zero", **settings))
    _, paths = files(nan_at(DEAD))
    found = load_dataset(paths, config("zero", **settings))
    assert found.dropped == {}
    pixels, before = (data.grid.to_pixels(data.counts[..., 0]) for data in (found, expected))
    assert not pixels[:, DEAD].any()
    np.testing.assert_array_equal(np.delete(pixels, DEAD, 1), np.delete(before, DEAD, 1))
    assert np.isfinite(found.size).all()


@pytest.mark.parametrize("pedestal", ["pixel", "none"])
def test_interpolated_pixels_count_the_mean_of_their_neighbours(files, pedestal) -> None:
    """The oracle: files in which that mean stands; and what the pixel's noise is then."""
    made, paths = files(nan_at(DEAD))
    settings = {"input": {"pedestal": pedestal}}
    found = load_dataset(paths, config("interpolate", **settings))
    assert found.dropped == {}
    counts = found.grid.to_pixels(found.counts[..., 0])[:, DEAD]
    number = InputConfig(pedestal=pedestal)
    for index, table in enumerate(made):
        around = table.image[:, AROUND].astype(np.float64)
        charge = around.mean(axis=1)
        expected = np.clip(np.rint(charge / number.charge_lsb), 0, 255)
        if pedestal == "pixel":
            # of each neighbour by itself, of few events none is far off
            mean, spread = around.mean(axis=0).mean(), around.std(axis=0).mean()
            expected = expected - np.rint(mean / number.charge_lsb)
            expected[expected * number.charge_lsb < number.threshold * spread] = 0
        mine = found.file_index == index
        np.testing.assert_allclose(counts[mine], expected, atol=1)
    if pedestal == "pixel":
        # the network does not see that it is dead
        assert not found.conditions["dead"].any()


def test_a_pixel_that_is_nan_in_one_event(files) -> None:
    """Without interpolation nobody can tell what it held: the event is left out, and counted."""
    made, paths = files(nan_at(DEAD, 3))
    assert load_dataset(paths, config("zero")).dropped == {NOT_FINITE: 2}
    found = load_dataset(paths, config("interpolate", input={"pedestal": "none"}))
    assert found.dropped == {}
    charge = made[0].image[3, AROUND].mean(dtype=np.float64)
    assert found.grid.to_pixels(found.counts[3:4, ..., 0])[0, DEAD] == np.clip(np.rint(charge / 0.5), 0, 255)
    # an infinite charge is no dead pixel, and a pixel without a living neighbour is made up by nobody
    for change in (lambda image: image.__setitem__((3, DEAD), np.inf), nan_at([DEAD, *AROUND], 3)):
        _, paths = files(change)
        assert load_dataset(paths, config("interpolate")).dropped == {NOT_FINITE: 2}


@pytest.mark.parametrize("pedestal", ["pixel", "none"])
@pytest.mark.parametrize("how", ["flagged", "spreadless", "silent"])
def test_what_the_monitoring_says_holds_for_its_events(files, pedestal, how) -> None:
    """Flags of a pixel, or a spread of nothing, in the second block only; NaN in all images of both."""

    def change(image):
        image[:, DEAD] = NAN if how == "silent" else 200

    marked = {} if how == "silent" else {how: DEAD}
    made, paths = files(change, lambda table: monitored(table, **marked))
    dead = np.tile(np.repeat([how == "silent", True], N // 2), 2)
    settings = {"input": {"pedestal": pedestal}}
    found = load_dataset(paths, config("zero", **settings))
    assert found.dropped == {}
    counts = found.grid.to_pixels(found.counts[..., 0])[:, DEAD]
    np.testing.assert_array_equal(counts > 0, ~dead)
    if pedestal == "pixel":
        np.testing.assert_allclose(found.conditions["dead"], dead / 1296)
    filled = load_dataset(paths, config("interpolate", **settings))
    counts = filled.grid.to_pixels(filled.counts[..., 0])[:, DEAD]
    around = np.concatenate([table.image[:, AROUND] for table in made]).astype(np.float64).mean(axis=1)
    expected = np.clip(np.rint(around / 0.5), 0, 255)
    if pedestal == "pixel":
        # mean 4, spread 1: threshold 3
        expected = np.where(expected - 8 >= 6, expected - 8, 0)
    np.testing.assert_array_equal(counts[dead], expected[dead])


@pytest.mark.parametrize(
    ("change", "marked", "event"),
    [(nan_at(DEAD), {}, 0), (nan_at(DEAD, 5), {}, 5), (lambda image: None, {"flagged": DEAD}, N // 2)],
    ids=["silent", "one event", "flagged"],
)
def test_refused_pixels_are_named(files, change, marked, event) -> None:
    made, paths = files(change, lambda table: monitored(table, **marked))
    with pytest.raises(InputError) as raised:
        load_dataset(paths, config("refuse"))
    said = str(raised.value)
    assert said.startswith(
        f"{paths[0]}: event {made[0].event_id[event]} of observation 7, telescope 1: pixel {DEAD} "
    )
    assert "events.dead_pixels" in said
    _, good = files()
    assert len(load_dataset(good, config("refuse"))) == 2 * N


@pytest.mark.parametrize("policy", ["zero", "interpolate"])
def test_night_sky_files_and_other_readers_get_the_same(files, policy) -> None:
    """Training, its clocked events, and what `emulate` opens: one preparation."""
    _, paths = files(nan_at(DEAD), lambda table: monitored(table, flagged=500))
    settings = config(policy)
    found = load_dataset(paths[:1] + paths[1:], settings)
    night = load_night_sky(paths, settings)
    np.testing.assert_array_equal(night.counts, found.counts)
    np.testing.assert_array_equal(night.conditions["dead"], found.conditions["dead"])
    for number, path in enumerate(paths):
        source = open_events(path, chunk_size=7)
        feed = CameraInput.of_source(source, settings.input, settings.dead_pixels)
        parts = []
        for read in source:
            table, good = feed.prepare(read)
            assert good.all()
            parts.append(feed.counts(table))
        np.testing.assert_array_equal(np.concatenate(parts), found.counts[found.file_index == number])


@pytest.mark.parametrize("policy", ["zero", "interpolate"])
def test_trees_see_the_pixels_as_networks_do(files, policy) -> None:
    made, paths = files(nan_at(DEAD))
    settings = config(policy)
    dataset = load_dataset(paths, settings)
    found = read_parameters(dataset, settings)
    images = np.concatenate([table.image for table in made])
    if policy == "interpolate":
        images[:, DEAD] = images[:, AROUND].mean(axis=1)
    else:
        images[:, DEAD] = np.repeat([dataset.conditions["pedestal"][i] for i in (0, N)], N)
    expected = RivalParameters(GEOMETRY).compute(images)
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, rtol=1e-3, atol=1e-3, err_msg=name)
    assert np.isfinite(found["noise"]).all()


@pytest.mark.parametrize("policy", ["zero", "interpolate"])
@pytest.mark.parametrize("pedestal", ["pixel", "none"])
def test_a_camera_without_a_living_pixel_saw_nothing(files, policy, pedestal) -> None:
    _, paths = files(nan_at(slice(None)))
    with pytest.raises(InputError, match="no usable gamma events"):
        load_dataset(paths, config(policy, input={"pedestal": pedestal}))


def test_flags_of_the_calibration_count_too(files) -> None:
    """ctapipe marks pixels in the table of its calibration coefficients; the pedestals may not."""
    _, paths = files(conditions=monitored)
    name = "/dl1/monitoring/telescope/calibration/camera/coefficients/tel_001"
    for path in paths:
        with tables.open_file(path, "a") as h5:
            node = h5.get_node(name)
            rows = node.read()
            rows["outlier_mask"][1, 0, DEAD] = True
            node.modify_rows(0, len(rows), rows=rows)
    found = load_dataset(paths, config("zero"))
    np.testing.assert_allclose(found.conditions["dead"], np.tile(np.repeat([0, 1], N // 2), 2) / 1296)


def test_the_images_in_the_file_are_not_touched(files) -> None:
    made, paths = files(nan_at(DEAD))
    table = next(read_dl1(Path(paths[0])))
    feed = CameraInput.of_source(open_events(paths[0]), InputConfig(), "interpolate")
    feed.prepare(table)
    np.testing.assert_array_equal(table.image, made[0].image)
