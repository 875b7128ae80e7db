"""Which noise holds for a file's events: from its monitoring tables, its clocked events or its images."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from ctapipe.containers import EventType
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.events.monitoring import Conditions
from trigger_ml.events.noise import LEAST_EVENTS, PixelNoise, noise_of_images
from trigger_ml.events.table import EventTable

__all__ = [
    "FileNoise",
    "FlaggedPixels",
    "find_flagged",
    "find_noise",
    "measured_noise",
    "monitored_noise",
]

MOST_IMAGES = 1000
"""Images of a telescope from which its noise is taken: more would not make it better, only slower."""
CLOCKED = EventType.SKY_PEDESTAL.value


@dataclass(frozen=True, eq=False)
class FileNoise:
    """The noise of a file's events.

    Parameters
    ----------
    noise : PixelNoise
    row_of_telescope : dict of int to int, or None
        Row of the noise for each telescope; None where the events' ``block`` is the row.
    nuisances : dict of str to numpy.ndarray of float64, shape (blocks,)
        True conditions of simulated blocks; empty where there are none.
    path : str
        The file, for messages.
    """

    noise: PixelNoise
    row_of_telescope: dict[int, int] | None
    nuisances: dict[str, NDArray[np.float64]]
    path: str

    def assign(self, table: EventTable) -> EventTable:
        """The same events, their ``block`` the row of the noise.

        Raises
        ------
        InputError
            If no noise is known for an event.
        """
        if self.row_of_telescope is not None:
            rows = np.array([self.row_of_telescope.get(tel_id, -1) for tel_id in table.tel_id.tolist()])
            table = replace(table, block=rows.astype(np.int64).reshape(len(table)))
        block = table.block
        if block is None or (block < 0).any():
            row = 0 if block is None else int(np.flatnonzero(block < 0)[0])
            raise InputError(
                f"{self.path}: event {table.event_id[row]} of observation {table.obs_id[row]}, "
                f"telescope {table.tel_id[row]}",
                "no pedestal of its time is in the file's monitoring tables",
                "Merge the file with its monitoring, or set `events.input.pedestal: none` for a network that "
                "does without",
            )
        return table

    def dead(self, table: EventTable) -> NDArray[np.bool_] | None:
        """Dead pixels of events that `assign` gave, shape (events, pixels); None where there are none."""
        return self.noise.dead[table.block] if self.noise.dead.any() else None


@dataclass(frozen=True, eq=False)
class FlaggedPixels:
    """The dead pixels of a file's events, where their noise does not matter.

    Parameters
    ----------
    monitored : numpy.ndarray of bool, shape (rows, pixels)
        By the monitoring tables, whose rows the events' ``block`` is; no rows without such tables.
    silent : mapping of int to numpy.ndarray of bool, shape (pixels,)
        For each telescope, pixels that are NaN in all images.
    path : str
    """

    monitored: NDArray[np.bool_]
    silent: Mapping[int, NDArray[np.bool_]]
    path: str

    def assign(self, table: EventTable) -> EventTable:
        """The events as they are."""
        return table

    def dead(self, table: EventTable) -> NDArray[np.bool_] | None:
        """Dead pixels of events, shape (events, pixels); None where there are none."""
        if not self.monitored.any() and not any(flags.any() for flags in self.silent.values()):
            return None
        dead = np.zeros(table.image.shape, dtype=bool)
        if table.block is not None and len(self.monitored):
            known = table.block >= 0
            dead[known] = self.monitored[table.block[known]]
        for tel_id, flags in self.silent.items():
            dead[table.tel_id == tel_id] |= flags
        return dead


def find_flagged(
    conditions: Conditions | None, path: str, silent: Mapping[int, NDArray[np.bool_]]
) -> FlaggedPixels:
    """The dead pixels of a file's events; see `find_noise`."""
    empty = np.zeros((0, 0), dtype=bool)
    return FlaggedPixels(empty if conditions is None else _dead(conditions), silent, path)


def find_noise(
    conditions: Conditions | None,
    tables: Iterable[EventTable],
    path: str,
    silent: Mapping[int, NDArray[np.bool_]] | None = None,
) -> FileNoise:
    """The noise of a file's events: of its monitoring tables, else measured in its events.

    Parameters
    ----------
    conditions : Conditions or None
        Of the file; None, or without rows, where it has no monitoring tables.
    tables : iterable of EventTable
        The file's events; read only without monitoring tables.
    path : str
    silent : mapping of int to numpy.ndarray of bool, shape (pixels,), optional
        For each telescope, pixels that are NaN in all images, whatever the monitoring tables say.

    Raises
    ------
    InputError
        If there are neither monitoring tables nor events.
    """
    if conditions is not None and len(conditions):
        return monitored_noise(conditions, path, silent)
    return measured_noise(tables, path)


def _dead(conditions: Conditions) -> NDArray[np.bool_]:
    """Pixels that are flagged, or whose noise is none: unknown, or without any spread."""
    spread = conditions.pedestal_std
    known = np.isfinite(conditions.pedestal_mean) & np.isfinite(spread)
    return np.asarray(conditions.dead | ~known | ~(spread > 0))


def monitored_noise(
    conditions: Conditions, path: str, silent: Mapping[int, NDArray[np.bool_]] | None = None
) -> FileNoise:
    """Noise from ctapipe's monitoring tables; the events' ``block`` is their row.

    Parameters
    ----------
    conditions : Conditions
        Not empty.
    path : str
    silent
        See `find_noise`.
    """
    dead = _dead(conditions)
    for tel_id, flags in (silent or {}).items():
        dead[conditions.tel_id == tel_id] |= flags
    least = int(conditions.n_events.min())
    return FileNoise(
        PixelNoise(
            mean=np.where(dead, np.float32(0), conditions.pedestal_mean),
            spread=np.where(dead, np.float32(0), conditions.pedestal_std),
            dead=dead,
            source=f"monitoring tables, {len(conditions)} times, {least} clocked events or more each",
            windows=conditions.n_events,
        ),
        None,
        conditions.nuisances,
        path,
    )


def measured_noise(tables: Iterable[EventTable], path: str) -> FileNoise:
    """Noise from the events themselves: one row for each telescope.

    Clocked events are used where there are at least `LEAST_EVENTS`, else all images: a shower lights few of a
    camera's pixels, and what it lights is clipped away.

    Parameters
    ----------
    tables : iterable of EventTable
        Read until every telescope has `MOST_IMAGES` images, or to the end.
    path : str

    Raises
    ------
    InputError
        If there are no events.
    """
    clocked: dict[int, list[NDArray[np.float32]]] = {}
    images: dict[int, list[NDArray[np.float32]]] = {}
    for table in tables:
        for tel_id, image, kind in _by_telescope(table):
            images.setdefault(tel_id, []).append(image)
            clocked.setdefault(tel_id, []).append(image[kind == CLOCKED])
        if all(sum(map(len, parts)) >= MOST_IMAGES for parts in images.values()):
            break
    if not images:
        raise InputError(path, "has no events, so the noise of its pixels is not known", "Give another file")
    rows = []
    for tel_id, parts in images.items():
        enough = sum(map(len, clocked[tel_id])) >= LEAST_EVENTS
        rows.append(
            noise_of_images(clocked[tel_id], "clocked events", judged=False)
            if enough
            else noise_of_images(parts, "images of all events, light clipped", judged=True)
        )
    noise = PixelNoise(
        mean=np.concatenate([row.mean for row in rows]),
        spread=np.concatenate([row.spread for row in rows]),
        dead=np.concatenate([row.dead for row in rows]),
        source="; ".join(sorted({row.source for row in rows})[:3]),
        windows=np.concatenate([row.windows for row in rows if row.windows is not None]),
        judged=np.concatenate([row.judged for row in rows if row.judged is not None]),
    )
    return FileNoise(noise, {tel_id: row for row, tel_id in enumerate(images)}, {}, path)


def _by_telescope(
    table: EventTable,
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.int64]]]:
    for tel_id in np.unique(table.tel_id).tolist():
        mine = table.tel_id == tel_id
        yield tel_id, table.image[mine], table.kinds[mine]
