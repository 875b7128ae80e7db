"""What a run's stages need of the events, kept beside them: read and counted once.

A folder of plain arrays, found by the content of the event files, by how they become a network's input, and
by the code that does it: what has changed is never taken for what it was.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

import trigger_ml
from trigger_ml.core.config import EventsConfig
from trigger_ml.core.errors import StageError
from trigger_ml.core.files import atomic_directory, remove, sha256, write_json
from trigger_ml.events.dataset import Dataset, RunEvents
from trigger_ml.events.loading import load_dataset
from trigger_ml.events.night_sky import NightSky, load_night_sky
from trigger_ml.events.quantize import Counts
from trigger_ml.events.table import Truth
from trigger_ml.instrument.bilinear import BilinearMap
from trigger_ml.instrument.camera import AxialGrid

__all__ = ["cached_dataset", "cached_night_sky"]

# parts of the configuration that divide events, or say where they are: the events themselves stay
ELSEWHERE = {"files", "night_sky_files", "split"}
# rooms whose code makes counts of event files
ROOMS = ("events", "instrument")
COLUMNS = (
    "label", "energy", "size", "obs_id", "event_id", "tel_id", "shower_id", "pointing_alt", "pointing_az",
    "file_index", "event_type",
)  # fmt: skip
CONDITION, TRUTH, TABLE = "conditions/", "truth/", "grid/"
Arrays = dict[str, NDArray[Any]]


@cache
def _code() -> str:
    """Hash of the code that reads events, and of the packages that it reads them with."""
    found = hashlib.sha256()
    root = Path(trigger_ml.__file__).parent
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            found.update(path.read_bytes())
    for package in ("ctapipe", "numpy", "dl1_data_handler"):
        found.update(version(package).encode())
    return found.hexdigest()


def _key(paths: Sequence[Path], config: EventsConfig) -> str:
    settings = {k: v for k, v in config.model_dump(mode="json").items() if k not in ELSEWHERE}
    # names stand in messages and in tables, but may differ where a run is copied
    content = [_code(), settings, [sha256(path) for path in paths]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _write(folder: Path, counts: Counts, arrays: Arrays, facts: Mapping[str, object]) -> None:
    with atomic_directory(folder) as partial:
        np.save(partial / "counts.npy", counts)
        np.savez(partial / "columns.npz", allow_pickle=False, **arrays)
        write_json(partial / "facts.json", facts)


def _read(folder: Path) -> tuple[Counts, Arrays, dict[str, Any]]:
    """What `_write` left; counts stay on the disk until they are used."""
    counts = np.load(folder / "counts.npy", mmap_mode="r")
    with np.load(folder / "columns.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    if any(len(values) != len(counts) for name, values in arrays.items() if not name.startswith(TABLE)):
        raise ValueError("columns of another length than the counts")
    return np.asarray(counts), arrays, json.loads((folder / "facts.json").read_bytes())


def _kept[T](
    kind: str,
    paths: Sequence[Path],
    config: EventsConfig,
    directory: Path,
    read: Callable[[Path], T],
    make: Callable[[], T],
    write: Callable[[Path, T], None],
) -> T:
    """What is kept, or made and kept; one entry of each kind stays."""
    if not paths or not all(path.is_file() for path in paths):
        # nothing to keep, or refused there in words
        return make()
    folder = directory / f"{kind}-{_key(paths, config)}"
    if folder.is_dir():
        try:
            return read(folder)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
            # cut off or changed by somebody: the events tell it again
            remove(folder)
    made = make()
    try:
        for old in directory.glob(f"{kind}-*"):
            remove(old)
        write(folder, made)
    except (OSError, StageError):
        # a run that can only be read, or a full disk: the next stage reads the events again
        return made
    return read(folder)


def cached_dataset(paths: Sequence[Path], config: EventsConfig, directory: Path) -> Dataset:
    """As `load_dataset`, from what an earlier call has kept in a folder.

    Parameters
    ----------
    paths : sequence of pathlib.Path
    config : EventsConfig
    directory : pathlib.Path
        Where it is kept.

    Raises
    ------
    InputError, CameraMismatchError
        See `load_dataset`.
    """
    return _kept(
        "dataset",
        paths,
        config,
        directory,
        lambda folder: _dataset(folder, paths),
        lambda: load_dataset(paths, config),
        _keep_dataset,
    )


def _keep_dataset(folder: Path, dataset: Dataset) -> None:
    arrays = {name: getattr(dataset, name) for name in COLUMNS}
    arrays |= {TRUTH + item.name: getattr(dataset.truth, item.name) for item in fields(Truth)}
    arrays |= {CONDITION + name: values for name, values in dataset.conditions.items()}
    if isinstance(dataset.grid, BilinearMap):
        table = dataset.grid.table
        arrays |= {TABLE + name: getattr(table, name) for name in ("data", "indices", "indptr")}
        arrays[TABLE + "shape"] = np.array(table.shape)
    facts = {
        "dropped": dataset.dropped,
        "conditions": list(dataset.conditions),
        "noise_sources": list(dataset.noise_sources),
        "accounts": [asdict(account) for account in dataset.accounts],
        "grid": dataset.grid.to_dict(),
    }
    _write(folder, dataset.counts, arrays, facts)


def _dataset(folder: Path, paths: Sequence[Path]) -> Dataset:
    counts, arrays, facts = _read(folder)
    grid: AxialGrid | BilinearMap
    if TABLE + "shape" in arrays:
        parts = tuple(arrays[TABLE + name] for name in ("data", "indices", "indptr"))
        table = csr_matrix(parts, shape=tuple(arrays[TABLE + "shape"]))
        height, width = facts["grid"]["shape"]
        grid = BilinearMap(facts["grid"]["camera"], (height, width), table)
    else:
        grid = AxialGrid.from_dict(facts["grid"])
    return Dataset(
        counts=counts,
        **{name: arrays[name] for name in COLUMNS},
        truth=Truth(**{item.name: arrays[TRUTH + item.name] for item in fields(Truth)}),
        files=tuple(paths),
        dropped=facts["dropped"],
        conditions={name: arrays[CONDITION + name] for name in facts["conditions"]},
        noise_sources=tuple(facts["noise_sources"]),
        grid=grid,
        accounts=tuple(RunEvents(**account) for account in facts["accounts"]),
    )


def cached_night_sky(paths: Sequence[Path], config: EventsConfig, directory: Path) -> NightSky | None:
    """As `load_night_sky`, from what an earlier call has kept in a folder.

    Parameters
    ----------
    paths : sequence of pathlib.Path
    config : EventsConfig
    directory : pathlib.Path
        Where it is kept.

    Raises
    ------
    InputError, CameraMismatchError
        See `load_night_sky`.
    """
    return _kept(
        "night-sky",
        paths,
        config,
        directory,
        _night_sky,
        lambda: load_night_sky(paths, config),
        _keep_night_sky,
    )


def _keep_night_sky(folder: Path, night: NightSky | None) -> None:
    assert night is not None  # there are files
    arrays = {CONDITION + name: values for name, values in night.conditions.items()}
    _write(folder, night.counts, arrays, {"conditions": list(night.conditions)})


def _night_sky(folder: Path) -> NightSky:
    counts, arrays, facts = _read(folder)
    return NightSky(counts, {name: arrays[CONDITION + name] for name in facts["conditions"]})
