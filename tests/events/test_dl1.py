import subprocess
import sys
from pathlib import Path

import astropy.units as u
import h5py
import numpy as np
import pytest
import tables
from ctapipe.containers import SimulatedShowerContainer
from ctapipe.coordinates.impact_distance import shower_impact_distance
from ctapipe.io import EventSource, TableLoader, read_table
from hypothesis import given, settings
from hypothesis import strategies as st

from trigger_ml.core.errors import InputError
from trigger_ml.events import dl1
from trigger_ml.events.dl1 import (
    SimulatedRun,
    image_telescopes,
    read_dl1,
    read_runs,
    read_subarray,
    write_dl1,
)
from trigger_ml.events.dl1_writer import impact_distance
from trigger_ml.events.joins import RowIndex
from trigger_ml.events.showers import equal_rows
from trigger_ml.events.table import concatenate, whole_array_events
from trigger_ml.instrument.digicam import sst1m_subarray

RUN = SimulatedRun(
    obs_id=7,
    n_showers=30,
    n_reuse=4,
    energy_min=0.5,
    energy_max=1.5,
    spectral_index=-2.0,
    max_core_distance=400.0,
    pointing_alt=1.2,
    pointing_az=0.3,
    view_cone=5.0,
    energy_edges=np.array([0.5, 1.0, 1.5]),
    core_edges=np.array([0.0, 200.0, 400.0]),
    thrown=np.array([[10.0, 50.0], [20.0, 40.0]]),
)


@pytest.fixture
def written(tmp_path, make_events):
    """Forty events of ten array events on four telescopes, and their file."""
    events = make_events(40, tel_ids=(1, 2, 3, 4))
    path = tmp_path / "events.dl1.h5"
    subarray = sst1m_subarray([(100.0 * i, 50.0 * i, i) for i in range(4)])
    assert write_dl1(path, (events[i : i + 7] for i in range(0, 40, 7)), subarray, runs=[RUN]) == 40
    return events, path


def test_reading_gives_back_what_was_written(written):
    events, path = written
    back = concatenate(list(read_dl1(path, chunk_size=3, peak_time=True, true_image=True)))
    order = np.lexsort((np.arange(40), events.tel_id))
    for name in ("obs_id", "event_id", "tel_id", "image", "true_image", "event_type"):
        np.testing.assert_array_equal(getattr(back, name), getattr(events, name)[order], err_msg=name)
    # times are kept in steps of 0.02 ns
    np.testing.assert_allclose(back.peak_time, events.peak_time[order], atol=0.0101)
    for name in ("energy", "alt", "az", "core_x", "core_y", "h_first_int", "x_max", "primary_id"):
        expected = getattr(events.truth, name)[order]
        np.testing.assert_allclose(getattr(back.truth, name), expected, rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(back.pointing_alt, 1.2)
    np.testing.assert_allclose(back.pointing_az, 0.3)


def test_uses_of_one_shower_get_one_id(written):
    back = concatenate(list(read_dl1(written[1])))
    shower = back.event_id // 100
    for one in np.unique(shower):
        assert len(np.unique(back.truth.shower_id[shower == one])) == 1
    assert len(np.unique(back.truth.shower_id)) == len(np.unique(shower)) == 3


def test_columns_not_asked_for_are_not_there(written):
    table = next(read_dl1(written[1]))
    assert table.peak_time is table.true_image is table.waveform is None


def test_telescopes_can_be_chosen(written):
    tables_read = list(read_dl1(written[1], tel_ids=(3,)))
    assert set(concatenate(tables_read).tel_id) == {3}
    assert image_telescopes(written[1]) == [1, 2, 3, 4]
    with pytest.raises(InputError, match=r"has no images of telescope 9. It has those of 1, 2, 3, 4"):
        next(read_dl1(written[1], tel_ids=(9,)))


def test_ctapipe_table_loader_opens_it(written):
    events, path = written
    with TableLoader(path, dl1_images=True, true_images=True) as loader:
        assert len(loader) == 10
        table = loader.read_telescope_events()
        assert len(table) == 40
        assert np.all(table["hillas_intensity"] > 0)
        chunk = loader.read_telescope_events(telescopes=[2], start=3, stop=6)
        np.testing.assert_array_equal(chunk["event_id"], events.event_id[events.tel_id == 2][3:6])
        expected = events.image[events.tel_id == 2][3:6]
        np.testing.assert_array_equal(chunk["image"], expected)
        np.testing.assert_allclose(
            chunk["true_energy"].quantity.to_value(u.TeV), events.truth.energy[events.tel_id == 2][3:6]
        )
        subarray_events = loader.read_subarray_events()
        assert subarray_events["tels_with_trigger"].all()
        assert loader.read_simulation_configuration()["n_showers"][0] == 30
        assert loader.read_shower_distribution()["n_entries"][0] == 120
        assert len(loader.read_observation_information()) == 1


def test_ctapipe_event_source_opens_it(written):
    events, path = written
    with EventSource(path) as source:
        assert source.is_simulation
        first = next(iter(source))
    assert sorted(first.dl1.tel) == [1, 2, 3, 4]
    np.testing.assert_array_equal(first.dl1.tel[2].image, events.image[1])
    assert first.simulation.shower.energy.to_value(u.TeV) == pytest.approx(events.truth.energy[0])
    assert first.trigger.event_type.value == 32


@pytest.mark.parametrize(
    # CTLearn's default takes half a minute to make its table of weights
    "mapper",
    [pytest.param("BilinearMapper", marks=pytest.mark.slow), "AxialMapper"],
)
def test_dl1_data_handler_opens_it(event_files, mapper):
    from dl1_data_handler.reader import DLImageReader

    reader = DLImageReader(
        input_url_signal=[str(event_files[0])],
        input_url_background=[str(event_files[1])],
        channels=["image"],
        image_mapper_type=mapper,
    )
    n = reader._get_n_events()
    assert 80 < n <= 240
    batch = reader.generate_mono_batch(list(range(n)))
    assert set(batch["true_shower_primary_class"]) == {0, 1}
    image = next(read_dl1(event_files[0])).image
    row = int(np.flatnonzero(batch["true_shower_primary_class"] == 1)[0])
    mapped = reader.image_mappers["DigiCam"].map_image(image[batch["table_index"][row]][:, np.newaxis])
    np.testing.assert_allclose(batch["features"][row], mapped, rtol=1e-5)


def test_dl1_data_handler_reads_the_waveforms(tmp_path, make_events):
    from dl1_data_handler.reader import DLWaveformReader

    events = make_events(12, samples=20)
    path = tmp_path / "waveforms.dl1.h5"
    write_dl1(path, events, sst1m_subarray(), runs=[RUN])
    back = concatenate(list(read_dl1(path, waveform=True, chunk_size=5)))
    np.testing.assert_array_equal(back.waveform, events.waveform)
    reader = DLWaveformReader(input_url_signal=[str(path)], sequence_length=10)
    assert reader.generate_mono_batch([0, 1])["features"].shape[-1] == 10


def test_run_is_read_back(written):
    (run,) = read_runs(written[1])
    for name in RUN.__dataclass_fields__:
        np.testing.assert_allclose(getattr(run, name), getattr(RUN, name), rtol=1e-6, err_msg=name)


def test_same_event_twice_is_refused_and_nothing_is_left(tmp_path, make_events):
    events = make_events(6)
    with pytest.raises(ValueError, match="event 1 of observation 7 is given twice for telescope 1"):
        write_dl1(tmp_path / "twice.h5", concatenate([events, events[1:2]]), sst1m_subarray())
    assert list(tmp_path.iterdir()) == []


def test_recorded_events_have_no_simulation_tables(tmp_path, make_events):
    from dataclasses import replace

    events = replace(make_events(8), truth=None, true_image=None)
    path = tmp_path / "real.dl1.h5"
    write_dl1(path, events, sst1m_subarray())
    (table,) = read_dl1(path)
    assert table.truth is None
    with tables.open_file(path) as h5:
        assert "/simulation" not in h5
        assert h5.root._v_attrs["CTA PROCESS TYPE"] == "Observation"
    with pytest.raises(InputError, match="tells nothing about its simulation"):
        read_runs(path)


@pytest.mark.parametrize("least_bytes", [0, 60_000])
def test_array_events_are_never_divided(make_events, least_bytes):
    events = make_events(40, tel_ids=(1, 2, 3, 4))
    pieces = list(whole_array_events((events[i : i + 3] for i in range(0, 40, 3)), least_bytes))
    keys = [set(zip(piece.obs_id, piece.event_id, strict=True)) for piece in pieces]
    assert sum(len(key) for key in keys) == len(set().union(*keys)) == 10
    np.testing.assert_array_equal(concatenate(pieces).image, events.image)


def test_impact_distance_agrees_with_ctapipe():
    rng = np.random.default_rng(0)
    core = np.column_stack([rng.uniform(-300, 300, (5, 2)), np.zeros(5)])
    alt, az = rng.uniform(0.8, 1.5, 5), rng.uniform(0, 6, 5)
    subarray = sst1m_subarray([(30.0, -20.0, 4.0)])
    ours = impact_distance(core, alt, az, subarray.positions[1].to_value(u.m))
    for row in range(5):
        shower = SimulatedShowerContainer(
            core_x=core[row, 0] * u.m, core_y=core[row, 1] * u.m, alt=alt[row] * u.rad, az=az[row] * u.rad
        )
        assert ours[row] == pytest.approx(shower_impact_distance(shower, subarray).to_value(u.m)[0])


def test_peak_times_that_are_not_numbers_stay_so(tmp_path, make_events):
    from dataclasses import replace

    events = make_events(4)
    times = events.peak_time.copy()
    times[1, 2], times[2, 3] = np.nan, 1e4
    write_dl1(tmp_path / "odd.h5", replace(events, peak_time=times), sst1m_subarray())
    (back,) = read_dl1(tmp_path / "odd.h5", peak_time=True)
    assert np.isnan(back.peak_time[1, 2])
    assert back.peak_time[2, 3] == np.inf
    assert np.isfinite(back.peak_time).sum() == 4 * 1296 - 2


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 40), width=st.integers(1, 4))
@settings(max_examples=30)
def test_equal_rows_are_numbered_as_numpy_does(seed, n, width):
    rng = np.random.default_rng(seed)
    columns = rng.choice([0.0, 1.5, -2.0, np.nan], (width, n))
    _, expected = np.unique(np.nan_to_num(columns), axis=1, return_inverse=True)
    np.testing.assert_array_equal(equal_rows(*columns), expected.ravel())


def test_rows_are_found():
    index = RowIndex(np.array([2, 1, 1]), np.array([5, 9, 7]))
    found = index.find(np.array([1, 1, 2, 3]), np.array([5, 9, 5, 5]))
    np.testing.assert_array_equal(found, [-1, 1, 0, -1])


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"gone.h5: no such file. Check the path."):
        read_subarray(tmp_path / "gone.h5")


def test_something_else_than_hdf5(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("not a table")
    with pytest.raises(InputError, match=r"text.h5: is no HDF5 file"):
        next(read_dl1(path))


def test_hdf5_of_something_else(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as h5:
        h5["x"] = np.arange(3)
    with pytest.raises(InputError, match=r"other.h5: describes no telescopes"):
        read_subarray(path)
    with pytest.raises(InputError, match=r"has no DL1 images. Make it with `ctapipe-process --write-images`"):
        next(read_dl1(path))


@pytest.mark.parametrize("part", [0.9, 0.5, 0.01])
def test_file_cut_off(written, tmp_path, part):
    content = written[1].read_bytes()
    path = tmp_path / "cut.dl1.h5"
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match=r"cut.dl1.h5: is damaged or cut off \(.*truncated"):
        list(read_dl1(path))


def test_damaged_chunk_is_noticed(written, tmp_path):
    """The checksum of a chunk tells a flipped bit in the images."""
    path = tmp_path / "flipped.dl1.h5"
    content = bytearray(written[1].read_bytes())
    with h5py.File(written[1]) as h5:
        chunk = h5["/dl1/event/telescope/images/tel_001"].id.get_chunk_info(0)
    content[chunk.byte_offset + chunk.size // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"flipped\.dl1\.h5: is damaged or cut off"):
        list(read_dl1(path))


def test_image_without_shower(written):
    with tables.open_file(written[1], "r+") as h5:
        h5.root.simulation.event.subarray.shower.remove_rows(0, 1)
    with pytest.raises(InputError, match="event 0 of observation 7: has an image but no simulated shower"):
        list(read_dl1(written[1]))


@pytest.mark.slow
def test_importing_it_starts_no_tensorflow():
    code = "import sys, trigger_ml.events.dl1; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_reads_what_ctapipe_process_writes(shared_data, tmp_path):
    from ctapipe.core import run_tool
    from ctapipe.tools.process import ProcessorTool

    source = shared_data / "digicam-simtel-small/simtel_test_file.simtel.gz"
    path = tmp_path / "process.dl1.h5"
    arguments = [f"--input={source}", f"--output={path}", "--write-images", "--write-parameters"]
    arguments += ["--SimTelEventSource.focal_length_choice=EQUIVALENT"]
    # integers in place of floats, as ctapipe offers for smaller files
    arguments += ["--DataWriter.transform_image=True", "--DataWriter.image_scale=100"]
    run_tool(ProcessorTool(), arguments, cwd=tmp_path, raises=True)
    (events,) = read_dl1(path, peak_time=True, true_image=True)
    table = read_table(path, "/simulation/event/subarray/shower")
    assert len(events) == 9
    np.testing.assert_allclose(events.truth.energy, table["true_energy"])
    assert events.image.max() > 50
    assert (
        events.true_image.sum()
        == read_table(path, "/simulation/event/telescope/images/tel_001")["true_image_sum"].sum()
    )
    # simtel counts uses of one shower in the last two digits of the event number
    same = events.truth.shower_id[:, np.newaxis] == events.truth.shower_id
    assert (same == (events.event_id[:, np.newaxis] // 100 == events.event_id // 100)).all()
    assert read_runs(path)[0].n_showers == 100


def _by_type(path: Path) -> None:
    """Tables of both telescopes as one, named by their type, as some productions are split."""
    with tables.open_file(path, "a") as h5:
        for group in ("/dl1/event/telescope/images", "/simulation/event/telescope/images"):
            if group not in h5:
                continue
            first, second = (h5.get_node(f"{group}/tel_{n:03d}") for n in (1, 2))
            first.append(second.read())
            second.remove()
            h5.rename_node(f"{group}/tel_001", "SST_1M_DigiCam")


def test_tables_by_telescope_type_are_read(make_events, tmp_path: Path) -> None:
    table = make_events(40, tel_ids=(1, 2))
    path = tmp_path / "e.dl1.h5"
    write_dl1(path, table, sst1m_subarray([(0, 0, 0), (80, 0, 0)]), runs=[RUN])
    expected = {n: concatenate(list(read_dl1(path, tel_ids=[n], peak_time=True))) for n in (1, 2)}
    _by_type(path)
    assert image_telescopes(path) == [1, 2]
    for number, rows in expected.items():
        found = concatenate(list(read_dl1(path, tel_ids=[number], peak_time=True, chunk_size=7)))
        np.testing.assert_array_equal(found.event_id, rows.event_id)
        np.testing.assert_array_equal(found.image, rows.image)
        np.testing.assert_array_equal(found.peak_time, rows.peak_time)
        np.testing.assert_array_equal(found.truth.energy, rows.truth.energy)
        assert set(found.tel_id) == {number}
    with dl1.open_dl1(path) as h5:
        assert dl1.Dl1Reader(h5, path).n_images([1, 2]) == 40


def test_an_old_description_of_telescopes_is_named(make_events, tmp_path: Path) -> None:
    path = tmp_path / "old.dl1.h5"
    write_dl1(path, make_events(8), sst1m_subarray(), runs=[RUN])
    with tables.open_file(path, "a") as h5:
        h5.get_node("/configuration/instrument/subarray/layout")._v_attrs["TAB_VER"] = "0.7"
    with pytest.raises(InputError, match=r"old.dl1.h5: its description of the telescopes is of a version"):
        read_subarray(path)
