"""What a telescope knows of its pixels and its sky: ctapipe's monitoring tables, and the true conditions.

A simulated file is divided into blocks of constant conditions. Each has a slot of time; events lie in it, and
the monitoring rows are found by time, as in recorded data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import tables
from astropy.table import Table
from astropy.time import Time, TimeDelta
from ctapipe.io import read_table, write_table
from ctapipe.io.hdf5dataformat import (
    DL1_CAMERA_COEFFICIENTS_GROUP,
    DL1_PIXEL_STATISTICS_GROUP,
    DL1_SKY_PEDESTAL_IMAGE_GROUP,
)
from numpy.typing import NDArray

from trigger_ml.events.hdf5 import id_column, open_dl1
from trigger_ml.events.table import Rows

__all__ = ["Conditions", "concatenate_conditions", "read_conditions"]

NUISANCES = "/simulation/service/trigger_ml/nuisances"
# not a name that ctapipe takes for one of its own statistics
BASELINE_GROUP = f"{DL1_PIXEL_STATISTICS_GROUP}/baseline"

# simulated events get times from here on
SIMULATION_START = Time("2026-01-01T00:00:00", scale="tai")
SLOT = 60.0
"""Seconds from the start of one block to that of the next."""
SLOT_END = 50.0
"""Seconds of a slot for which its rows are valid: the gap is longer than ctapipe's tolerance of one."""
FIRST_EVENT = 2.0
"""Seconds from the start of a slot to its first event."""
EVENT_STEP = 1e-3
"""Seconds between array events."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """Pedestals of every pixel, and the true nuisances where simulated: a row for each telescope and block.

    Parameters
    ----------
    block, obs_id, tel_id : numpy.ndarray of int64, shape (rows,)
        Sorted by telescope, then time.
    time_start, time_end : numpy.ndarray of float64, shape (rows,)
        Seconds since 1970 (TAI).
    n_events : numpy.ndarray of int64, shape (rows,)
        Clocked windows behind a row.
    pedestal_mean, pedestal_median, pedestal_std : numpy.ndarray of float32, shape (rows, pixels)
        Charge that the images' extractor finds in windows without a shower, photo-electrons.
    baseline_mean, baseline_std : numpy.ndarray of float32, shape (rows, pixels)
        Samples of these windows, photo-electrons per sample; NaN where the file tells none.
    dead : numpy.ndarray of bool, shape (rows, pixels)
        Pixels flagged for their missing noise.
    nuisances : dict of str to numpy.ndarray of float64, shape (rows,)
        True conditions; empty for recorded data.
    """

    block: NDArray[np.int64]
    obs_id: NDArray[np.int64]
    tel_id: NDArray[np.int64]
    time_start: NDArray[np.float64]
    time_end: NDArray[np.float64]
    n_events: NDArray[np.int64]
    pedestal_mean: NDArray[np.float32]
    pedestal_median: NDArray[np.float32]
    pedestal_std: NDArray[np.float32]
    baseline_mean: NDArray[np.float32]
    baseline_std: NDArray[np.float32]
    dead: NDArray[np.bool_]
    nuisances: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.block)

    def __getitem__(self, rows: Rows) -> "Conditions":
        """Rows chosen by a slice, a mask or an index array."""
        columns = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "nuisances"}
        return Conditions(
            **{name: column[rows] for name, column in columns.items()},
            nuisances={name: column[rows] for name, column in self.nuisances.items()},
        )

    def rows(self, tel_id: int, time: NDArray[np.float64]) -> NDArray[np.int64]:
        """Row that holds for each event of a telescope.

        Parameters
        ----------
        tel_id : int
        time : numpy.ndarray, shape (n,)
            Seconds since 1970 (TAI).

        Returns
        -------
        numpy.ndarray of int64, shape (n,)
            -1 where no row is valid.
        """
        found = np.full(len(time), -1, dtype=np.int64)
        mine = np.flatnonzero(self.tel_id == tel_id)
        if len(mine) == 0:
            return found
        mine = mine[np.argsort(self.time_start[mine], kind="stable")]
        place = np.searchsorted(self.time_start[mine], time, side="right") - 1
        row = mine[np.maximum(place, 0)]
        valid = (place >= 0) & (time <= self.time_end[row])
        found[valid] = row[valid]
        return found


def concatenate_conditions(parts: Sequence[Conditions]) -> Conditions:
    """Rows of several, sorted by telescope, then time.

    Raises
    ------
    ValueError
        If there is nothing to concatenate.
    """
    if not parts:
        raise ValueError("nothing to concatenate")
    columns = {
        item.name: np.concatenate([getattr(part, item.name) for part in parts])
        for item in fields(Conditions)
        if item.name != "nuisances"
    }
    nuisances = {
        name: np.concatenate([part.nuisances[name] for part in parts]) for name in parts[0].nuisances
    }
    joined = Conditions(**columns, nuisances=nuisances)
    return joined[np.lexsort((joined.time_start, joined.tel_id))]


def seconds(time: Time) -> NDArray[np.float64]:
    """Seconds since 1970 (TAI)."""
    return np.asarray(time.unix_tai, dtype=np.float64)


def slot(
    block: NDArray[np.int64], start: Time = SIMULATION_START
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds (TAI) at which the slots of blocks start and end, each of shape (blocks,)."""
    begin = np.asarray(float(start.unix_tai) + block * SLOT, dtype=np.float64)
    return begin, begin + SLOT_END


class EventClock:
    """Gives simulated events their times, in the order of the file.

    Parameters
    ----------
    start : astropy.time.Time
        Of block 0.
    """

    def __init__(self, start: Time = SIMULATION_START) -> None:
        self._start = start
        self._block = 0
        self._n_in_block = 0

    def times(self, block: NDArray[np.int64] | None, n: int) -> Time:
        """Times of the next ``n`` array events, each in the slot of its block (None: all in block 0).

        Raises
        ------
        ValueError
            If a block comes after a later one.
        """
        block = np.zeros(n, dtype=np.int64) if block is None else block
        if (np.diff(block, prepend=self._block) < 0).any():
            raise ValueError("blocks must follow each other")
        first = np.flatnonzero(np.diff(block, prepend=-1))
        place = np.arange(n) - np.repeat(first, np.diff(first, append=n))
        place += np.where(block == self._block, self._n_in_block, 0)
        self._block, self._n_in_block = int(block[-1]), int(place[-1]) + 1
        return self._start + TimeDelta(block * SLOT + FIRST_EVENT + place * EVENT_STEP, format="sec")


def _time(values: NDArray[np.float64]) -> Time:
    return Time(values, format="unix_tai", scale="tai")


def write_conditions(h5: tables.File, conditions: Conditions, filters: tables.Filters) -> None:
    """Write ctapipe's monitoring tables, and the true nuisances where there are some.

    ``sky_pedestal_image`` holds the statistics of the charge, ``coefficients`` the mean of the baseline (what
    is to be subtracted from R1 waveforms) and the flags of dead pixels; ``baseline`` is a table of this
    project in the same form.

    Parameters
    ----------
    h5 : tables.File
        Open for writing.
    conditions : Conditions
    filters : tables.Filters
    """

    def write(path: str, columns: dict[str, object]) -> None:
        table = Table(columns, copy=False)
        for name in table.colnames:
            # ctapipe's event source finds a container's fields by this name
            table[name].info.meta = (table[name].info.meta or {}) | {"NAME": name}
        write_table(table, h5, path, append=True, filters=filters)

    for tel_id in np.unique(conditions.tel_id):
        mine = conditions[conditions.tel_id == tel_id]
        dead = mine.dead[:, np.newaxis]
        head = {
            "time_start": _time(mine.time_start),
            "time_end": _time(mine.time_end),
            "n_events": mine.n_events,
            "outlier_mask": dead,
            "is_valid": np.ones(len(mine), dtype=bool),
        }
        name = f"tel_{tel_id:03d}"
        write(
            f"{DL1_SKY_PEDESTAL_IMAGE_GROUP}/{name}",
            {
                **head,
                # an axis of gain channels before the pixels
                "mean": mine.pedestal_mean[:, np.newaxis],
                "median": mine.pedestal_median[:, np.newaxis],
                "std": mine.pedestal_std[:, np.newaxis],
            },
        )
        write(
            f"{BASELINE_GROUP}/{name}",
            {
                **head,
                "mean": mine.baseline_mean[:, np.newaxis],
                "std": mine.baseline_std[:, np.newaxis],
            },
        )
        write(
            f"{DL1_CAMERA_COEFFICIENTS_GROUP}/{name}",
            {
                "time": _time(mine.time_start),
                "pedestal_offset": mine.baseline_mean[:, np.newaxis].astype(np.float64),
                # images and waveforms are calibrated already
                "factor": np.ones(dead.shape),
                "time_shift": np.zeros(dead.shape),
                "outlier_mask": dead,
                "is_valid": np.ones(len(mine), dtype=bool),
            },
        )
    if conditions.nuisances:
        write(
            NUISANCES,
            {
                "obs_id": conditions.obs_id,
                "block": conditions.block,
                "tel_id": conditions.tel_id,
                "time_start": _time(conditions.time_start),
                "time_end": _time(conditions.time_end),
                **conditions.nuisances,
            },
        )


def _channel(table: Table, name: str) -> NDArray[np.generic]:
    """Values of the first gain channel, shape (rows, pixels)."""
    values = np.asarray(table[name])
    return values[:, 0] if values.ndim == 3 else values


def read_conditions(path: Path) -> Conditions:
    """Pedestals and conditions that a ctapipe file holds.

    Parameters
    ----------
    path : pathlib.Path
        With ctapipe's monitoring tables of sky pedestals.

    Returns
    -------
    Conditions
        Without rows where the file has no such tables.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    with open_dl1(path) as h5:
        return conditions_of(h5)


def conditions_of(h5: tables.File) -> Conditions:
    """As `read_conditions`, of an open file."""
    if DL1_SKY_PEDESTAL_IMAGE_GROUP not in h5:
        return _nothing()
    parts = [
        _telescope(h5, int(node.name.removeprefix("tel_")))
        for node in h5.iter_nodes(DL1_SKY_PEDESTAL_IMAGE_GROUP, classname="Table")
    ]
    joined = concatenate_conditions(parts) if parts else _nothing()
    if NUISANCES not in h5 or len(joined) == 0:
        return joined
    table = read_table(h5, NUISANCES)
    tel_id, start = id_column(table, "tel_id"), seconds(table["time_start"])
    order = np.lexsort((start, tel_id))
    table = table[order]
    if len(table) != len(joined) or not (
        np.array_equal(tel_id[order], joined.tel_id)
        and np.allclose(start[order], joined.time_start, rtol=0, atol=1e-3)
    ):
        # merged or cut: only the pedestals belong to the events for certain
        return joined
    own = ("obs_id", "block", "tel_id", "time_start", "time_end")
    columns = {item.name: getattr(joined, item.name) for item in fields(Conditions)}
    columns |= {name: id_column(table, name) for name in ("obs_id", "block")}
    columns["nuisances"] = {
        name: np.asarray(table[name], dtype=np.float64) for name in table.colnames if name not in own
    }
    return Conditions(**columns)


def _telescope(h5: tables.File, tel_id: int) -> Conditions:
    table = read_table(h5, f"{DL1_SKY_PEDESTAL_IMAGE_GROUP}/tel_{tel_id:03d}")
    n, start = len(table), seconds(table["time_start"])
    mean = _channel(table, "mean").astype(np.float32)
    baseline_mean = baseline_std = np.full_like(mean, np.nan)
    if f"{BASELINE_GROUP}/tel_{tel_id:03d}" in h5:
        baseline = read_table(h5, f"{BASELINE_GROUP}/tel_{tel_id:03d}")
        baseline_mean, baseline_std = (
            _channel(baseline, name).astype(np.float32) for name in ("mean", "std")
        )
    return Conditions(
        block=np.arange(n, dtype=np.int64),
        obs_id=np.full(n, -1, dtype=np.int64),
        tel_id=np.full(n, tel_id, dtype=np.int64),
        time_start=start,
        time_end=seconds(table["time_end"]),
        n_events=id_column(table, "n_events"),
        pedestal_mean=mean,
        pedestal_median=_channel(table, "median").astype(np.float32),
        pedestal_std=_channel(table, "std").astype(np.float32),
        baseline_mean=baseline_mean,
        baseline_std=baseline_std,
        dead=_channel(table, "outlier_mask").astype(bool) | _uncalibrated(h5, tel_id, start),
        nuisances={},
    )


def _uncalibrated(h5: tables.File, tel_id: int, start: NDArray[np.float64]) -> NDArray[np.bool_] | bool:
    """Pixels that the table of calibration coefficients flags at some times, shape (times, pixels)."""
    name = f"{DL1_CAMERA_COEFFICIENTS_GROUP}/tel_{tel_id:03d}"
    if name not in h5 or not len(h5.get_node(name)):
        return False
    table = read_table(h5, name)
    if "outlier_mask" not in table.colnames or "time" not in table.colnames:
        return False
    time = seconds(table["time"])
    order = np.argsort(time, kind="stable")
    # what holds at a time is the row before it; half a millisecond for what the files round
    row = np.searchsorted(time[order], start + 5e-4, side="right") - 1
    flags = _channel(table, "outlier_mask").astype(bool)[order[np.maximum(row, 0)]]
    flags[row < 0] = False
    return flags


def _nothing() -> Conditions:
    number, real = np.zeros(0, dtype=np.int64), np.zeros(0)
    image = np.zeros((0, 0), dtype=np.float32)
    return Conditions(
        number, number, number, real, real, number, image, image, image, image, image,
        np.zeros((0, 0), dtype=bool), {},
    )  # fmt: skip
