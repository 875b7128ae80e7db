"""What the table of triggers tells of a telescope's events: when they were, and of which kind."""

from functools import cached_property
from pathlib import Path

import numpy as np
import tables
from astropy.table import Table
from astropy.time import Time
from ctapipe.containers import EventType
from ctapipe.io import read_table
from numpy.typing import NDArray

from trigger_ml.events.hdf5 import id_column
from trigger_ml.events.joins import RowIndex
from trigger_ml.events.monitoring import Conditions, seconds
from trigger_ml.events.pointing import Pointing
from trigger_ml.events.table import NO_TIME, nanoseconds

__all__ = ["TRIGGERS", "TelescopeTriggers"]

TRIGGERS = "/dl1/event/telescope/trigger"

Ids = NDArray[np.int64]


class TelescopeTriggers:
    """What is read once for a telescope: triggers and pointing.

    Parameters
    ----------
    h5 : tables.File
    tel_id : int
    path : pathlib.Path
        Of the file, for messages.
    rows : slice, optional
        Only these rows of the table of triggers, which other telescopes share.
    """

    def __init__(self, h5: tables.File, tel_id: int, path: Path, rows: slice | None = None) -> None:
        self._h5, self._tel_id, self._path = h5, tel_id, path
        self._triggers: Table | None = None
        self._blocks: Ids | None = None
        if TRIGGERS in h5:
            # reading under a condition takes six times as long as reading all
            triggers = read_table(h5, TRIGGERS, *(() if rows is None else (rows.start, rows.stop)))
            self._mine = np.flatnonzero(id_column(triggers, "tel_id") == tel_id)
            self._triggers = triggers[self._mine]

    @cached_property
    def _ids(self) -> tuple[Ids, Ids]:
        assert self._triggers is not None
        return id_column(self._triggers, "obs_id"), id_column(self._triggers, "event_id")

    @cached_property
    def _index(self) -> RowIndex:
        return RowIndex(*self._ids, f"{self._path}: {TRIGGERS}", self._mine, f", telescope {self._tel_id}")

    @cached_property
    def _times(self) -> Ids | None:
        triggers = self._triggers
        if triggers is None or "time" not in triggers.colnames or not isinstance(triggers["time"], Time):
            return None
        return nanoseconds(triggers["time"])

    @cached_property
    def _pointing(self) -> Pointing:
        return Pointing(self._h5, self._tel_id)

    def at(self, rows: Ids, obs_id: Ids, event_id: Ids) -> Ids | None:
        """Places of events that are expected in some rows; None where one of them is not just there."""
        if self._triggers is None or not len(self._mine):
            return None
        place = np.minimum(np.searchsorted(self._mine, rows), len(self._mine) - 1)
        known = self._mine[place] == rows
        same = (self._ids[0][place] == obs_id) & (self._ids[1][place] == event_id)
        return place if (known & same).all() else None

    def rows(self, obs_id: Ids, event_id: Ids) -> Ids:
        """Rows of the triggers; -1 where there is none."""
        if self._triggers is None:
            return np.full(len(obs_id), -1, dtype=np.int64)
        return self._index.find(obs_id, event_id)

    def event_type(self, rows: Ids) -> Ids | None:
        """Kinds of events; None where the file tells none."""
        if self._triggers is None or "event_type" not in self._triggers.colnames:
            return None
        return _taken(id_column(self._triggers, "event_type"), rows, EventType.UNKNOWN.value)

    def time(self, rows: Ids) -> Ids | None:
        """Nanoseconds since 1970 (TAI); None where the file tells none."""
        return None if self._times is None else _taken(self._times, rows, NO_TIME)

    def block(self, conditions: Conditions, rows: Ids) -> Ids:
        """Row of the conditions that holds for each event; -1 where there is none."""
        if self._times is None or len(conditions) == 0:
            return np.full(len(rows), -1, dtype=np.int64)
        assert self._triggers is not None
        if self._blocks is None:
            self._blocks = conditions.rows(self._tel_id, seconds(self._triggers["time"]))
        return _taken(self._blocks, rows, -1)

    def pointing(self, obs_id: Ids, rows: Ids) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Altitude and azimuth in radians; NaN where the file tells none."""
        return self._pointing.at(obs_id, self.time(rows))


def _taken(values: Ids, rows: Ids, missing: int) -> Ids:
    """Values of rows; ``missing`` where the row is -1."""
    if not len(values):
        return np.full(len(rows), missing, dtype=np.int64)
    return np.where(rows < 0, missing, values[np.maximum(rows, 0)])
