"""Where a telescope pointed, wherever a version of ctapipe's data model puts it."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
import tables
from astropy.table import Table
from astropy.time import Time
from ctapipe.containers import CoordinateFrameType
from ctapipe.io import read_table
from ctapipe.io.hdf5dataformat import (
    DL0_TEL_POINTING_GROUP,
    DL1_SUBARRAY_POINTING_GROUP,
    DL1_TEL_POINTING_GROUP,
    FIXED_POINTING_GROUP,
    OBSERVATION_BLOCK_TABLE,
)
from numpy.typing import NDArray

from trigger_ml.events.hdf5 import id_column, unit_column
from trigger_ml.events.table import NO_TIME, nanoseconds

__all__ = ["Pointing"]

Ids = NDArray[np.int64]
Angles = NDArray[np.float64]

DL0_SUBARRAY_POINTING_GROUP = "/dl0/monitoring/subarray/pointing"
# radians; one direction, written with other roundings
SAME = 1e-7


@dataclass(frozen=True, eq=False)
class _OfRuns:
    """One direction for each observation."""

    obs_id: Ids
    alt: Angles
    az: Angles

    def at(self, obs_id: Ids, time: Ids | None) -> tuple[Angles, Angles]:
        alt, az = np.full(len(obs_id), np.nan), np.full(len(obs_id), np.nan)
        for row, run in enumerate(self.obs_id):
            mine = obs_id == run
            # several rows of one observation must agree; where they do not, nothing is known
            same = self.obs_id == run
            if np.ptp(self.alt[same]) < SAME and np.ptp(self.az[same]) < SAME:
                alt[mine], az[mine] = self.alt[row], self.az[row]
        return alt, az


@dataclass(frozen=True, eq=False)
class _OfTimes:
    """Directions at times in nanoseconds since 1970, ascending; azimuths do not wrap."""

    time: Ids | None
    alt: Angles
    az: Angles

    def at(self, obs_id: Ids, time: Ids | None) -> tuple[Angles, Angles]:
        n = len(obs_id)
        if np.ptp(self.alt) < SAME and np.ptp(self.az) < SAME:
            # simulations write the one direction once, or when it changes
            return np.full(n, self.alt[0]), np.full(n, self.az[0])
        if self.time is None or time is None:
            return np.full(n, np.nan), np.full(n, np.nan)
        # what lies outside of the times monitored is not known
        start = self.time[0]
        at, known = (time - start) * 1e-9, (self.time - start) * 1e-9
        outside = (time == NO_TIME) | (time < start) | (time > self.time[-1])
        alt, az = np.interp(at, known, self.alt), np.interp(at, known, self.az)
        return np.where(outside, np.nan, alt), np.where(outside, np.nan, az % (2 * np.pi))


class Pointing:
    """Pointing of a telescope for any event.

    These places are tried, each for the events of which those before know nothing: the fixed pointing of an
    observation (ctapipe 0.21 and later); the telescope's monitoring at level DL0 and at DL1 (before 0.21);
    the array's monitoring; the observation block, where it gives a fixed altitude and azimuth.

    Parameters
    ----------
    h5 : tables.File
    tel_id : int
    """

    def __init__(self, h5: tables.File, tel_id: int) -> None:
        name = f"tel_{tel_id:03d}"
        found = [
            _fixed(h5, f"{FIXED_POINTING_GROUP}/{name}"),
            *(
                _monitored(h5, f"{group}/{name}", "")
                for group in (DL0_TEL_POINTING_GROUP, DL1_TEL_POINTING_GROUP)
            ),
            *(
                _monitored(h5, path, "array_")
                for path in (DL0_SUBARRAY_POINTING_GROUP, DL1_SUBARRAY_POINTING_GROUP)
            ),
            _scheduled(h5),
        ]
        self._sources = [source for source in found if source is not None]

    def at(self, obs_id: Ids, time: Ids | None) -> tuple[Angles, Angles]:
        """Altitude and azimuth in radians, each of shape (n,); NaN where the file tells none.

        Parameters
        ----------
        obs_id : numpy.ndarray of int64, shape (n,)
        time : numpy.ndarray of int64, shape (n,), or None
            Nanoseconds since 1970 (TAI).
        """
        alt, az = np.full(len(obs_id), np.nan), np.full(len(obs_id), np.nan)
        for source in self._sources:
            unknown = np.isnan(alt) | np.isnan(az)
            if not unknown.any():
                break
            more_alt, more_az = source.at(obs_id, time)
            alt, az = np.where(unknown, more_alt, alt), np.where(unknown, more_az, az)
        return alt, az


def _finite(table: Table, alt: str, az: str) -> tuple[Table, Angles, Angles] | None:
    """Rows that tell both angles, and these in radians; None if there are none."""
    if not {alt, az} <= set(table.colnames):
        return None
    altitude, azimuth = unit_column(table, alt, u.rad), unit_column(table, az, u.rad)
    good = np.isfinite(altitude) & np.isfinite(azimuth)
    return (table[good], altitude[good], azimuth[good]) if good.any() else None


def _table(h5: tables.File, path: str) -> Table | None:
    return read_table(h5, path) if path in h5 and isinstance(h5.get_node(path), tables.Table) else None


def _fixed(h5: tables.File, path: str) -> _OfRuns | None:
    table = _table(h5, path)
    found = (
        None if table is None else _finite(table, "telescope_pointing_altitude", "telescope_pointing_azimuth")
    )
    return None if found is None else _OfRuns(id_column(found[0], "obs_id"), *found[1:])


def _monitored(h5: tables.File, path: str, prefix: str) -> _OfTimes | None:
    table = _table(h5, path)
    found = None if table is None else _finite(table, f"{prefix}altitude", f"{prefix}azimuth")
    if found is None:
        return None
    rows, alt, az = found
    if "time" not in rows.colnames or not isinstance(rows["time"], Time):
        return _OfTimes(None, alt, az)
    time = nanoseconds(rows["time"])
    order = np.argsort(time, kind="stable")
    return _OfTimes(time[order], alt[order], np.unwrap(az[order]))


def _scheduled(h5: tables.File) -> _OfRuns | None:
    table = _table(h5, OBSERVATION_BLOCK_TABLE)
    if table is None or not {"obs_id", "subarray_pointing_frame"} <= set(table.colnames):
        return None
    rows = table[np.asarray(table["subarray_pointing_frame"]) == CoordinateFrameType.ALTAZ.value]
    found = _finite(rows, "subarray_pointing_lat", "subarray_pointing_lon")
    return None if found is None else _OfRuns(id_column(found[0], "obs_id"), *found[1:])
