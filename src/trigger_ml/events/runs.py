"""How the showers of a simulated file were thrown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table
from ctapipe.containers import SimulatedShowerDistribution, SimulationConfigContainer
from ctapipe.core import Container, Field
from ctapipe.io import HDF5TableWriter, read_table
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.events.hdf5 import id_column, open_dl1, unit_column
from trigger_ml.events.joins import equal_pair

FloatArray = NDArray[np.float64]

RUNS = "/configuration/simulation/run"
# of sim_telarray's `core_pos_mode`
RECTANGLE = 2
DISTRIBUTION = "/simulation/service/shower_distribution"


@dataclass(frozen=True, eq=False)
class SimulatedRun:
    """How the showers of one observation were thrown: what effective areas and weights need.

    Parameters
    ----------
    obs_id : int
    n_showers : int
        Showers thrown, each counted once.
    n_reuse : int
        Core positions for each shower.
    energy_min, energy_max : float
        TeV.
    spectral_index : float
        Of the power law thrown, negative.
    max_core_distance : float
        Metres; cores lie evenly in the circle.
    pointing_alt, pointing_az : float
        Radians.
    view_cone : float
        Half opening angle in degrees; 0 for a point source.
    site_altitude : float
        Metres of the observation level.
    energy_edges : numpy.ndarray, shape (energies + 1,), or None
        TeV.
    core_edges : numpy.ndarray, shape (distances + 1,), or None
        Metres.
    thrown : numpy.ndarray, shape (energies, distances), or None
        Shower uses thrown in each bin, triggered or not.
    view_cone_min : float
        Degrees: directions lie in the ring from here to ``view_cone``.
    min_core_distance : float
        Metres: cores lie evenly in the ring from here to ``max_core_distance``.
    """

    obs_id: int
    n_showers: int
    n_reuse: int
    energy_min: float
    energy_max: float
    spectral_index: float
    max_core_distance: float
    pointing_alt: float
    pointing_az: float
    view_cone: float = 0.0
    site_altitude: float = 511.0
    energy_edges: NDArray[np.float64] | None = None
    core_edges: NDArray[np.float64] | None = None
    thrown: NDArray[np.float64] | None = None
    view_cone_min: float = 0.0
    min_core_distance: float = 0.0


class _ObservationId(Container):  # type: ignore[misc]
    """The column that ctapipe's DataWriter adds to the simulation configuration."""

    default_prefix = ""
    obs_id = Field(np.int64(0), "Observation Block ID")


def write_runs(h5: HDF5TableWriter, runs: Sequence[SimulatedRun]) -> None:
    """Write the tables of ctapipe that tell how showers were thrown.

    Parameters
    ----------
    h5 : ctapipe.io.HDF5TableWriter
        Open.
    runs : sequence of SimulatedRun
    """
    for run in runs:
        configuration = SimulationConfigContainer(
            prefix="",
            run_number=np.int64(run.obs_id),
            energy_range_min=run.energy_min * u.TeV,
            energy_range_max=run.energy_max * u.TeV,
            prod_site_alt=run.site_altitude * u.m,
            spectral_index=float(run.spectral_index),
            n_showers=int(run.n_showers),
            shower_reuse=int(run.n_reuse),
            max_alt=run.pointing_alt * u.rad,
            min_alt=run.pointing_alt * u.rad,
            max_az=run.pointing_az * u.rad,
            min_az=run.pointing_az * u.rad,
            diffuse=int(run.view_cone > 0),
            max_viewcone_radius=run.view_cone * u.deg,
            min_viewcone_radius=run.view_cone_min * u.deg,
            max_scatter_range=run.max_core_distance * u.m,
            min_scatter_range=run.min_core_distance * u.m,
            core_pos_mode=0,
            atmosphere=np.nan,
        )
        h5.write("configuration/simulation/run", [_ObservationId(obs_id=np.int64(run.obs_id)), configuration])
        if run.thrown is not None and run.energy_edges is not None and run.core_edges is not None:
            h5.write(
                "simulation/service/shower_distribution",
                SimulatedShowerDistribution(
                    obs_id=np.int64(run.obs_id),
                    hist_id=6,
                    n_entries=int(run.thrown.sum()),
                    bins_energy=run.energy_edges * u.TeV,
                    bins_core_dist=run.core_edges * u.m,
                    histogram=run.thrown.astype(np.float64),
                ),
            )


def read_runs(path: Path) -> list[SimulatedRun]:
    """How the showers of each observation of a simulated file were thrown.

    Raises
    ------
    InputError
        If the file cannot be read or is not simulated.
    """
    with open_dl1(path) as h5:
        if RUNS not in h5:
            raise InputError(
                str(path), "tells nothing about its simulation", "Give a file of simulated events"
            )
        table = read_table(h5, RUNS)
        thrown: dict[int, tuple[FloatArray, FloatArray, FloatArray]] = {}
        if DISTRIBUTION in h5:
            distribution = read_table(h5, DISTRIBUTION)
            energy = unit_column(distribution, "bins_energy", u.TeV)
            core = unit_column(distribution, "bins_core_dist", u.m)
            for row, obs_id in enumerate(id_column(distribution, "obs_id")):
                histogram = np.asarray(distribution["histogram"][row], dtype=np.float64)
                thrown[int(obs_id)] = energy[row], core[row], histogram
        columns = {
            "energy_min": unit_column(table, "energy_range_min", u.TeV),
            "energy_max": unit_column(table, "energy_range_max", u.TeV),
            "spectral_index": unit_column(table, "spectral_index", u.one),
            "max_core_distance": unit_column(table, "max_scatter_range", u.m),
            "pointing_alt": unit_column(table, "max_alt", u.rad),
            "pointing_az": unit_column(table, "max_az", u.rad),
            "view_cone": unit_column(table, "max_viewcone_radius", u.deg),
            "site_altitude": unit_column(table, "prod_site_alt", u.m),
        }
        # both are of the data model from its first version on, but other writers may leave them out
        for name, column, unit in (
            ("view_cone_min", "min_viewcone_radius", u.deg),
            ("min_core_distance", "min_scatter_range", u.m),
        ):
            columns[name] = (
                np.nan_to_num(unit_column(table, column, unit))
                if column in table.colnames
                else np.zeros(len(table))
            )
        _check_runs(table, columns, path)
        n_showers, n_reuse = id_column(table, "n_showers"), id_column(table, "shower_reuse")
        runs = [
            SimulatedRun(
                obs_id=int(obs_id),
                n_showers=int(n_showers[row]),
                n_reuse=int(n_reuse[row]),
                **{name: float(values[row]) for name, values in columns.items()},  # type: ignore[arg-type]
            )
            for row, obs_id in enumerate(id_column(table, "obs_id"))
        ]
        return [_with_histogram(run, *thrown.get(run.obs_id, (None, None, None))) for run in runs]


def _with_histogram(
    run: SimulatedRun, energy: FloatArray | None, core: FloatArray | None, thrown: FloatArray | None
) -> SimulatedRun:
    return replace(run, energy_edges=energy, core_edges=core, thrown=thrown)


def _check_runs(table: Table, columns: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Refuse runs that are not told apart, or were thrown in a way that effective areas cannot use.

    Raises
    ------
    InputError
    """
    obs_id = id_column(table, "obs_id")
    if (pair := equal_pair(obs_id)) is not None:
        raise InputError(
            f"{path}: {RUNS}",
            f"rows {pair[0]} and {pair[1]} are both observation {obs_id[pair[0]]}",
            "It was merged of files that number their runs alike: give those files themselves",
        )
    # mode 2 of sim_telarray: the two numbers are then half the sides of a rectangle
    if "core_pos_mode" in table.colnames and (np.asarray(table["core_pos_mode"]) == RECTANGLE).any():
        raise InputError(str(path), "throws its cores in a rectangle", "Throw them in a circle or a ring")
    for name, floor in (("n_showers", 0), ("shower_reuse", 1)):
        bad = np.flatnonzero(id_column(table, name) < floor)
        # simulated night skies throw nothing
        bad = bad[id_column(table, "n_showers")[bad] != 0]
        if len(bad):
            row = int(bad[0])
            raise InputError(
                f"{path}: observation {obs_id[row]}",
                f"its {name} is {table[name][row]}, which tells nothing of the showers thrown",
                "Give files with the bookkeeping of their simulation",
            )
