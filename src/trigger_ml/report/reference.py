"""Published performance to lay over ours: GADF response files and SST-1M's performance tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import tables
from astropy.io import fits
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import require_file

__all__ = ["Curve", "read_reference"]

FloatArray = NDArray[np.float64]

# the column of SST-1M's performance tables (sst1mpipe) that holds each quantity
TABLES = {
    "angular_res": ("angular_resolution", 1.0),
    "energy_res": ("energy_resolution", 1.0),
    "flux_sensitivity": ("sensitivity", 1.0),
}
ASSUMPTIONS = {
    "angular_resolution": "its 68 % containment in bins of energy, after the reference's own event selection",
    "energy_resolution": "its own definition, after the reference's own event selection",
    "sensitivity": "the reference's observation time, cuts and background spectrum, not ours",
    "effective_area": "after the reference's gammaness cuts, at the field offset nearest to 0.5 degrees",
}


@dataclass(frozen=True, eq=False)
class Curve:
    """A published curve.

    Parameters
    ----------
    quantity : str
        A key of `trigger_ml.evaluation.quantities.QUANTITIES`.
    energy, value, low, high : numpy.ndarray of float64, shape (points,)
        TeV; in the unit of the quantity; NaN where the reference gives none.
    label : str
        Where it comes from.
    assumption : str
        In what it differs from ours.
    """

    quantity: str
    energy: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray
    label: str
    assumption: str


def _from_fits(path: Path) -> list[Curve]:
    with fits.open(path) as content:
        for hdu in content[1:]:
            if hdu.header.get("HDUCLAS4") != "AEFF_2D":
                continue
            row = hdu.data[0]
            unit = u.Unit(hdu.columns["EFFAREA"].unit)
            offsets = 0.5 * (row["THETA_LO"] + row["THETA_HI"])
            area = (row["EFFAREA"][int(np.argmin(np.abs(offsets - 0.5)))] * unit).to_value("m2")
            area = np.where(area > 0, area, np.nan).astype(np.float64)
            energy = np.sqrt(row["ENERG_LO"] * row["ENERG_HI"]).astype(np.float64)
            none = np.full(len(energy), np.nan)
            text = ASSUMPTIONS["effective_area"]
            return [Curve("effective_area", energy, area, none, none, path.name, text)]
    raise InputError(str(path), "holds no effective area (AEFF_2D)", "Give a GADF response file")


def _from_table(path: Path) -> list[Curve]:
    try:
        content = tables.open_file(str(path))
    except (OSError, tables.HDF5ExtError) as error:
        raise InputError(str(path), f"not HDF5 ({error})", "Give a FITS or HDF5 performance file") from None
    with content:
        columns: Mapping[str, NDArray[np.generic]] = {
            name: node.col(name)
            for node in content.walk_nodes("/", "Table")
            for name in node.colnames
            if not node._v_name.endswith("__table_column_meta__")
        }
    for name, (quantity, scale) in TABLES.items():
        if name not in columns:
            continue
        if "energy_bins" in columns:
            edges = np.asarray(columns["energy_bins"], dtype=np.float64)
            energy = np.sqrt(edges[:-1] * edges[1:])
        else:
            energy = np.asarray(columns["energy"], dtype=np.float64)
        value = np.asarray(columns[name], dtype=np.float64) * scale
        low = np.asarray(columns.get(f"{name}_err_lo", np.full(len(value), np.nan)), dtype=np.float64)
        high = np.asarray(columns.get(f"{name}_err_hi", np.full(len(value), np.nan)), dtype=np.float64)
        if f"{name}_err_minus" in columns:
            low = value - np.asarray(columns[f"{name}_err_minus"], dtype=np.float64)
            high = value + np.asarray(columns[f"{name}_err_plus"], dtype=np.float64)
        return [Curve(quantity, energy, value, low, high, path.name, ASSUMPTIONS[quantity])]
    wanted = ", ".join(TABLES)
    raise InputError(str(path), f"has none of the columns {wanted}", "Give an SST-1M performance table")


def read_reference(path: Path) -> list[Curve]:
    """Read published curves.

    Parameters
    ----------
    path : Path
        A GADF FITS file (effective area), or an HDF5 table of angular resolution, energy resolution or
        sensitivity as SST-1M's pipeline writes them; or a folder of such files.

    Returns
    -------
    list of Curve

    Raises
    ------
    InputError
        If the file is missing or holds no known curve.
    """
    if path.is_dir():
        curves = []
        for item in sorted(path.iterdir()):
            if item.name.endswith((".fits", ".fits.gz", ".h5")):
                try:
                    curves += read_reference(item)
                except InputError:
                    # a folder of published files may hold other tables (cuts, configuration)
                    continue
        if not curves:
            raise InputError(str(path), "holds no known performance file", "Give GADF or SST-1M tables")
        return curves
    require_file(path, "Check the path of the reference")
    return _from_fits(path) if path.name.endswith((".fits", ".fits.gz")) else _from_table(path)
