"""How the showers of a simulated file were thrown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from ctapipe.containers import SimulatedShowerDistribution, SimulationConfigContainer
from ctapipe.core import Container, Field
from ctapipe.io import HDF5TableWriter, read_table
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.events.hdf5 import id_column, open_dl1, unit_column

RUNS = "/configuration/simulation/run"
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


class _ObservationId(Container):  # type: ignore[misc]
    """The column that ctapipe's DataWriter adds to the simulation configuration."""

    default_prefix = ""
    obs_id = Field(np.int32(0), "Observation Block ID")


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
            run_number=np.int32(run.obs_id),
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
            min_viewcone_radius=0.0 * u.deg,
            max_scatter_range=run.max_core_distance * u.m,
            min_scatter_range=0.0 * u.m,
            core_pos_mode=0,
            atmosphere=np.nan,
        )
        h5.write("configuration/simulation/run", [_ObservationId(obs_id=np.int32(run.obs_id)), configuration])
        if run.thrown is not None and run.energy_edges is not None and run.core_edges is not None:
            h5.write(
                "simulation/service/shower_distribution",
                SimulatedShowerDistribution(
                    obs_id=np.int32(run.obs_id),
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
        thrown: dict[int, Any] = {}
        if DISTRIBUTION in h5:
            distribution = read_table(h5, DISTRIBUTION)
            energy = unit_column(distribution, "bins_energy", u.TeV)
            core = unit_column(distribution, "bins_core_dist", u.m)
            for row, obs_id in enumerate(id_column(distribution, "obs_id")):
                thrown[int(obs_id)] = {
                    "energy_edges": energy[row],
                    "core_edges": core[row],
                    "thrown": np.asarray(distribution["histogram"][row], dtype=np.float64),
                }
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
        n_showers, n_reuse = id_column(table, "n_showers"), id_column(table, "shower_reuse")
        return [
            SimulatedRun(
                obs_id=int(obs_id),
                n_showers=int(n_showers[row]),
                n_reuse=int(n_reuse[row]),
                **{name: float(values[row]) for name, values in columns.items()},  # type: ignore[arg-type]
                **thrown.get(int(obs_id), {}),
            )
            for row, obs_id in enumerate(id_column(table, "obs_id"))
        ]
