"""DL1 files piece by piece, in memory that does not grow with the file: what a network is fed with.

`trigger_ml.events.dl1.Dl1Reader.tables` reads everything that is known of an event, the simulated truth too,
and keeps what it has seen. Here a piece knows nothing of the others, so that several processes share a file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tables
from ctapipe.containers import EventType
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.events.dl1 import IMAGES, Dl1Reader
from trigger_ml.events.hdf5 import ColumnReader, as_ids
from trigger_ml.events.table import NO_TIME, EventTable
from trigger_ml.events.triggers import TRIGGERS, TelescopeTriggers

__all__ = ["Dl1Spans", "Span"]

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Span:
    """Rows of a table of images.

    Parameters
    ----------
    table : str
        Its name.
    start, stop : int
        First row, and the row behind the last.
    """

    table: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Dl1Spans:
    """The images of some telescopes of an open DL1 file.

    Parameters
    ----------
    reader : Dl1Reader
    tel_ids : sequence of int
        All of one camera.
    peak_time, pointing : bool
        Read these too.
    """

    def __init__(
        self, reader: Dl1Reader, tel_ids: Sequence[int], *, peak_time: bool = False, pointing: bool = False
    ) -> None:
        reader.require(tel_ids)
        self._reader, self._tel_ids, self._pointing = reader, np.array(sorted(tel_ids)), pointing
        self._wanted = ["obs_id", "event_id", "tel_id", "image", *(["peak_time"] if peak_time else [])]
        self._columns: dict[str, ColumnReader] = {}
        self._triggers: dict[tuple[int, int, int], TelescopeTriggers] = {}

    @property
    def _h5(self) -> tables.File:
        return self._reader.h5

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._reader.path

    def spans(self, rows: int) -> list[Span]:
        """All images in pieces of at most so many rows (also of telescopes that were not chosen)."""
        found = []
        for name in self._reader.image_tables(self._tel_ids.tolist()):
            total = int(self._h5.get_node(f"{IMAGES}/{name}").nrows)
            found += [Span(name, i, min(i + rows, total)) for i in range(0, total, rows)]
        return found

    def read(self, span: Span, chunk_size: int) -> Iterator[EventTable]:
        """Tables of at most so many events, in the order of the file; without truth.

        Raises
        ------
        InputError
            If images have several gain channels.
        """
        columns = self._columns.setdefault(
            span.table, ColumnReader(self._h5.get_node(f"{IMAGES}/{span.table}"), self._wanted)
        )
        beside = _Beside(self, span)
        for start in range(span.start, span.stop, chunk_size):
            found = columns.read(start, min(start + chunk_size, span.stop))
            mine = np.isin(found["tel_id"], self._tel_ids)
            rows = np.arange(start, start + len(mine))
            if not mine.all():
                found = {key: column[mine] for key, column in found.items()}
                rows = rows[mine]
            if len(rows):
                yield self._table(found, rows, beside)

    def _table(self, found: dict[str, NDArray[Any]], rows: Ids, beside: "_Beside") -> EventTable:
        obs_id, event_id, tel_id = (as_ids(found[key]) for key in ("obs_id", "event_id", "tel_id"))
        image = np.asarray(found["image"], dtype=np.float32)
        if image.ndim != 2:
            raise InputError(
                f"{self.path}: telescope {tel_id[0]}",
                f"images have {image.shape[1]} gain channels",
                "Process the file with gain selection (the default of ctapipe-process)",
            )
        time, kind, block, alt, az = beside.of(obs_id, event_id, tel_id, rows)
        return EventTable(
            obs_id=obs_id,
            event_id=event_id,
            tel_id=tel_id,
            image=image,
            peak_time=np.asarray(found["peak_time"], np.float32) if "peak_time" in found else None,
            pointing_alt=alt,
            pointing_az=az,
            event_type=kind,
            block=block,
            time=time,
        )

    def triggers(self, tel_id: int, start: int = 0, stop: int = 0) -> TelescopeTriggers:
        """Triggers of a telescope, all of them or some rows of the table; the last asked for are kept."""
        key = (tel_id, start, stop)
        if key not in self._triggers:
            if stop:
                # a window serves one piece
                self._triggers = {old: kept for old, kept in self._triggers.items() if not old[2]}
            self._triggers[key] = TelescopeTriggers(
                self._h5, tel_id, self.path, rows=slice(start, stop) if stop else None
            )
        return self._triggers[key]

    @property
    def with_pointing(self) -> bool:
        """Whether pointing is asked for."""
        return self._pointing

    def block(self, triggers: TelescopeTriggers, rows: Ids) -> Ids:
        """Row of the file's conditions for each row of the triggers."""
        return triggers.block(self._reader.conditions, rows)

    def image_rows(self, table: str) -> int:
        """Rows of a table of images."""
        return int(self._h5.get_node(f"{IMAGES}/{table}").nrows)

    @property
    def trigger_rows(self) -> int:
        """Rows of the table of triggers."""
        return int(self._h5.get_node(TRIGGERS).nrows) if TRIGGERS in self._h5 else 0


class _Beside:
    """What the table of triggers tells of a piece's events.

    Files of one telescope have a trigger for each image, row by row: then only these rows are read. Else they
    are found by their ids, which takes those of the whole table.
    """

    def __init__(self, spans: Dl1Spans, span: Span) -> None:
        self._spans, self._span = spans, span

    def of(
        self, obs_id: Ids, event_id: Ids, tel_id: Ids, rows: Ids
    ) -> tuple[Ids, Ids | None, Ids, NDArray[np.float64], NDArray[np.float64]]:
        """Time, kind, block of conditions, altitude and azimuth of events in some rows of the images."""
        n = len(rows)
        time, kind = np.full(n, NO_TIME), np.full(n, EventType.UNKNOWN.value, dtype=np.int64)
        block = np.full(n, -1, dtype=np.int64)
        alt, az = np.full(n, np.nan), np.full(n, np.nan)
        told = False
        for tel in np.unique(tel_id).tolist():
            mine = np.flatnonzero(tel_id == tel)
            triggers, found = self._rows(tel, obs_id[mine], event_id[mine], rows[mine])
            times, kinds = triggers.time(found), triggers.event_type(found)
            if times is not None:
                time[mine] = times
            if kinds is not None:
                kind[mine], told = kinds, True
            block[mine] = self._spans.block(triggers, found)
            if self._spans.with_pointing:
                alt[mine], az[mine] = triggers.pointing(obs_id[mine], found)
        return time, kind if told else None, block, alt, az

    def _rows(self, tel_id: int, obs_id: Ids, event_id: Ids, rows: Ids) -> tuple[TelescopeTriggers, Ids]:
        if self._spans.trigger_rows == self._spans.image_rows(self._span.table):
            near = self._spans.triggers(tel_id, self._span.start, self._span.stop)
            place = near.at(rows - self._span.start, obs_id, event_id)
            if place is not None:
                return near, place
        triggers = self._spans.triggers(tel_id)
        return triggers, triggers.rows(obs_id, event_id)
