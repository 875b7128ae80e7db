"""A network's answers as ctapipe DL2 tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tables
from astropy.table import Column, Table, vstack
from astropy.time import Time, TimeDelta
from ctapipe.containers import EventType
from ctapipe.instrument import SubarrayDescription
from ctapipe.io import DataLevel, metadata, read_table, write_table
from ctapipe.io.hdf5dataformat import (
    DL1_SUBARRAY_TRIGGER_TABLE,
    DL1_TEL_TRIGGER_TABLE,
    DL2_TEL_ENERGY_GROUP,
    DL2_TEL_GEOMETRY_GROUP,
    DL2_TEL_PARTICLETYPE_GROUP,
)
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.task import Task
from trigger_ml.events.hdf5 import narrowed, open_dl1, written_hdf5
from trigger_ml.events.provenance import write_reference
from trigger_ml.events.table import NO_TIME, as_time

__all__ = ["Task", "read_answers", "write_answers", "write_dl2"]

GROUPS: dict[Task, str] = {
    "type": DL2_TEL_PARTICLETYPE_GROUP,
    "energy": DL2_TEL_ENERGY_GROUP,
    "direction": DL2_TEL_GEOMETRY_GROUP,
}
# files that tell no time get times in their order, one millisecond apart
UNKNOWN_TIME = Time("1970-01-01T00:00:00", scale="tai")


def write_dl2(
    path: Path,
    *,
    obs_id: ArrayLike,
    event_id: ArrayLike,
    tel_id: ArrayLike,
    logit: ArrayLike,
    gammaness: ArrayLike,
    prefix: str = "trigger_ml",
    event_type: ArrayLike | None = None,
    time: NDArray[np.int64] | None = None,
    columns: Mapping[str, ArrayLike] | None = None,
    subarray: SubarrayDescription | None = None,
    simulated: bool = False,
    source: Mapping[str, str] | None = None,
) -> None:
    """Write what a classifier says, one row for each telescope event, atomically.

    The columns are ``<prefix>_tel_prediction`` (gammaness), ``<prefix>_tel_is_valid``,
    ``<prefix>_tel_logit``, and further ones beside them; see :func:`write_answers` for the rest.

    Parameters
    ----------
    path : pathlib.Path
    obs_id, event_id, tel_id : array_like of int, shape (n,)
    logit : array_like of float, shape (n,)
    gammaness : array_like of float, shape (n,)
        In [0, 1].
    prefix, event_type, time, subarray, simulated, source
        See :func:`write_answers`.
    columns : mapping of str to array_like of shape (n,), optional
        Written with the prefix before each name.
    """
    write_answers(
        path,
        "type",
        {
            "prediction": np.asarray(gammaness, dtype=np.float64),
            "logit": np.asarray(logit, dtype=np.float64),
            **(columns or {}),
        },
        obs_id=obs_id,
        event_id=event_id,
        tel_id=tel_id,
        prefix=prefix,
        event_type=event_type,
        time=time,
        subarray=subarray,
        simulated=simulated,
        source=source,
    )


def write_answers(
    path: Path,
    task: Task,
    answers: Mapping[str, Any],
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
    table: dict[str, NDArray[Any]] = {
        "obs_id": np.asarray(obs_id, dtype=np.int64),
        "event_id": np.asarray(event_id, dtype=np.int64),
        "tel_id": narrowed(np.asarray(tel_id), np.int16, "telescope number"),
    }
    name = f"{prefix}_tel"
    units = {f"{name}_{key}": getattr(column, "unit", None) for key, column in answers.items()}
    predictions: dict[str, NDArray[Any]] = {
        f"{name}_{key}": np.asarray(column) for key, column in answers.items()
    }
    predictions[f"{name}_is_valid"] = np.ones(len(table["event_id"]), dtype=bool)
    if event_type is not None:
        predictions["event_type"] = np.asarray(event_type, dtype=np.int64)
    for key, column in (table | predictions).items():
        if column.shape != (len(table["event_id"]),):
            raise ValueError(f"column {key} has shape {column.shape}, expected ({len(table['event_id'])},)")
    _check(path, table, predictions)
    order = _order(table)
    table = {key: column[order] for key, column in table.items()}
    predictions = {key: column[order] for key, column in predictions.items()}
    written: dict[str, int] = {}
    with written_hdf5(path, written) as partial, tables.open_file(str(partial), mode="w") as h5:
        for tel in np.unique(table["tel_id"]):
            rows = table["tel_id"] == tel
            written[f"{GROUPS[task]}/{prefix}/tel_{tel:03d}"] = int(rows.sum())
            write_table(
                Table(
                    {
                        key: Column(column[rows], unit=units.get(key))
                        for key, column in (table | predictions).items()
                    }
                ),
                h5,
                f"{GROUPS[task]}/{prefix}/tel_{tel:03d}",
            )
        if subarray is not None:
            subarray.to_hdf(h5)
        if subarray is not None or time is not None:
            written |= _write_triggers(h5, table, event_type, time, order, subarray)
        write_reference(
            h5,
            simulated=simulated,
            levels={DataLevel.DL2},
            obs_ids=np.unique(table["obs_id"]).tolist(),
            subarray="unknown" if subarray is None else subarray.name,
            activity="trigger-ml emulate",
            description="trigger_ml predictions",
        )
        metadata.write_to_hdf5({f"CONTEXT {key.upper()}": text for key, text in (source or {}).items()}, h5)


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


def _check(path: Path, table: dict[str, NDArray[Any]], predictions: dict[str, NDArray[Any]]) -> None:
    def row_name(row: int) -> str:
        event, run, tel = (table[key][row] for key in ("event_id", "obs_id", "tel_id"))
        return f"event {event} of observation {run}, telescope {tel}"

    for key, column in predictions.items():
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            raise InputError(
                row_name(row), f"its {key} is {column[row]}", "Drop events with pixels that are not finite"
            )
    keys = np.stack([column.astype(np.int64) for column in table.values()])
    _, first, count = np.unique(keys, axis=1, return_index=True, return_counts=True)
    if (count > 1).any():
        row = int(first[count > 1][0])
        raise InputError(
            row_name(row),
            f"is there {count.max()} times, so {path.name} was not written",
            "Give each input file once",
        )


def _order(table: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Rows with the telescopes of an array event together, array events in the order of their first row."""
    keys = np.stack([table["obs_id"].astype(np.int64), table["event_id"]])
    _, first, inverse = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    return np.asarray(np.lexsort((table["tel_id"], first[inverse.ravel()])))


def _times(time: NDArray[np.int64] | None, starts: NDArray[np.int64], place: NDArray[np.int64]) -> Time:
    """Times of the rows: as recorded; in their order from 1970 on where the input tells none at all."""
    if time is None or (time == NO_TIME).all():
        return (UNKNOWN_TIME + TimeDelta(np.arange(len(starts)) * 1e-3, format="sec"))[place]
    return as_time(time)


def _write_triggers(
    h5: tables.File,
    table: dict[str, NDArray[Any]],
    event_type: ArrayLike | None,
    time: NDArray[np.int64] | None,
    order: NDArray[np.int64],
    subarray: SubarrayDescription | None,
) -> dict[str, int]:
    """Trigger tables of the events; rows of each. Without a subarray that of the telescopes alone."""
    new = (np.diff(table["obs_id"], prepend=-1) != 0) | (np.diff(table["event_id"], prepend=-1) != 0)
    place, starts = np.cumsum(new) - 1, np.flatnonzero(new)
    times = _times(None if time is None else time[order], starts, place)
    kind = np.full(len(place), EventType.SUBARRAY.value, dtype=np.int64)
    if event_type is not None:
        kind = np.asarray(event_type, dtype=np.int64)[order]
    enum = {"ENUM": EventType, "TRANSFORM": "enum"}
    rows = {DL1_TEL_TRIGGER_TABLE: len(place)}
    if subarray is not None:
        triggered = np.zeros((len(starts), len(subarray)), dtype=bool)
        triggered[place, subarray.tel_ids_to_indices(table["tel_id"])] = True
        array_events = {
            "obs_id": table["obs_id"][starts],
            "event_id": table["event_id"][starts],
            "time": times[starts],
            "tels_with_trigger": Column(triggered, meta={"TRANSFORM": "tel_list_to_mask"}),
            "event_type": Column(kind[starts], meta=enum),
        }
        write_table(Table(array_events), h5, DL1_SUBARRAY_TRIGGER_TABLE)
        rows[DL1_SUBARRAY_TRIGGER_TABLE] = len(starts)
    telescope_events = {
        "obs_id": table["obs_id"],
        "event_id": table["event_id"],
        "tel_id": table["tel_id"],
        "time": times,
        "event_type": Column(kind, meta=enum),
    }
    write_table(Table(telescope_events), h5, DL1_TEL_TRIGGER_TABLE)
    return rows
