"""Instrument response functions as GADF files, for gammapy and others.

Format: https://gamma-astro-data-formats.readthedocs.io (version 0.2), written by pyirf. A reconstructed
selection gives effective area, energy dispersion, point-spread function and background, all full-enclosure;
a trigger-level selection gives the effective area alone, since nothing is reconstructed.
"""

import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from numpy.typing import NDArray
from pyirf.io.gadf import (
    create_aeff2d_hdu,
    create_background_2d_hdu,
    create_energy_dispersion_hdu,
    create_psf_table_hdu,
)
from pyirf.irf import (
    background_2d,
    effective_area_per_energy,
    effective_area_per_energy_and_fov,
    energy_dispersion,
    psf_table,
)

from trigger_ml import __version__
from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.errors import InputError
from trigger_ml.core.files import atomic_path, not_whole
from trigger_ml.core.foreign import reason
from trigger_ml.evaluation.bookkeeping import Simulated, event_rates, signal_ring, true_offset
from trigger_ml.evaluation.events import EvaluationEvents, observed_bins
from trigger_ml.evaluation.selection import Reconstruction, select

__all__ = ["write_irfs"]

FloatArray = NDArray[np.float64]

MIGRATION = np.geomspace(0.2, 5.0, 51)
# a source thrown at one offset gives one response; two equal bins let readers interpolate
OFFSET_BINS = 2


def _offset_edges(max_offset: float, thrown: Simulated) -> u.Quantity:
    if thrown.one_offset:
        return np.linspace(0, max_offset, OFFSET_BINS + 1) * u.deg
    # where nothing was thrown, nothing is known: a ring's bins begin at its inner radius
    low, limit = thrown.view_cone_min, min(max_offset, thrown.view_cone)
    if low >= limit:
        raise InputError(
            "evaluation.irf.max_offset",
            f"is {max_offset:g} degrees, gammas were thrown from {low:g} degrees on",
            "Choose a larger one",
        )
    return np.linspace(low, limit, max(OFFSET_BINS, int(np.ceil(limit - low))) + 1) * u.deg


def _repeated(values: u.Quantity, axis: int, times: int) -> u.Quantity:
    return values.take(np.zeros(times, dtype=int), axis=axis)


def write_irfs(
    path: Path,
    events: EvaluationEvents,
    score: FloatArray,
    simulations: Mapping[str, Simulated],
    config: EvaluationConfig,
    reconstruction: Reconstruction | None = None,
) -> Path:
    """Write the instrument response of one model.

    Parameters
    ----------
    path : Path
        Ends in ``.fits`` or ``.fits.gz``.
    events : EvaluationEvents
        With true directions and pointing.
    score : numpy.ndarray of float64, shape (events,)
        Logit.
    simulations : mapping of str to Simulated
    config : EvaluationConfig
    reconstruction : Reconstruction, optional

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the simulation's bookkeeping is missing or unusable.
    """
    rate, masks, _ = event_rates(events, simulations)
    bins = observed_bins(
        events, config.bins_per_decade, None if reconstruction is None else reconstruction.energy
    )
    gamma = masks["gamma"]
    ring = signal_ring(events, simulations["gamma"], config.irf.signal_offset)
    chosen = select(events, score, bins, config, reconstruction, ring.inside)
    background = masks["proton"] | masks["electron"]
    diffuse = not simulations["gamma"].one_offset
    offsets = _offset_edges(config.irf.max_offset, simulations["gamma"])
    one_bin = offsets if diffuse else offsets[[0, -1]]
    edges = bins.edges * u.TeV
    # the offset of the truth, whatever was reconstructed
    away = true_offset(events, gamma | background)

    def table(mask: NDArray[np.bool_]) -> QTable:
        result = QTable()
        result["true_energy"] = np.asarray(events.energy)[mask] * u.TeV
        result["reco_energy"] = chosen.energy[mask] * u.TeV
        result["true_source_fov_offset"] = away[mask] * u.deg
        result["reco_source_fov_offset"] = chosen.offset[mask] * u.deg
        result["theta"] = chosen.theta[mask] * u.deg
        result["weight"] = rate[mask]
        return result

    signal = table(gamma & chosen.passes)
    thrown = simulations["gamma"].to_pyirf()
    # bins in which nothing was thrown have no area, and GADF has no word for unknown
    with np.errstate(invalid="ignore", divide="ignore"):
        if diffuse:
            area = effective_area_per_energy_and_fov(signal, thrown, edges, offsets)
        else:
            area = effective_area_per_energy(signal, thrown, edges)[:, np.newaxis]
            area = _repeated(area, 1, OFFSET_BINS)
    area = np.nan_to_num(area)
    cards = {"CREATOR": f"trigger-ml {__version__}", "TELESCOP": "SST-1M", "INSTRUME": "SST-1M"}
    cards["COMMENT"] = "diffuse gammas" if diffuse else "gammas thrown at one offset: the same for all"
    hdus = [fits.PrimaryHDU(), create_aeff2d_hdu(area, edges, offsets, point_like=False, **cards)]
    if reconstruction is not None:
        repeat = 1 if diffuse else OFFSET_BINS
        dispersion = energy_dispersion(signal, edges, one_bin, MIGRATION)
        # far tails of rejected events must not make the bins of the others coarse
        reach = float(np.quantile(chosen.theta[gamma & chosen.passes], 0.995)) if signal else 0.0
        width = np.linspace(0, max(reach, 0.1), 61) * u.deg
        psf = psf_table(signal, edges, width, one_bin)
        noise = background_2d(
            table(background & chosen.passes),
            edges,
            np.linspace(0, config.irf.max_offset, 6) * u.deg,
            t_obs=1 * u.s,
        )
        if repeat > 1:
            dispersion, psf = _repeated(dispersion, 2, repeat), _repeated(psf, 1, repeat)
        hdus += [
            create_energy_dispersion_hdu(dispersion, edges, MIGRATION, offsets, point_like=False, **cards),
            create_psf_table_hdu(psf, edges, width, offsets, **cards),
            create_background_2d_hdu(noise, edges, np.linspace(0, config.irf.max_offset, 6) * u.deg, **cards),
        ]
    with atomic_path(path, lambda partial: _read_back(partial, path, len(hdus))) as partial:
        fits.HDUList(hdus).writeto(partial, overwrite=True, checksum=True)
    return path


def _read_back(partial: Path, path: Path, expected: int) -> None:
    """Refuse a file whose tables, or their checksums, are not what was written.

    Raises
    ------
    StageError
    """
    try:
        with warnings.catch_warnings():
            # astropy warns of a wrong checksum or of an end that is missing
            warnings.simplefilter("error", AstropyUserWarning)
            with fits.open(partial, checksum=True) as hdus:
                found = sum(hdu.data is not None for hdu in hdus[1:]) + 1
    except (OSError, EOFError, ValueError, TypeError, zlib.error, AstropyUserWarning) as error:
        raise not_whole(path, reason(error)) from error
    if found != expected:
        raise not_whole(path, f"{found} of {expected} tables are there")
