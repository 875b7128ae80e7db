"""Rows of a file's tables found by the ids of their events; ids that are there twice are refused."""

import numpy as np
import tables
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.events.hdf5 import ColumnReader, as_ids

__all__ = ["Companion", "RowIndex", "equal_pair", "require_unique"]

Ids = NDArray[np.int64]

MERGED = (
    "It was merged of files that number their events alike, or of one file twice: give those files themselves"
)


def equal_pair(*columns: NDArray[np.number]) -> tuple[int, int] | None:
    """Two rows that are equal in all columns, the earlier first; None if there are none."""
    if len(columns[0]) < 2:
        return None
    order = np.lexsort(columns[::-1])
    same = np.ones(len(order) - 1, dtype=bool)
    for column in columns:
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    if not same.any():
        return None
    # the sort is stable: equal rows stay in their order
    place = np.flatnonzero(same)
    first = place[np.argmin(order[place + 1])]
    return int(order[first]), int(order[first + 1])


def require_unique(obs_id: Ids, event_id: Ids, what: str, rows: Ids | None = None, of: str = "") -> None:
    """Refuse a table in which an event is twice: no join could tell which row is meant.

    Parameters
    ----------
    obs_id, event_id : numpy.ndarray of int64, shape (n,)
    what : str
        File and table, for the message.
    rows : numpy.ndarray of int64, shape (n,), optional
        Their row numbers there; default 0 to n - 1.
    of : str
        What else the rows have in common (the telescope).

    Raises
    ------
    InputError
        It names both rows.
    """
    pair = equal_pair(obs_id, event_id)
    if pair is None:
        return
    first, second = (int(row if rows is None else rows[row]) for row in pair)
    event = f"event {event_id[pair[0]]} of observation {obs_id[pair[0]]}{of}"
    raise InputError(what, f"rows {first} and {second} are both {event}", MERGED)


class RowIndex:
    """Finds rows by observation and event.

    Parameters
    ----------
    obs_id, event_id : numpy.ndarray of int64, shape (n,)
    what, rows, of
        See `require_unique`.

    Raises
    ------
    InputError
        If an event is twice there.
    """

    def __init__(
        self, obs_id: Ids, event_id: Ids, what: str = "table", rows: Ids | None = None, of: str = ""
    ) -> None:
        require_unique(obs_id, event_id, what, rows, of)
        self._order = np.lexsort((event_id, obs_id))
        self._obs, self._event = obs_id[self._order], event_id[self._order]

    def find(self, obs_id: Ids, event_id: Ids) -> Ids:
        """Row of each (obs, event), counted as the columns given are; -1 where there is none."""
        found = np.full(len(obs_id), -1, dtype=np.int64)
        for run in np.unique(obs_id):
            first = np.searchsorted(self._obs, run)
            last = np.searchsorted(self._obs, run, side="right")
            if first == last:
                continue
            mine = np.flatnonzero(obs_id == run)
            place = first + np.searchsorted(self._event[first:last], event_id[mine])
            place = np.minimum(place, last - 1)
            hit = self._event[place] == event_id[mine]
            found[mine[hit]] = self._order[place[hit]]
        return found


class Companion:
    """A column of a table beside that of the images, read for the same events.

    Such tables have the rows of the images as a rule, and then are read by position, after a look at their
    ids; else rows are found by their ids.

    Parameters
    ----------
    node : tables.Table
    column : str
    tel_id : int
        Telescope whose rows are asked for.
    path : str
        Of the file, for messages.
    """

    def __init__(self, node: tables.Table, column: str, tel_id: int, path: str) -> None:
        self._node, self._column, self._tel_id, self._path = node, column, tel_id, path
        self._reader = ColumnReader(node, ["obs_id", "event_id", "tel_id", column])
        self._index: RowIndex | None = None
        self._rows = np.zeros(0, dtype=np.int64)

    def read(
        self, start: int, stop: int, obs_id: Ids, event_id: Ids
    ) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Values for some events of the telescope.

        Parameters
        ----------
        start, stop : int
            Rows that the events have in the table of the images.
        obs_id, event_id : numpy.ndarray of int64, shape (n,)

        Returns
        -------
        values : numpy.ndarray, shape (n, ...)
            Zeros for an event without a row.
        known : numpy.ndarray of bool, shape (n,)

        Raises
        ------
        InputError
            If an event is twice there.
        """
        if stop - start == len(obs_id) and stop <= self._node.nrows:
            columns = self._reader.read(start, stop)
            if (
                np.array_equal(as_ids(columns["obs_id"]), obs_id)
                and np.array_equal(as_ids(columns["event_id"]), event_id)
                and (as_ids(columns["tel_id"]) == self._tel_id).all()
            ):
                return columns[self._column], np.ones(len(obs_id), dtype=bool)
        rows = self._find(obs_id, event_id)
        known = rows >= 0
        found = self._reader.read_rows(rows[known])[self._column]
        values = np.zeros((len(obs_id), *found.shape[1:]), dtype=found.dtype)
        values[known] = found
        return values, known

    def _find(self, obs_id: Ids, event_id: Ids) -> Ids:
        if self._index is None:
            ids = {name: as_ids(self._node.col(name)) for name in ("obs_id", "event_id", "tel_id")}
            self._rows = np.flatnonzero(ids["tel_id"] == self._tel_id)
            self._index = RowIndex(
                ids["obs_id"][self._rows],
                ids["event_id"][self._rows],
                f"{self._path}: {self._node._v_pathname}",
                self._rows,
                f", telescope {self._tel_id}",
            )
        place = self._index.find(obs_id, event_id)
        return np.where(place < 0, -1, self._rows[np.maximum(place, 0)] if len(self._rows) else -1)
