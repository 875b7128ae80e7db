"""The simulated showers of a file, found by the ids of the events."""

from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import tables
from ctapipe.io import read_table
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.events.hdf5 import id_column, unit_column
from trigger_ml.events.joins import RowIndex
from trigger_ml.events.table import NO_PRIMARY, Truth

__all__ = ["Showers", "equal_rows", "read_showers"]

SHOWERS = "/simulation/event/subarray/shower"

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Showers:
    """Truth of all array events of a file.

    Parameters
    ----------
    index : RowIndex
    truth : Truth
    """

    index: RowIndex
    truth: Truth

    def of(self, obs_id: Ids, event_id: Ids, path: Path) -> Truth:
        """Truth of some events of the file ``path``.

        Raises
        ------
        InputError
            If one has no shower.
        """
        rows = self.index.find(obs_id, event_id)
        if (rows < 0).any():
            row = int(np.flatnonzero(rows < 0)[0])
            raise InputError(
                f"{path}: event {event_id[row]} of observation {obs_id[row]}",
                "has an image but no simulated shower",
                "The file was merged or cut wrongly: make it again",
            )
        return self.truth[rows]


def equal_rows(*columns: NDArray[np.number]) -> Ids:
    """Rank of each row by the first column, then the next ones; equal rows share one. NaN counts as 0."""
    numbers = [np.nan_to_num(column) for column in columns]
    order = np.lexsort(numbers[::-1])
    differs = np.zeros(len(order), dtype=bool)
    for column in numbers:
        differs[1:] |= np.diff(column[order]) != 0
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.cumsum(differs)
    return rank


def read_showers(h5: tables.File, path: Path) -> Showers | None:
    """Showers of an open file; None where it has none.

    Raises
    ------
    InputError
        If an event is twice there.
    """
    if SHOWERS not in h5:
        return None
    table = read_table(h5, SHOWERS)
    if (id_column(table, "true_shower_primary_id") == NO_PRIMARY).all():
        # a simulated night sky
        return None
    obs_id = id_column(table, "obs_id")
    energy = unit_column(table, "true_energy", u.TeV)
    alt, az = unit_column(table, "true_alt", u.rad), unit_column(table, "true_az", u.rad)
    height = unit_column(table, "true_h_first_int", u.m)
    # uses of one shower differ in the core only
    shower_id = equal_rows(obs_id, energy, alt, az, height)
    truth = Truth(
        primary_id=id_column(table, "true_shower_primary_id"),
        energy=energy,
        alt=alt,
        az=az,
        core_x=unit_column(table, "true_core_x", u.m),
        core_y=unit_column(table, "true_core_y", u.m),
        h_first_int=height,
        x_max=unit_column(table, "true_x_max", u.g / u.cm**2)
        if "true_x_max" in table.colnames
        else np.full(len(table), np.nan),
        shower_id=shower_id,
    )
    index = RowIndex(obs_id, id_column(table, "event_id"), f"{path}: {SHOWERS}")
    return Showers(index, truth)
