"""Events kept for later stages: the same as read anew, and never those of other files."""

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import tables

from trigger_ml.core.config import EventsConfig, InputConfig
from trigger_ml.events import cache
from trigger_ml.events.cache import cached_dataset, cached_night_sky
from trigger_ml.events.dataset import Dataset
from trigger_ml.events.dl1_writer import write_dl1
from trigger_ml.events.loading import load_dataset
from trigger_ml.events.night_sky import load_night_sky
from trigger_ml.events.table import EventTable
from trigger_ml.instrument.bilinear import BilinearMap
from trigger_ml.instrument.digicam import sst1m_subarray

CONFIG = EventsConfig()


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other, True)
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and list(one) == list(other) and all(same(one[k], other[k]) for k in one)
        )
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))  # type: ignore[arg-type]
    if hasattr(one, "toarray"):
        return same(one.toarray(), other.toarray())  # type: ignore[attr-defined]
    return one == other


@pytest.fixture
def paths(tmp_path: Path, make_events: Callable[..., EventTable]) -> list[Path]:
    found = [tmp_path / "gamma.dl1.h5", tmp_path / "proton.dl1.h5"]
    for seed, path in enumerate(found):
        events = make_events(12, particle=path.name.split(".")[0], obs_id=7, seed=seed)
        write_dl1(path, events, sst1m_subarray())
    return found


def never(*_: object) -> Dataset:
    pytest.fail("the events were read again")


def test_what_is_kept_is_what_was_read(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = load_dataset(paths, CONFIG)
    assert same(cached_dataset(paths, CONFIG, tmp_path), read)
    monkeypatch.setattr(cache, "load_dataset", never)
    assert same(cached_dataset(paths, CONFIG, tmp_path), read)


def test_an_interpolated_map_is_kept(
    paths: list[Path], tmp_path: Path, digicam_bilinear: BilinearMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = replace(load_dataset(paths, CONFIG), grid=digicam_bilinear)
    monkeypatch.setattr(cache, "load_dataset", lambda *_: read)
    assert same(cached_dataset(paths, CONFIG, tmp_path), read)


def test_night_sky_is_kept(paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = load_night_sky(paths, CONFIG)
    assert same(cached_night_sky(paths, CONFIG, tmp_path), read)
    assert cached_night_sky([], CONFIG, tmp_path) is None
    monkeypatch.setattr(cache, "load_night_sky", never)
    assert same(cached_night_sky(paths, CONFIG, tmp_path), read)


def test_another_input_is_counted_anew_and_replaces_it(paths: list[Path], tmp_path: Path) -> None:
    cached_dataset(paths, CONFIG, tmp_path)
    finer = EventsConfig(input=InputConfig(charge_lsb=0.25))
    assert same(cached_dataset(paths, finer, tmp_path), load_dataset(paths, finer))
    assert len(list(tmp_path.glob("dataset-*"))) == 1


def test_another_split_is_the_same_events(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_dataset(paths, CONFIG, tmp_path)
    monkeypatch.setattr(cache, "load_dataset", never)
    split = CONFIG.split.model_copy(update={"test": 0.5})
    cached_dataset(paths, CONFIG.model_copy(update={"split": split}), tmp_path)


def test_a_changed_file_is_read_again_whatever_its_time_and_size(paths: list[Path], tmp_path: Path) -> None:
    before = cached_dataset(paths, CONFIG, tmp_path)
    stat = paths[0].stat()
    with tables.open_file(paths[0], "r+") as h5:
        table = h5.root.simulation.event.subarray.shower
        table.modify_column(column=2 * table.col("true_energy"), colname="true_energy")
    os.utime(paths[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert paths[0].stat().st_size == stat.st_size
    again = cached_dataset(paths, CONFIG, tmp_path)
    np.testing.assert_array_equal(again.energy[:12], 2 * before.energy[:12])


@pytest.mark.parametrize(
    ("name", "damage"),
    [("counts.npy", "cut"), ("columns.npz", "cut"), ("columns.npz", "gone"), ("facts.json", "empty")],
)
def test_what_was_damaged_is_read_again(paths: list[Path], tmp_path: Path, name: str, damage: str) -> None:
    read = cached_dataset(paths, CONFIG, tmp_path)
    (folder,) = tmp_path.glob("dataset-*")
    content = (folder / name).read_bytes()
    expected = load_dataset(paths, CONFIG)
    assert same(read, expected)
    del read
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(b"" if damage == "empty" else content[: len(content) // 2])
    assert same(cached_dataset(paths, CONFIG, tmp_path), expected)
    assert (folder / name).read_bytes() == content


def test_columns_of_another_length_are_no_events(paths: list[Path], tmp_path: Path) -> None:
    expected = load_dataset(paths, CONFIG)
    cached_dataset(paths, CONFIG, tmp_path)
    (folder,) = tmp_path.glob("dataset-*")
    np.save(folder / "counts.npy", expected.counts[:5])
    assert same(cached_dataset(paths, CONFIG, tmp_path), expected)


def test_other_code_reads_again(paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached_dataset(paths, CONFIG, tmp_path)
    monkeypatch.setattr(cache, "_code", lambda: "another version")
    calls: list[int] = []
    monkeypatch.setattr(cache, "load_dataset", lambda *args: calls.append(1) or load_dataset(*args))
    cached_dataset(paths, CONFIG, tmp_path)
    assert calls == [1]


def test_where_nothing_can_be_kept_events_are_read(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    assert same(cached_dataset(paths, CONFIG, tmp_path), load_dataset(paths, CONFIG))
    assert not list(tmp_path.glob("dataset-*"))


def test_files_of_another_place_keep_their_names(paths: list[Path], tmp_path: Path) -> None:
    cached_dataset(paths, CONFIG, tmp_path)
    moved = [path.rename(path.with_name(f"moved-{path.name}")) for path in paths]
    assert cached_dataset(moved, CONFIG, tmp_path).files == tuple(moved)


def test_every_column_of_a_dataset_is_kept() -> None:
    apart = {"counts", "truth", "files", "dropped", "conditions", "noise_sources", "grid", "accounts"}
    assert {item.name for item in fields(Dataset)} == apart | set(cache.COLUMNS)
