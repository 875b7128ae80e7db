"""A network's answers as ctapipe DL2 tables."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tables
from astropy.table import Column, Table, vstack
from astropy.time import Time, TimeDelta
from ctapipe.containers import EventType
from ctapipe.instrument import SubarrayDescription
from ctapipe.io import DataLevel, metadata, read_table, write_table
from ctapipe.io.hdf5dataformat import (
    DL1_SUBARRAY_TRIGGER_TABLE,
    DL1_TEL_IMAGES_GROUP,
    DL1_TEL_TRIGGER_TABLE,
    DL2_TEL_ENERGY_GROUP,
    DL2_TEL_GEOMETRY_GROUP,
    DL2_TEL_PARTICLETYPE_GROUP,
)
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.task import Task
from trigger_ml.events.dl1_writer import FILTERS
from trigger_ml.events.hdf5 import narrowed, open_dl1, written_hdf5
from trigger_ml.events.provenance import write_reference
from trigger_ml.events.table import NO_TIME, as_time

__all__ = [
    "AnswersFile",
    "Task",
    "answers_file",
    "array_event_order",
    "read_answers",
    "write_answers",
]

GROUPS: dict[Task, str] = {
    "type": DL2_TEL_PARTICLETYPE_GROUP,
    "energy": DL2_TEL_ENERGY_GROUP,
    "direction": DL2_TEL_GEOMETRY_GROUP,
}
# files that tell no time get times in their order, one millisecond apart
UNKNOWN_TIME = Time("1970-01-01T00:00:00", scale="tai")


@dataclass
class AnswersFile:
    """A file of answers that is being written; `answers_file` opens and ends one.

    Parameters
    ----------
    h5 : tables.File
    task : {"type", "energy", "direction"}
    prefix : str
    subarray : ctapipe.instrument.SubarrayDescription or None
    timed : bool
        Whether the time of some event of the whole file is known. Where it is of none, events get times in
        their order from 1970 on.
    rows : dict of str to int
        Of each table, to be compared with what can be read back.
    """

    h5: tables.File
    task: Task
    prefix: str
    subarray: SubarrayDescription | None
    timed: bool
    rows: dict[str, int]
    array_events: int = 0
    obs_ids: set[int] = field(default_factory=set)
    levels: set[DataLevel] = field(default_factory=lambda: {DataLevel.DL2})

    def _write(self, name: str, columns: Mapping[str, object]) -> None:
        table = Table(dict(columns))
        write_table(table, self.h5, name, append=True, filters=FILTERS)
        self.rows[name] = self.rows.get(name, 0) + len(table)

    def append(
        self,
        ids: Mapping[str, NDArray[np.int64]],
        answers: Mapping[str, NDArray[np.generic]],
        event_type: NDArray[np.int64] | None,
        time: NDArray[np.int64] | None,
        *,
        triggers: bool,
    ) -> None:
        """Write more rows: whole array events, their telescopes together.

        Parameters
        ----------
        ids : mapping of str to numpy.ndarray, shape (n,)
            ``obs_id``, ``event_id``, ``tel_id``; none of them twice.
        answers, event_type, time
            See :func:`write_answers`.
        triggers : bool
            Write the trigger tables too.

        Raises
        ------
        InputError
            If an answer is not finite.
        """
        table: dict[str, NDArray[np.integer]] = {
            "obs_id": np.asarray(ids["obs_id"], dtype=np.int64),
            "event_id": np.asarray(ids["event_id"], dtype=np.int64),
            "tel_id": narrowed(np.asarray(ids["tel_id"]), np.int16, "telescope number"),
        }
        name = f"{self.prefix}_tel"
        units = {f"{name}_{key}": getattr(column, "unit", None) for key, column in answers.items()}
        predictions: dict[str, NDArray[np.generic]] = {
            f"{name}_{key}": np.asarray(column) for key, column in answers.items()
        }
        predictions[f"{name}_is_valid"] = np.ones(len(table["event_id"]), dtype=bool)
        if event_type is not None:
            predictions["event_type"] = np.asarray(event_type, dtype=np.int64)
        _require_finite(table, predictions)
        for tel in np.unique(table["tel_id"]):
            rows = table["tel_id"] == tel
            columns = {
                key: Column(column[rows], unit=units.get(key))
                for key, column in (table | predictions).items()
            }
            self._write(f"{GROUPS[self.task]}/{self.prefix}/tel_{tel:03d}", columns)
        self.obs_ids |= set(np.unique(table["obs_id"]).tolist())
        if triggers:
            self._append_triggers(table, event_type, time)

    def append_images(
        self,
        ids: Mapping[str, NDArray[np.int64]],
        image: NDArray[np.float32],
        peak_time: NDArray[np.float32] | None,
    ) -> None:
        """Write images of events beside their answers, as DL1 files have them.

        Parameters
        ----------
        ids : mapping of str to numpy.ndarray, shape (n,)
        image, peak_time : numpy.ndarray of float32, shape (n, pixels)
        """
        pixels = {"image": image} | ({} if peak_time is None else {"peak_time": peak_time})
        for tel in np.unique(ids["tel_id"]):
            rows = ids["tel_id"] == tel
            columns = {name: np.asarray(ids[name])[rows] for name in ("obs_id", "event_id")}
            columns["tel_id"] = np.full(int(rows.sum()), tel, dtype=np.int16)
            columns |= {name: values[rows] for name, values in pixels.items()}
            self._write(f"{DL1_TEL_IMAGES_GROUP}/tel_{tel:03d}", columns)
        self.levels.add(DataLevel.DL1_IMAGES)

    def _append_triggers(
        self,
        table: dict[str, NDArray[np.integer]],
        event_type: NDArray[np.int64] | None,
        time: NDArray[np.int64] | None,
    ) -> None:
        """Trigger tables of the events. Without a subarray that of the telescopes alone."""
        new = (np.diff(table["obs_id"], prepend=-1) != 0) | (np.diff(table["event_id"], prepend=-1) != 0)
        place, starts = np.cumsum(new) - 1, np.flatnonzero(new)
        if self.timed:
            assert time is not None
            times = as_time(time)
        else:
            order = self.array_events + np.arange(len(starts))
            times = (UNKNOWN_TIME + TimeDelta(order * 1e-3, format="sec"))[place]
        self.array_events += len(starts)
        kind = np.full(len(place), EventType.SUBARRAY.value, dtype=np.int64)
        if event_type is not None:
            kind = np.asarray(event_type, dtype=np.int64)
        enum = {"ENUM": EventType, "TRANSFORM": "enum"}
        if self.subarray is not None:
            triggered = np.zeros((len(starts), len(self.subarray)), dtype=bool)
            triggered[place, self.subarray.tel_ids_to_indices(table["tel_id"])] = True
            array_events = {
                "obs_id": table["obs_id"][starts],
                "event_id": table["event_id"][starts],
                "time": times[starts],
                "tels_with_trigger": Column(triggered, meta={"TRANSFORM": "tel_list_to_mask"}),
                "event_type": Column(kind[starts], meta=enum),
            }
            self._write(DL1_SUBARRAY_TRIGGER_TABLE, array_events)
        telescope_events = {**table, "time": times, "event_type": Column(kind, meta=enum)}
        self._write(DL1_TEL_TRIGGER_TABLE, telescope_events)


@contextmanager
def answers_file(
    path: Path,
    task: Task,
    *,
    prefix: str = "trigger_ml",
    timed: bool = False,
    subarray: SubarrayDescription | None = None,
    simulated: bool = False,
    source: Mapping[str, str] | None = None,
) -> Iterator[AnswersFile]:
    """A file of answers, written piece by piece; it appears when the block ends well.

    Parameters
    ----------
    path, task, prefix, subarray, simulated, source
        See :func:`write_answers`.
    timed : bool
        See `AnswersFile`.
    """
    rows: dict[str, int] = {}
    with written_hdf5(path, rows) as partial, tables.open_file(str(partial), mode="w") as h5:
        file = AnswersFile(h5, task, prefix, subarray, timed, rows)
        yield file
        if subarray is not None:
            subarray.to_hdf(h5)
        write_reference(
            h5,
            simulated=simulated,
            levels=file.levels,
            obs_ids=file.obs_ids,
            subarray="unknown" if subarray is None else subarray.name,
            activity="trigger-ml emulate",
            description="trigger_ml predictions",
        )
        metadata.write_to_hdf5({f"CONTEXT {key.upper()}": text for key, text in (source or {}).items()}, h5)


def write_answers(
    path: Path,
    task: Task,
    answers: Mapping[str, NDArray[np.generic]],
    *,
    obs_id: ArrayLike,
    event_id: ArrayLike,
    tel_id: ArrayLike,
    prefix: str = "trigger_ml",
    event_type: ArrayLike | None = None,
    time: NDArray[np.int64] | None = None,
    subarray: SubarrayDescription | None = None,
    simulated: bool = False,
    source: Mapping[str, str] | None = None,
) -> None:
    """Write the answers of a network of any task, one row for each telescope event, atomically.

    The layout is that of ctapipe's reconstructors: ``/dl2/event/telescope/<kind>/<prefix>/tel_<id>`` with the
    columns ``<prefix>_tel_<name>`` of ctapipe's containers (``prediction``; ``energy``; ``alt`` and ``az``)
    and ``<prefix>_tel_is_valid``. With a subarray the file also gets its description and trigger tables, so
    that ctapipe's ``TableLoader`` opens it by itself.

    Parameters
    ----------
    path : pathlib.Path
        HDF5 file; replaced if there is one.
    task : {"type", "energy", "direction"}
        Whose group of tables is written.
    answers : mapping of str to array_like or Quantity, shape (n,)
        Name of a column, without prefix, and its values.
    obs_id, event_id, tel_id : array_like of int, shape (n,)
    prefix : str
        Name of the algorithm.
    event_type : array_like of int, shape (n,), optional
        ctapipe's ``EventType`` codes; an ``event_type`` column tells triggered showers from clocked events.
    time : numpy.ndarray of int64, shape (n,), optional
        Nanoseconds since 1970 (TAI), see `trigger_ml.events.table.EventTable`; kept in the trigger tables,
        which come with a subarray or with times (that of the array only with a subarray). A single unknown
        time is written as ctapipe does; where all are unknown, events get times in their order from 1970 on.
    subarray : ctapipe.instrument.SubarrayDescription, optional
    simulated : bool
    source : mapping of str to str, optional
        Facts about the network and the input, kept as ``CONTEXT`` entries of the file's metadata.

    Raises
    ------
    InputError
        If an answer is not finite, or a telescope event is there twice.
    ValueError
        If the columns differ in length.
    """
    ids = {
        name: np.asarray(column, dtype=np.int64)
        for name, column in (("obs_id", obs_id), ("event_id", event_id), ("tel_id", tel_id))
    }
    for key, column in answers.items():
        if np.shape(column) != ids["event_id"].shape:
            raise ValueError(
                f"column {prefix}_tel_{key} has shape {np.shape(column)}, expected {ids['event_id'].shape}"
            )
    kind = None if event_type is None else np.asarray(event_type, dtype=np.int64)
    _require_once(path, ids)
    order = array_event_order(ids["obs_id"], ids["event_id"], ids["tel_id"])
    with answers_file(
        path,
        task,
        prefix=prefix,
        timed=time is not None and bool((time != NO_TIME).any()),
        subarray=subarray,
        simulated=simulated,
        source=source,
    ) as file:
        file.append(
            {name: column[order] for name, column in ids.items()},
            {name: column[order] for name, column in answers.items()},
            None if kind is None else kind[order],
            None if time is None else time[order],
            triggers=subarray is not None or time is not None,
        )


def read_answers(path: Path, task: Task, prefix: str) -> Table:
    """What :func:`write_answers` wrote, all telescopes.

    Parameters
    ----------
    path : pathlib.Path
    task : {"type", "energy", "direction"}
    prefix : str

    Returns
    -------
    astropy.table.Table
        ``obs_id``, ``event_id``, ``tel_id`` and the answers with their units, names without the prefix.

    Raises
    ------
    InputError
        If the file cannot be read or holds no answers of this kind.
    """
    group = f"{GROUPS[task]}/{prefix}"
    with open_dl1(path) as h5:
        if group not in h5:
            raise InputError(str(path), f"holds no {group}", "Run `trigger-ml evaluate` for that run again")
        names = sorted(node._v_name for node in h5.get_node(group)._f_iter_nodes("Table"))
        parts = [read_table(h5, f"{group}/{name}") for name in names if name.startswith("tel_")]
    result = vstack(parts, metadata_conflicts="silent")
    for name in result.colnames:
        if name.startswith(f"{prefix}_tel_"):
            result.rename_column(name, name.removeprefix(f"{prefix}_tel_"))
    return result


def _row_name(table: Mapping[str, NDArray[np.integer]], row: int) -> str:
    event, run, tel = (table[key][row] for key in ("event_id", "obs_id", "tel_id"))
    return f"event {event} of observation {run}, telescope {tel}"


def _require_finite(
    table: Mapping[str, NDArray[np.integer]], predictions: Mapping[str, NDArray[np.generic]]
) -> None:
    for key, column in predictions.items():
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            raise InputError(
                _row_name(table, row),
                f"its {key} is {column[row]}",
                "Drop events with pixels that are not finite",
            )


def _require_once(path: Path, ids: Mapping[str, NDArray[np.int64]]) -> None:
    keys = np.stack(list(ids.values()))
    _, first, count = np.unique(keys, axis=1, return_index=True, return_counts=True)
    if (count > 1).any():
        row = int(first[count > 1][0])
        raise InputError(
            _row_name(ids, row),
            f"is there {count.max()} times, so {path.name} was not written",
            "Give each input file once",
        )


def array_event_order(
    obs_id: NDArray[np.int64], event_id: NDArray[np.int64], tel_id: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows with the telescopes of an array event together, array events in the order of their first row."""
    keys = np.stack([obs_id, event_id])
    _, first, inverse = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    return np.asarray(np.lexsort((tel_id, first[inverse.ravel()])))
