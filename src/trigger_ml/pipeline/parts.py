"""What an emulation has finished, on the disk: kept when it is killed, found again when it is started again.

Beside the output lies a folder with one folder for each input file, named by everything that its content
depends on: the network, the file's name, size and time, and what is kept of an event. Parts appear whole or
not at all.
"""

import fcntl
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import atomic_path, write_json
from trigger_ml.events.domain import Tally, add_tallies
from trigger_ml.events.table import NO_TIME
from trigger_ml.pipeline.decisions import Decisions

__all__ = ["FileParts", "Part", "PartFacts", "parts_folder"]

FORMAT = 1
"""Of parts; raised when they hold something else."""
FACTS = "file.json"


@dataclass(frozen=True)
class PartFacts:
    """What is known of a part without reading its events.

    Parameters
    ----------
    events, read, dropped : int
        Events in it, events read for it, and events of these that were not usable.
    tallies : mapping of str to Tally
    runs : tuple of (obs_id, least event_id, largest event_id)
    timed : bool
        Whether the time of an event is known.
    """

    events: int
    read: int
    dropped: int
    tallies: Mapping[str, Tally]
    runs: tuple[tuple[int, int, int], ...]
    timed: bool

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of ``asdict``."""
        tallies = {name: Tally(**tally) for name, tally in content["tallies"].items()}
        return cls(**{**content, "tallies": tallies, "runs": tuple(map(tuple, content["runs"]))})


@dataclass(frozen=True, eq=False)
class Part:
    """Decisions of one file, one row for each event.

    Parameters
    ----------
    columns : dict of str to numpy.ndarray, shape (n, ...)
        ``obs_id``, ``event_id``, ``tel_id``, ``event_type``, ``time``, ``domain``, ``output``,
        ``pointing_alt``, ``pointing_az``.
    images : dict of str to numpy.ndarray
        ``row``, the rows of the events of which the images are kept; ``image`` and where the file has them
        ``peak_time``. Empty where none are kept.
    facts : PartFacts
    """

    columns: dict[str, NDArray[np.generic]]
    images: dict[str, NDArray[np.generic]]
    facts: PartFacts

    @classmethod
    def of(cls, decisions: Iterable[tuple[Decisions, NDArray[np.bool_] | None]]) -> Self:
        """The part of some chunks, each with a mask of the events whose images are kept (None: of none)."""
        columns: dict[str, list[NDArray[np.generic]]] = {}
        images: dict[str, list[NDArray[np.generic]]] = {}
        tallies, events, read = [], 0, 0
        for chunk, pictured in decisions:
            table = chunk.events
            found = {name: getattr(table, name) for name in ("obs_id", "event_id", "tel_id")}
            found |= {"pointing_alt": table.pointing_alt, "pointing_az": table.pointing_az}
            found["event_type"] = table.kinds
            found["time"] = np.full(len(table), NO_TIME) if table.time is None else table.time
            found |= {"domain": chunk.domain, "output": chunk.output}
            for name, values in found.items():
                columns.setdefault(name, []).append(values)
            if pictured is not None:
                images.setdefault("row", []).append(events + np.flatnonzero(pictured))
                images.setdefault("image", []).append(table.image[pictured])
                if table.peak_time is not None:
                    images.setdefault("peak_time", []).append(table.peak_time[pictured])
            tallies.append(chunk.tallies)
            events, read = events + len(table), read + chunk.read
        joined = {name: np.concatenate(values) for name, values in columns.items()}
        facts = PartFacts(events, read, read - events, add_tallies(tallies), _runs(joined), _timed(joined))
        return cls(joined, {name: np.concatenate(values) for name, values in images.items()}, facts)

    def write(self, path: Path) -> None:
        """Write it, atomically."""
        arrays = {f"column_{name}": values for name, values in self.columns.items()}
        arrays |= {f"image_{name}": values for name, values in self.images.items()}
        text = json.dumps(asdict(self.facts)).encode()
        with atomic_path(path) as partial, partial.open("wb") as stream:
            np.savez(stream, facts=np.frombuffer(text, np.uint8), **arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` left."""
        with np.load(path) as arrays:
            columns, images = (
                {name.removeprefix(kind): arrays[name] for name in arrays.files if name.startswith(kind)}
                for kind in ("column_", "image_")
            )
            return cls(columns, images, _facts(arrays["facts"]))


def _facts(stored: NDArray[np.uint8]) -> PartFacts:
    return PartFacts.from_dict(json.loads(stored.tobytes()))


def _timed(columns: Mapping[str, NDArray[np.generic]]) -> bool:
    return bool(columns) and bool((columns["time"] != NO_TIME).any())


def _runs(columns: Mapping[str, NDArray[np.generic]]) -> tuple[tuple[int, int, int], ...]:
    if not columns:
        return ()
    found = []
    for obs_id in np.unique(columns["obs_id"]).tolist():
        mine = columns["event_id"][columns["obs_id"] == obs_id]
        found.append((obs_id, int(mine.min()), int(mine.max())))
    return tuple(found)


@dataclass(frozen=True)
class FileParts:
    """The finished parts of one input file.

    Parameters
    ----------
    folder : Path
    """

    folder: Path

    @classmethod
    def of(cls, root: Path, path: Path, depends: Mapping[str, object]) -> Self:
        """In the folder of an emulation.

        Parameters
        ----------
        root : Path
        path : Path
            The input file.
        depends : mapping
            What else the parts depend on, for JSON.
        """
        status = path.stat()
        identity = [str(path.resolve()), status.st_size, status.st_mtime_ns]
        text = json.dumps({"format": FORMAT, "file": identity, **depends}, sort_keys=True)
        return cls(root / hashlib.sha256(text.encode()).hexdigest()[:32])

    def path(self, number: int) -> Path:
        """Of a part."""
        return self.folder / f"{number:08d}.npz"

    def finished(self) -> dict[int, PartFacts]:
        """Parts that are there and whole."""
        found = {}
        for path in sorted(self.folder.glob("[0-9]*.npz")):
            with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile), np.load(path) as arrays:
                found[int(path.stem)] = _facts(arrays["facts"])
        return found

    @cached_property
    def _facts_path(self) -> Path:
        return self.folder / FACTS

    def facts(self) -> dict[str, Any] | None:
        """What is known of the file; None before it was opened."""
        try:
            content: dict[str, Any] = json.loads(self._facts_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content

    def write_facts(self, facts: Mapping[str, object]) -> None:
        """Keep what is known of the file."""
        write_json(self._facts_path, dict(facts))


@contextmanager
def parts_folder(output: Path) -> Iterator[Path]:
    """The folder of an emulation's parts, locked; removed if nothing was finished, or with `shutil.rmtree`.

    Raises
    ------
    InputError
        If another process emulates into the same output.
    """
    folder = output.with_name(f"{output.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                str(output), "another process is writing it", "Wait for it, or give another name"
            ) from None
        yield folder
    finally:
        if folder.is_dir() and not any(folder.glob("*/[0-9]*.npz")):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)
