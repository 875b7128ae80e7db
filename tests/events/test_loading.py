from dataclasses import replace

import numpy as np
import pytest
import tables
from ctapipe.image import tailcuts_clean

from trigger_ml.core.config import EventsConfig, InputConfig, SplitConfig
from trigger_ml.core.errors import CameraMismatchError, InputError
from trigger_ml.events.dataset import split_by_shower
from trigger_ml.events.dl1 import write_dl1
from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.events.loading import NOT_FINITE, TOO_SMALL, load_dataset
from trigger_ml.events.noise import PixelNoise
from trigger_ml.events.quantize import charge_rule, to_counts
from trigger_ml.events.table import concatenate
from trigger_ml.instrument.camera import axial_grid
from trigger_ml.instrument.digicam import digicam_geometry, sst1m_subarray

RAW = InputConfig(pedestal="none")


@pytest.fixture
def two_files(tmp_path, make_events):
    """Events of a gamma and of a proton file; the tables and the paths."""
    made, paths = [], []
    for seed, (particle, n) in enumerate((("gamma", 40), ("proton", 60))):
        events = make_events(n, particle=particle, seed=seed)
        path = tmp_path / f"{particle}.dl1.h5"
        write_dl1(path, events, sst1m_subarray())
        made.append(events)
        paths.append(path)
    return made, paths


def change_images(path, change):
    """Apply a function to all images of telescope 1, as damage."""
    with tables.open_file(path, "r+") as h5:
        table = h5.root.dl1.event.telescope.images.tel_001
        images = table.col("image")
        change(images)
        table.modify_column(column=images, colname="image")


def test_columns_follow_the_files(two_files):
    events, paths = two_files
    dataset = load_dataset(paths, EventsConfig(input=RAW))
    assert len(dataset) == 100
    joined = concatenate(events)
    np.testing.assert_array_equal(dataset.label, [1] * 40 + [0] * 60)
    np.testing.assert_array_equal(dataset.event_id, joined.event_id)
    np.testing.assert_allclose(dataset.energy, joined.truth.energy)
    expected = to_counts(joined, RAW, axial_grid(digicam_geometry()))
    np.testing.assert_array_equal(dataset.counts, expected)
    assert dataset.dropped == {}
    assert dataset.files == tuple(paths)
    np.testing.assert_array_equal(dataset.file_index, [0] * 40 + [1] * 60)
    assert len(set(dataset.shower_id[:40]) & set(dataset.shower_id[40:])) == 0
    assert len(np.unique(dataset.shower_id)) == 10 + 15
    np.testing.assert_array_equal(dataset.shower_id, dataset.truth.shower_id)


def test_rows_can_be_chosen(two_files):
    dataset = load_dataset(two_files[1], EventsConfig(input=RAW))
    part = dataset[np.array([99, 3])]
    np.testing.assert_array_equal(part.label, [0, 1])
    np.testing.assert_array_equal(part.counts, dataset.counts[[99, 3]])
    np.testing.assert_array_equal(part.truth.energy, dataset.energy[[99, 3]])
    np.testing.assert_array_equal(part.file_index, [1, 0])
    assert part.grid is dataset.grid


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
def test_pixels_not_finite_drop_the_event_and_are_counted(two_files, value):
    _, paths = two_files

    def damage(images):
        images[[0, 17], [3, 1295]] = value

    change_images(paths[0], damage)
    dataset = load_dataset(paths, EventsConfig(input=RAW))
    assert dataset.dropped == {NOT_FINITE: 2}
    assert dataset.label.sum() == 38
    whole = load_dataset(paths[1:] + paths[:1], EventsConfig(input=RAW))
    assert len(whole) == 98


def test_opposite_infinities_do_not_hide_each_other(two_files):
    _, paths = two_files

    def damage(images):
        images[5, :2] = np.inf, -np.inf

    change_images(paths[1], damage)
    assert load_dataset(paths, EventsConfig(input=RAW)).dropped == {NOT_FINITE: 1}


def test_small_images_are_dropped_and_counted(two_files):
    """What is small is told by one size, which is ctapipe's cleaning above the image's own noise."""
    events, paths = two_files
    geometry, expected = digicam_geometry(), []
    for image in np.concatenate([table.image for table in events]):
        # of every third pixel the median, and the 16 % point below it
        some = np.sort(image[::3])
        level, spread = some[216], some[216] - some[68]
        cuts = max(8, 4 * spread), max(4, 2 * spread)
        lit = tailcuts_clean(geometry, image - level, *cuts, min_number_picture_neighbors=2)
        expected.append((image - level)[lit].sum(dtype=np.float64))
    size = load_dataset(paths, EventsConfig(input=RAW)).size
    np.testing.assert_allclose(size, expected, rtol=1e-5)
    limit = float(np.median(size))
    dataset = load_dataset(paths, EventsConfig(input=RAW, min_size=limit))
    assert dataset.dropped == {TOO_SMALL: int((size < limit).sum())}
    np.testing.assert_array_equal(dataset.size, size[size >= limit])


def test_a_bright_sky_is_not_large(tmp_path, make_events):
    """At the fixed tail cuts each of these images would hold hundreds of photo-electrons."""
    paths = []
    for particle, light in (("gamma", 60), ("proton", 0)):
        table = make_events(20, particle=particle)
        image = np.random.default_rng(1).normal(0, 8, table.image.shape).astype(np.float32)
        image[:, :50] += light
        parameters = ImageParameters(digicam_geometry())
        assert np.where(parameters.clean(image), image, 0).sum(axis=1).min() > 200
        paths.append(tmp_path / f"{particle}.h5")
        write_dl1(paths[-1], replace(table, image=image), sst1m_subarray())
    with pytest.raises(InputError, match=r"no usable background events \(dropped: 20 below min_size\)"):
        load_dataset(paths, EventsConfig(input=RAW, min_size=200))


def test_max_events_takes_the_first_of_each_class(two_files):
    events, paths = two_files
    dataset = load_dataset(paths, EventsConfig(input=RAW, max_events=13))
    np.testing.assert_array_equal(dataset.event_id[:13], events[0].event_id[:13])
    np.testing.assert_array_equal(dataset.event_id[13:], events[1].event_id[:13])


def test_files_of_growing_length(tmp_path, make_events):
    """Room is made by the first file's length; longer ones must not be cut."""
    paths, expected = [], []
    for seed, (particle, n) in enumerate((("gamma", 4), ("proton", 36), ("proton", 8), ("gamma", 60))):
        events = make_events(n, particle=particle, seed=seed, obs_id=seed)
        paths.append(tmp_path / f"{seed}.h5")
        write_dl1(paths[-1], events, sst1m_subarray())
        expected.append(to_counts(events, RAW, axial_grid(digicam_geometry())))
    dataset = load_dataset(paths, EventsConfig(input=RAW))
    np.testing.assert_array_equal(dataset.counts, np.concatenate(expected))
    assert dataset.counts.shape[0] == len(dataset.label) == 108
    assert len(np.unique(dataset.shower_id)) == 1 + 9 + 2 + 15


def test_empty_class_is_refused(two_files):
    _, paths = two_files
    with pytest.raises(InputError, match=r"gamma.dl1.h5: hold no usable background events"):
        load_dataset(paths[:1], EventsConfig(input=RAW))
    with pytest.raises(InputError, match=r"no usable gamma events \(dropped: 100 below min_size\)"):
        load_dataset(paths, EventsConfig(input=RAW, min_size=1e6))


def test_file_twice_and_no_file_are_refused(two_files):
    paths = two_files[1]
    with pytest.raises(InputError, match="names a file twice"):
        load_dataset([*paths, paths[0]], EventsConfig(input=RAW))
    with pytest.raises(InputError, match="no files are given"):
        load_dataset([], EventsConfig(input=RAW))


def test_other_camera_is_refused(two_files):
    with pytest.raises(CameraMismatchError, match="has camera DigiCam, the configuration asks for LSTCam"):
        load_dataset(two_files[1], EventsConfig(input=RAW, camera="LSTCam"))


def test_same_camera_on_another_grid_is_refused(two_files, tmp_path, make_events):
    """DigiCam turned by 180 degrees has another outline: its images must not be mixed in."""
    subarray = sst1m_subarray()
    geometry = subarray.tel[1].camera.geometry
    geometry.pix_x, geometry.pix_y = -geometry.pix_x, -geometry.pix_y
    path = tmp_path / "turned.dl1.h5"
    write_dl1(path, make_events(8, particle="proton"), subarray)
    with pytest.raises(CameraMismatchError, match=r"turned\.dl1\.h5: its DigiCam lies on another grid"):
        load_dataset([two_files[1][0], path], EventsConfig(input=RAW))


def test_recorded_events_cannot_be_labelled(two_files, tmp_path, make_events):
    path = tmp_path / "real.dl1.h5"
    write_dl1(path, replace(make_events(4), truth=None), sst1m_subarray())
    with pytest.raises(InputError, match=r"real\.dl1\.h5: has no simulated showers"):
        load_dataset([path], EventsConfig(input=RAW))


def test_telescopes_can_be_chosen(tmp_path, make_events):
    paths = []
    for particle in ("gamma", "proton"):
        path = tmp_path / f"{particle}.h5"
        write_dl1(
            path, make_events(20, particle=particle, tel_ids=(1, 2)), sst1m_subarray([(0, 0, 0), (90, 0, 0)])
        )
        paths.append(path)
    assert set(load_dataset(paths, EventsConfig(input=RAW, tel_ids=(2,))).tel_id) == {2}
    assert set(load_dataset(paths, EventsConfig(input=RAW)).tel_id) == {1, 2}
    with pytest.raises(InputError, match="has no images of telescope 5"):
        load_dataset(paths, EventsConfig(input=RAW, tel_ids=(2, 5)))


def test_splits_keep_showers_whole_and_cover_all(two_files):
    dataset = load_dataset(two_files[1], EventsConfig(input=RAW))
    splits = split_by_shower(dataset, SplitConfig(validation=0.2, test=0.3), seed=4)
    parts = (splits.train, splits.validation, splits.test)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(100))
    showers = [set(dataset.shower_id[part]) for part in parts]
    assert not showers[0] & showers[1]
    assert not showers[0] & showers[2]
    assert not showers[1] & showers[2]
    # 10 gamma and 15 proton showers, four images each
    for part, gammas, protons in zip(parts, (5, 2, 3), (8, 3, 4), strict=True):
        assert dataset.label[part].sum() == 4 * gammas
        assert (dataset.label[part] == 0).sum() == 4 * protons


def test_splits_depend_on_the_seed_alone(two_files):
    dataset = load_dataset(two_files[1], EventsConfig(input=RAW))
    first, again, other = (split_by_shower(dataset, SplitConfig(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


def test_too_few_showers_to_split(two_files):
    dataset = load_dataset(two_files[1], EventsConfig(input=RAW, max_events=8))
    with pytest.raises(InputError, match="only 2 gamma showers"):
        split_by_shower(dataset, SplitConfig(), 0)


def test_without_monitoring_the_noise_is_that_of_the_files_images(two_files):
    events, paths = two_files
    dataset = load_dataset(paths, EventsConfig())
    for number, table in enumerate(events):
        # pixel by pixel: what is four spreads from the median is light
        middle = np.median(table.image, axis=0)
        width = 1.4826 * np.median(np.abs(table.image - middle), axis=0)
        kept = [
            values[np.abs(values - m) <= 4 * max(w, np.median(width))]
            for values, m, w in zip(table.image.T, middle, width, strict=True)
        ]
        mean = np.array([values.mean() for values in kept])
        spread = np.array([values.std(ddof=1) for values in kept])
        config = InputConfig()
        rule = charge_rule(
            config,
            PixelNoise(
                np.float32(mean)[np.newaxis],
                np.float32(spread)[np.newaxis],
                np.zeros((1, 1296), dtype=bool),
                "the same by hand",
                np.array([len(table)]),
                np.array([True]),
            ),
            1296,
        )
        expected = to_counts(table, config, axial_grid(digicam_geometry()), rule)
        np.testing.assert_array_equal(dataset.counts[dataset.file_index == number], expected)
        mine = dataset.file_index == number
        np.testing.assert_allclose(dataset.conditions["pedestal"][mine], np.median(np.float32(mean)))
        np.testing.assert_allclose(dataset.conditions["spread"][mine], np.median(np.float32(spread)))
    assert [source.split(",")[0] for source in dataset.noise_sources] == ["images of all events"] * 2


def test_a_dead_pixel_costs_no_event(two_files):
    _, paths = two_files

    def kill(images):
        images[:, 77] = np.nan

    for path in paths:
        change_images(path, kill)
    dataset = load_dataset(paths, EventsConfig())
    assert len(dataset) == 100
    assert dataset.dropped == {}
    np.testing.assert_allclose(dataset.conditions["dead"], 1 / 1296)
    assert not dataset.grid.to_pixels(dataset.counts[..., 0])[:, 77].any()
