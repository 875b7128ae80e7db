"""Event files: damaged, re-ordered, doubled, filled with NaN, of others, empty; and disks that fill up."""

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
import tables
from astropy.table import Table
from astropy.time import Time
from contract import Product, damaged
from ctapipe.io import read_table, write_table
from ctapipe.io.hdf5eventsource import COMPATIBLE_DATA_MODEL_VERSIONS
from protozfits import File

from trigger_ml.core.config import EventsConfig
from trigger_ml.core.errors import TriggerMLError
from trigger_ml.core.files import atomic_directory, atomic_path, write_bytes
from trigger_ml.core.particles import PRIMARY_IDS
from trigger_ml.events.dl1 import read_dl1, read_runs, write_dl1
from trigger_ml.events.loading import load_dataset
from trigger_ml.events.predictions import write_answers
from trigger_ml.events.runs import SimulatedRun
from trigger_ml.events.table import NO_TIME, EventTable, Truth, concatenate, nanoseconds
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.onnx.writer import build_emulator
from trigger_ml.instrument.digicam import sst1m_subarray

N = 40
CONFIG = EventsConfig.model_validate({"input": {"pedestal": "none"}})
IMAGES = "/dl1/event/telescope/images/tel_001"
TRUE_IMAGES = "/simulation/event/telescope/images/tel_001"
TRIGGERS = "/dl1/event/telescope/trigger"
SHOWERS = "/simulation/event/subarray/shower"
RUNS = "/configuration/simulation/run"
START = 1_700_000_000_123_456_789
KINDS = ("gamma", "proton")


def events(kind: str, obs_id: int, first: int = 0) -> EventTable:
    """Each image has a light of its own, which no other event of any file has."""
    rng = np.random.default_rng(obs_id)
    number = np.arange(first, first + N)
    image = np.zeros((N, 1296), np.float32)
    image[:, 7] = 10 + number
    return EventTable(
        obs_id=np.full(N, obs_id), event_id=number, tel_id=np.ones(N, int), image=image,
        peak_time=np.zeros_like(image), pointing_alt=np.full(N, 1.2), pointing_az=np.full(N, 0.3),
        truth=Truth(
            np.full(N, PRIMARY_IDS[kind]), rng.uniform(1, 9, N), rng.uniform(1.19, 1.21, N),
            rng.uniform(0.29, 0.31, N), rng.uniform(0, 90, N), rng.uniform(0, 90, N),
            rng.uniform(2e4, 3e4, N), np.full(N, 300.0), number,
        ),
        true_image=np.tile(number[:, np.newaxis], 1296).astype(np.int32),
        event_type=np.full(N, 32), time=START + 1_000_000_007 * number,
    )  # fmt: skip


def run_of(obs_id: int) -> SimulatedRun:
    return SimulatedRun(obs_id, 100, 5, 1.0, 9.0, -2.0, 500.0, 1.2, 0.3)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each particle; ``same``: of protons that number run and events as the gammas do."""
    folder = tmp_path_factory.mktemp("good")
    made = {}
    for name, kind, obs_id in (("gamma", "gamma", 7), ("proton", "proton", 8), ("same", "proton", 7)):
        made[name] = folder / f"{name}.dl1.h5"
        table = events(kind, obs_id)
        write_dl1(made[name], table, sst1m_subarray(), runs=[run_of(obs_id)], parameters=False)
    return made


@pytest.fixture
def emulator(tmp_path: Path, network: Network) -> Path:
    path = tmp_path / "e.onnx"
    path.write_bytes(build_emulator(network).SerializeToString())
    return path


def changed(source: Path, target: Path, table: str, change: Callable[[Any], Any]) -> Path:
    """A copy in which a table has other rows."""
    shutil.copy(source, target)
    with tables.open_file(target, "a") as h5:
        node = h5.get_node(table)
        rows = change(node.read())
        n = min(len(rows), node.nrows)
        if n:
            node.modify_rows(0, n, rows=rows[:n])
        if len(rows) > n:
            node.append(rows[n:])
        elif n < node.nrows:
            node.remove_rows(n, node.nrows)
    return target


def filled(column: str, value: Any, at: Any = slice(None)) -> Callable[[Any], Any]:
    def change(rows: Any) -> Any:
        rows[column][at] = value
        return rows

    return change


def test_damaged_files(product: Product, tmp_path: Path, good: dict[str, Path], emulator: Path) -> None:
    path, output = tmp_path / "events [1].h5", tmp_path / "out.h5"
    content = good["gamma"].read_bytes()
    for name, bad in damaged(content).items():
        # HDF5 keeps room at its end
        if name == "without its end":
            continue
        path.write_bytes(bad)
        product.refused(lambda: load_dataset([path, good["proton"]], CONFIG), path)
        product.refused(lambda: list(read_dl1(path)), path)
        product.refused(lambda: read_runs(path), path)
        if name in ("cut at 8/16", "empty", "zeros", "an image", "HDF5 in name only", "text", "JSON"):
            product.refuses("emulate", emulator, path, "-o", output, naming=path, absent=output)
    path.unlink()
    product.refuses("emulate", emulator, path, "-o", output, naming=path, absent=output)
    path.mkdir()
    product.refuses("emulate", emulator, path, "-o", output, naming=path, absent=output)


def test_doubled_ids_are_refused_with_both_rows(
    product: Product, tmp_path: Path, good: dict[str, Path], emulator: Path
) -> None:
    path, output = tmp_path / "events.h5", tmp_path / "out.h5"
    for table in (IMAGES, TRIGGERS, SHOWERS):
        for change in (
            filled("event_id", 3, 17),
            lambda rows: np.concatenate([rows, rows[3:4]]),
            lambda rows: np.concatenate([rows, rows]),
        ):
            changed(good["gamma"], path, table, change)
            said = product.refused(lambda: load_dataset([path, good["proton"]], CONFIG), path)
            assert "rows " in said
            assert "of observation 7" in said
            if table != SHOWERS:
                product.refuses("emulate", emulator, path, "-o", output, naming=path, absent=output)
    # a trigger does not know the truth
    assert product.run("emulate", emulator, path, "-o", output) == (0, "")
    output.unlink()
    changed(good["gamma"], path, IMAGES, filled("event_id", 3, 17))
    said = product.refused(lambda: list(read_dl1(path)), path)
    assert "rows 3 and 17 are both event 3 of observation 7, telescope 1" in said
    changed(good["gamma"], path, RUNS, lambda rows: np.concatenate([rows, rows]))
    assert "rows 0 and 1 are both observation 7" in product.refused(lambda: read_runs(path), path)


def test_a_merged_file_in_which_particles_share_a_run(
    product: Product, tmp_path: Path, good: dict[str, Path], emulator: Path
) -> None:
    path, output = tmp_path / "merged.h5", tmp_path / "out.h5"
    shutil.copy(good["gamma"], path)
    with tables.open_file(path, "a") as merged, tables.open_file(good["same"]) as other:
        for node in other.walk_nodes("/", "Table"):
            if "/event/" in node._v_pathname:
                merged.get_node(node._v_pathname).append(node.read())
    said = product.refused(lambda: load_dataset([path], CONFIG), path)
    assert f"rows 0 and {N} are both event 0 of observation 7" in said
    product.refuses("emulate", emulator, path, "-o", output, naming=path, absent=output)
    # apart they are read, each with its own truth; but one output cannot hold both
    apart = load_dataset([good["gamma"], good["same"]], CONFIG)
    np.testing.assert_array_equal(apart.label, [1] * N + [0] * N)
    np.testing.assert_array_equal(apart.energy, np.tile(events("gamma", 7).truth.energy, 2))
    assert len(np.unique(apart.run)) == 2
    product.refuses(
        "emulate", emulator, good["gamma"], good["same"], "-o", output, naming=good["same"], absent=output
    )


def test_rows_in_any_order_give_the_same_events(tmp_path: Path, good: dict[str, Path]) -> None:
    expected = load_dataset([good["gamma"], good["proton"]], CONFIG)
    path = tmp_path / "events.h5"
    for number, table in enumerate((IMAGES, TRIGGERS, SHOWERS)):
        order = np.random.default_rng(number).permutation(N)
        changed(good["gamma"], path, table, lambda rows, order=order: rows[order])
        found = load_dataset([path, good["proton"]], CONFIG)
        back = np.argsort(found.event_id[:N])
        np.testing.assert_array_equal(found.energy[:N][back], expected.energy[:N])
        np.testing.assert_array_equal(found.counts[:N][back], expected.counts[:N])
        times = next(read_dl1(path))
        np.testing.assert_array_equal(times.time, START + 1_000_000_007 * times.event_id)


def test_true_images_are_those_of_their_events(tmp_path: Path, good: dict[str, Path]) -> None:
    path = tmp_path / "events.h5"
    for rows in (np.delete(np.arange(N), 3), np.random.default_rng(1).permutation(N), np.arange(5)):
        changed(good["gamma"], path, TRUE_IMAGES, lambda old, rows=rows: old[rows])
        found = concatenate(list(read_dl1(path, true_image=True, chunk_size=7)))
        expected = np.where(np.isin(np.arange(N), rows), np.arange(N), -1)
        np.testing.assert_array_equal(found.true_image, np.tile(expected[:, np.newaxis], 1296))
    # written again, what is not known is not made up
    write_dl1(path, found, sst1m_subarray(), parameters=False)
    again = concatenate(list(read_dl1(path, true_image=True)))
    np.testing.assert_array_equal(again.true_image, found.true_image)
    np.testing.assert_array_equal(again.time, found.time)


def test_images_and_truth_that_are_no_numbers(
    product: Product, tmp_path: Path, good: dict[str, Path], emulator: Path
) -> None:
    path, output = tmp_path / "events.h5", tmp_path / "out.h5"
    changed(good["gamma"], path, IMAGES, filled("image", np.nan))
    with pytest.raises(TriggerMLError, match="no usable gamma events"):
        load_dataset([path, good["proton"]], CONFIG)
    product.refuses("emulate", emulator, path, "-o", output, naming=path, absent=output)


def test_empty_files_and_files_of_others(
    product: Product, tmp_path: Path, good: dict[str, Path], emulator: Path
) -> None:
    path, output = tmp_path / "events.h5", tmp_path / "out.h5"

    def without(table: str) -> None:
        shutil.copy(good["gamma"], path)
        with tables.open_file(path, "a") as h5:
            h5.remove_node(table, recursive=True)

    def bad() -> Iterator[None]:
        changed(good["gamma"], path, IMAGES, lambda rows: rows[:0])
        yield
        for table in ("/dl1", IMAGES, "/configuration/instrument/subarray/layout"):
            without(table)
            yield
        for version in ("v99.0.0", "v1.0.0", "x"):
            shutil.copy(good["gamma"], path)
            with tables.open_file(path, "a") as h5:
                h5.root._v_attrs["CTA PRODUCT DATA MODEL VERSION"] = version
            yield
        with tables.open_file(path, "w") as h5:
            h5.create_array("/", "x", np.arange(3))
        yield

    for _ in bad():
        product.refused(lambda: load_dataset([path, good["proton"]], CONFIG), path)
        product.refuses("emulate", emulator, path, "-o", output, naming=path, absent=output)
    for table in (SHOWERS, "/simulation"):
        without(table)
        product.refused(lambda: load_dataset([path, good["proton"]], CONFIG), path)
    changed(good["gamma"], path, SHOWERS, lambda rows: rows[:-1])
    assert "no simulated shower" in product.refused(lambda: load_dataset([path], CONFIG), path)
    without(RUNS)
    product.refused(lambda: read_runs(path), path)
    for column, value in (("n_showers", -1), ("shower_reuse", -1), ("core_pos_mode", 2)):
        changed(good["gamma"], path, RUNS, filled(column, value))
        product.refused(lambda: read_runs(path), path)


def test_every_data_model_that_ctapipe_reads_is_read(tmp_path: Path, good: dict[str, Path]) -> None:
    path, expected = tmp_path / "events.h5", next(read_dl1(good["gamma"]))
    shutil.copy(good["gamma"], path)
    for version in COMPATIBLE_DATA_MODEL_VERSIONS:
        with tables.open_file(path, "a") as h5:
            h5.root._v_attrs["CTA PRODUCT DATA MODEL VERSION"] = version
        np.testing.assert_array_equal(next(read_dl1(path)).image, expected.image)


def test_raw_files_of_other_cameras(product: Product, tmp_path: Path, emulator: Path) -> None:
    """Of NectarCAM, of LST, and of later camera servers, as protozfits ships them."""
    folder, output = Path(str(files("protozfits"))) / "tests" / "resources", tmp_path / "out.h5"
    for name in ("example_9evts_NectarCAM", "example_LST_R1_10_evts", "10_CTA_R1_dummy_evts"):
        path = folder / f"{name}.fits.fz"
        said = product.refuses("emulate", emulator, path, "-o", output, naming=path, absent=output)
        assert "DigiCam" in said


def test_numbers_of_runs_are_kept_whole(
    tmp_path: Path, good: dict[str, Path], emulator: Path, product: Product
) -> None:
    """Also beyond 32 bits; ids beyond 63 are refused, not made negative."""
    path, output = tmp_path / "events.h5", tmp_path / "out.h5"
    table = events("gamma", 4_000_000_016)
    write_dl1(path, table, sst1m_subarray(), runs=[run_of(4_000_000_016)], parameters=False)
    assert set(next(read_dl1(path)).obs_id) == {4_000_000_016}
    assert [run.obs_id for run in read_runs(path)] == [4_000_000_016]
    assert product.run("emulate", emulator, path, "-o", output) == (0, "")
    with tables.open_file(output) as h5:
        for node in h5.walk_nodes("/dl2", "Table"):
            assert set(node.col("obs_id")) == {4_000_000_016}
        assert h5.root._v_attrs["CTA PROCESS TYPE"] == "Simulation"
    found = read_table(output, TRIGGERS)
    expected = Time(START * 1e-9, format="unix_tai") + np.arange(N) * 1.000000007 * u.s
    np.testing.assert_allclose((found["time"] - expected).to_value(u.s), 0, atol=1e-6)
    with tables.open_file(path, "a") as h5:
        node = h5.get_node(IMAGES)
        rows = node.read()
        kinds = [(name, "<u8" if name == "event_id" else rows.dtype[name]) for name in rows.dtype.names]
        wide = np.empty(len(rows), kinds)
        for name in rows.dtype.names:
            wide[name] = rows[name]
        wide["event_id"][5] = 2**63 + 5
        node.remove()
        h5.create_table("/dl1/event/telescope/images", "tel_001", wide)
    product.refuses("emulate", emulator, path, "-o", output, "--overwrite", naming=path)
    assert len(read_table(output, TRIGGERS)) == N


RAW = "sst1m-digicam-raw/example_SST1M_20180822.fits.fz"


def test_times_of_raw_events_reach_the_answers(
    tmp_path: Path, emulator: Path, product: Product, shared_data: Path
) -> None:
    """The oracle: the camera's clock, which counts UTC, as the file's own reader gives it."""
    output = tmp_path / "out.h5"
    assert product.run("emulate", emulator, shared_data / RAW, "-o", output)[0] == 0
    with File(str(shared_data / RAW)) as zfits:
        clock = {e.eventNumber: (e.local_time_sec, e.local_time_nanosec) for e in zfits.Events}
    found = read_table(output, TRIGGERS)
    assert len(found) == len(clock) == 32
    assert set(found["time"].utc.datetime64.astype("datetime64[Y]").astype(str)) == {"2018"}
    for row in found:
        seconds, rest = clock[int(row["event_id"])]
        recorded = Time(seconds, rest * 1e-9, format="unix", scale="utc")
        assert abs((row["time"] - recorded).to_value(u.ns)) < 1


def test_one_unknown_time_does_not_take_the_others(tmp_path: Path, good: dict[str, Path]) -> None:
    """Neither in events that are written nor in answers."""
    path, output = tmp_path / "events.h5", tmp_path / "out.h5"
    times = START + 1_000_000_007 * np.arange(N)
    times[5] = NO_TIME
    write_dl1(path, replace(events("gamma", 7), truth=None, time=times), sst1m_subarray(), parameters=False)
    np.testing.assert_array_equal(concatenate(list(read_dl1(path))).time, times)
    ids = {"obs_id": np.full(N, 7), "event_id": np.arange(N), "tel_id": np.ones(N, int)}
    zeros = np.zeros(N)
    for array in (sst1m_subarray(), None):
        write_answers(output, "type", {"logit": zeros}, **ids, time=times, subarray=array)
        np.testing.assert_array_equal(nanoseconds(read_table(output, TRIGGERS)["time"]), times)


PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "telescope, DL0": ("/dl0/monitoring/telescope/pointing/tel_001", {"altitude": 1.1, "azimuth": 0.2}),
    "telescope, DL1": ("/dl1/monitoring/telescope/pointing/tel_001", {"altitude": 1.1, "azimuth": 0.2}),
    "array": ("/dl1/monitoring/subarray/pointing", {"array_altitude": 1.1, "array_azimuth": 0.2}),
}


@pytest.mark.parametrize("place", [*PLACES, "block", "nowhere"])
def test_pointing_is_found_wherever_it_is(tmp_path: Path, good: dict[str, Path], place: str) -> None:
    path = tmp_path / "events.h5"
    shutil.copy(good["gamma"], path)
    with tables.open_file(path, "a") as h5:
        h5.remove_node("/configuration/telescope/pointing", recursive=True)
        blocks = h5.get_node("/configuration/observation/observation_block")
        if place in PLACES:
            name, angles = PLACES[place]
            columns = {key: np.full(2, value) * u.rad for key, value in angles.items()}
            write_table(Table({"time": np.arange(2) + 1e9, **columns}), h5, name)
        elif place == "block":
            rows = blocks.read()
            rows["subarray_pointing_lat"], rows["subarray_pointing_lon"] = np.rad2deg(1.1), np.rad2deg(0.2)
            rows["subarray_pointing_frame"] = 0
            blocks.modify_rows(0, len(rows), rows=rows)
    found = next(read_dl1(path))
    known = place != "nowhere"
    np.testing.assert_allclose(found.pointing_alt, np.full(N, 1.1 if known else np.nan))
    np.testing.assert_allclose(found.pointing_az, np.full(N, 0.2 if known else np.nan))


def test_pointing_that_moves_is_interpolated_by_time(tmp_path: Path, good: dict[str, Path]) -> None:
    path = tmp_path / "events.h5"
    shutil.copy(good["gamma"], path)
    begin = Time(START * 1e-9, format="unix_tai")
    with tables.open_file(path, "a") as h5:
        h5.remove_node("/configuration/telescope/pointing", recursive=True)
        columns = {"altitude": [1.0, 1.2] * u.rad, "azimuth": [2 * np.pi - 0.1, 0.1] * u.rad}
        write_table(Table({"time": begin + [0, 20] * u.s, **columns}), h5, PLACES["telescope, DL1"][0])
    found = next(read_dl1(path))
    part = np.arange(N) * 1.000000007 / 20
    expected = np.where(part <= 1, 1.0 + 0.2 * part, np.nan)
    # at the ends themselves the time's rounding decides
    inner = np.delete(np.arange(N), (0, 20))
    np.testing.assert_allclose(found.pointing_alt[inner], expected[inner], atol=1e-6)
    away = (found.pointing_az - (0.2 * part - 0.1) + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(away[inner], np.where(part <= 1, 0, np.nan)[inner], atol=1e-6)


def test_a_sample_of_the_events_keeps_its_account(tmp_path: Path, good: dict[str, Path]) -> None:
    config = CONFIG.model_copy(update={"max_events": 10})
    found = load_dataset([good["gamma"], good["same"]], config)
    accounts = [(a.file_index, a.obs_id, a.primary_id, a.read, a.usable, a.kept) for a in found.accounts]
    assert accounts == [(0, 7, 0, N, N, 10), (1, 7, 101, N, N, 10)]
    path = changed(good["gamma"], tmp_path / "events.h5", IMAGES, filled("image", np.nan, slice(0, 15)))
    lost = load_dataset([path, good["proton"]], CONFIG)
    assert [(a.read, a.usable, a.kept) for a in lost.accounts] == [(N, N - 15, N - 15), (N, N, N)]


# ---- disks that fill up


class Full:
    """A disk with room for some bytes: what is written beyond them is lost, and nobody told."""

    def __init__(self, room: int) -> None:
        self.room = room

    def cut(self, path: Path) -> None:
        with path.open("r+b") as stream:
            stream.truncate(min(self.room, path.stat().st_size))


@pytest.mark.parametrize("part", range(1, 16))
def test_what_was_not_written_whole_replaces_nothing(
    product: Product, tmp_path: Path, good: dict[str, Path], monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """The library closes without complaint, and the disk holds a part."""
    path = tmp_path / "events.h5"
    write_bytes(path, b"old")
    size = good["gamma"].stat().st_size
    close = tables.File.close

    def lossy(h5: Any) -> None:
        name = Path(h5.filename)
        close(h5)
        if name.name.startswith(".partial-"):
            Full(size * part // 16).cut(name)

    monkeypatch.setattr(tables.File, "close", lossy)
    table = events("gamma", 7)
    product.refused(
        lambda: write_dl1(path, table, sst1m_subarray(), runs=[run_of(7)], parameters=False), path
    )
    assert path.read_bytes() == b"old"


def test_rows_that_were_lost_are_noticed(
    product: Product, tmp_path: Path, emulator: Path, good: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that opens, with fewer rows than were written, or with other bytes in them."""
    output = tmp_path / "out.h5"
    assert product.run("emulate", emulator, good["gamma"], "-o", output) == (0, "")
    before = output.read_bytes()
    close = tables.File.close

    def lose(h5: Any) -> None:
        if Path(h5.filename).name.startswith(".partial-") and h5.mode != "r":
            h5.get_node("/dl2/event/telescope/particle_type/trigger_ml/tel_001").remove_rows(N - 2, N)
        close(h5)

    monkeypatch.setattr(tables.File, "close", lose)
    said = product.refuses("emulate", emulator, good["gamma"], "-o", output, "--overwrite", naming=output)
    assert f"{N - 2} of {N} rows" in said
    assert output.read_bytes() == before


@pytest.mark.parametrize("room", [0, 1, 100])
def test_plain_files_on_a_full_disk(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path = tmp_path / "x.json"
    write_bytes(path, b"old")
    plain = Path.write_bytes

    def lossy(target: Path, content: bytes) -> int:
        return plain(target, content[:room])

    monkeypatch.setattr(Path, "write_bytes", lossy)
    product.refused(lambda: write_bytes(path, bytes(200)), path)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("part", range(1, 8))
def test_archives_are_read_back(product: Product, tmp_path: Path, part: int) -> None:
    for name, write in (("x.npz", np.savez), ("y.npz", np.savez_compressed)):
        path = tmp_path / name
        write_bytes(path, b"old")

        def save(path: Path = path, write: Any = write) -> None:
            with atomic_path(path) as partial:
                write(partial, a=np.arange(5000))
                Full(partial.stat().st_size * part // 8).cut(partial)

        product.refused(save, path)
        assert path.read_bytes() == b"old"


def test_archives_in_a_folder_are_read_back(product: Product, tmp_path: Path) -> None:
    final = tmp_path / "vectors"
    with atomic_directory(final) as folder:
        (folder / "a").write_text("old")

    def again() -> None:
        with atomic_directory(final) as folder:
            (folder / "below").mkdir()
            np.savez(folder / "below" / "x.npz", a=np.arange(5000))
            Full(20_000).cut(folder / "below" / "x.npz")

    product.refused(again, final / "below" / "x.npz")
    assert [item.name for item in final.iterdir()] == ["a"]


def test_what_the_system_says_late_is_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotas and network disks may tell only when the content is handed over."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_bytes(tmp_path / "file", b"old")
    with atomic_directory(tmp_path / "folder") as folder:
        (folder / "a").write_text("old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(tmp_path / "file", b"new")

    def folder_again() -> None:
        with atomic_directory(tmp_path / "folder") as folder:
            (folder / "a").write_text("new")

    with pytest.raises(OSError, match="No space"):
        folder_again()
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "a").read_text() == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder"]


ABANDONED = """
import sys
from pathlib import Path
from trigger_ml.core.errors import TriggerMLError
from trigger_ml.events.dl1 import read_dl1
for path in sys.argv[1:]:
    try:
        list(read_dl1(Path(path)))
    except TriggerMLError as error:
        print("refused", error.what == path)
"""


def test_no_traceback_at_the_end_of_a_process(tmp_path: Path, good: dict[str, Path]) -> None:
    """Files that opened half, of every length: nothing more is said of them when the process ends."""
    content, files = good["gamma"].read_bytes(), []
    for part in range(16):
        files.append(str(tmp_path / f"{part}.h5"))
        Path(files[-1]).write_bytes(content[: len(content) * part // 16])
    done = subprocess.run([sys.executable, "-c", ABANDONED, *files], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["refused True"] * len(files), done.stdout + done.stderr
    for word in ("Traceback", "Exception ignored", "UnclosedFileWarning"):
        assert word not in done.stderr, done.stderr


FILL = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_events import events, run_of, sst1m_subarray, write_dl1
from trigger_ml.core.errors import TriggerMLError
from trigger_ml.events.dl1 import read_dl1
for number, path in enumerate(sys.argv[1:]):
    path = Path(path)
    try:
        write_dl1(path, events("gamma", 7), sst1m_subarray(), runs=[run_of(7)], parameters=False)
        print("written", sum(len(table) for table in read_dl1(path)))
    except (TriggerMLError, OSError) as error:
        print("refused", path.read_bytes() == b"old", len(list(path.parent.iterdir())))
"""


def test_a_disk_that_is_full(tmp_path: Path, good: dict[str, Path]) -> None:
    """Real ones, of several sizes: either all is there, or the old file and nothing else."""
    size = good["gamma"].stat().st_size
    rooms = [size * part // 8 // 4096 * 4096 for part in (1, 3, 5, 7)] + [4 * size]
    mounts, files = [], []
    for number, room in enumerate(rooms):
        folder = tmp_path / f"disk{number}"
        folder.mkdir()
        mounts.append(f"mount -t tmpfs -o size={room} tmpfs '{folder}' && printf old > '{folder}/x.h5'")
        files.append(str(folder / "x.h5"))
    if subprocess.run(["unshare", "-m", "sh", "-c", mounts[0]], capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    (tmp_path / "fill.py").write_text(FILL.format(tests=str(Path(__file__).parent)))
    command = " && ".join([*mounts, " ".join([sys.executable, str(tmp_path / "fill.py"), *files])])
    done = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == f"written {N}", done.stderr
    assert set(lines[:-1]) <= {"refused True 1", f"written {N}"}, done.stdout
    assert "refused True 1" in lines
    # libraries that cannot close what they wrote, or opened half of it, say so at the end of the process
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
