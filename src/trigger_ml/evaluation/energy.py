"""Energy reconstruction: errors, resolution and bias with uncertainties, migration matrix.

The model gives log10 of the energy in TeV. The relative error is ``E_reco / E_true - 1``. Resolution is
half the central 68.27 % interval of the relative error and bias its median, as in pyirf's
``energy_bias_resolution``; mean, standard deviation and the width of a fitted Gaussian stand beside them.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from trigger_ml.core.documents.details import Cells, ModelDetails
from trigger_ml.evaluation.events import EnergyBins
from trigger_ml.evaluation.uncertainty import Resamples, few_showers, intervals

__all__ = ["energy_details", "energy_metrics", "energy_of", "gaussian_width", "migration"]

FloatArray = NDArray[np.float64]

LOWER, UPPER = float(norm.cdf(-1)), float(norm.cdf(1))
# an absurd output must not overflow: 10^±12 TeV is absurd enough to be seen
LARGEST_LOG10 = 12.0


def energy_of(log10_energy: FloatArray) -> FloatArray:
    """Energy in TeV of a model's output, clipped to 10^±12 TeV."""
    result: FloatArray = 10.0 ** np.clip(log10_energy, -LARGEST_LOG10, LARGEST_LOG10)
    return result


def energy_metrics(
    resamples: Resamples,
    reco: FloatArray,
    true: FloatArray,
    bins: NDArray[np.int64],
    n_bins: int,
) -> dict[str, FloatArray]:
    """All figures of merit of the energy.

    Parameters
    ----------
    resamples : Resamples
    reco, true : numpy.ndarray of float64, shape (events,)
        TeV.
    bins : numpy.ndarray of int64, shape (events,)
    n_bins : int

    Returns
    -------
    dict of str to numpy.ndarray of float64, shape (n_bins, 1 + resamples)
        ``mse`` (TeV²), ``mae`` (TeV), ``rmsle`` (of ``log(1 + E/TeV)``), ``r2``, ``energy_resolution``,
        ``energy_bias``, ``energy_mean_bias``, ``energy_std``, ``energy_gauss_width`` (all relative).
        NaN in empty bins.
    """
    error, relative = reco - true, reco / true - 1.0
    columns = np.stack(
        [
            np.ones(len(true)),
            error**2,
            np.abs(error),
            (np.log1p(reco) - np.log1p(true)) ** 2,
            true,
            true**2,
            relative,
            relative**2,
        ],
        axis=1,
    )
    n, squared, absolute, logarithmic, first, second, mean, mean_square = resamples.sums(
        columns, bins, n_bins
    )
    low, median, high = resamples.quantiles(relative, (LOWER, 0.5, UPPER), bins, n_bins)
    resolution = 0.5 * (high - low)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = second - first**2 / n
        return {
            "energy_resolution": resolution,
            "energy_bias": median,
            "energy_std": np.sqrt(np.maximum(mean_square / n - (mean / n) ** 2, 0.0)),
            "energy_mean_bias": mean / n,
            "energy_gauss_width": gaussian_width(
                resamples, relative, median[:, 0], resolution[:, 0], bins, n_bins
            ),
            "mse": squared / n,
            "mae": absolute / n,
            "rmsle": np.sqrt(logarithmic / n),
            # a single energy has no variance to explain
            "r2": np.where(spread > 1e-9 * second, 1.0 - squared / spread, np.nan),
        }


def gaussian_width(
    resamples: Resamples,
    value: FloatArray,
    center: FloatArray,
    scale: FloatArray,
    bins: NDArray[np.int64],
    n_bins: int,
    cells: int = 24,
) -> FloatArray:
    """Width of a Gaussian fitted to the core of a distribution, for each bin and resample.

    The logarithm of a histogram over ``center ± 2 scale`` is fitted by a parabola, each cell weighted by
    the square of its content (H. Guo, IEEE Signal Process. Mag. 28 (2011) 134): a linear problem, so that
    all resamples are fitted at once.

    Parameters
    ----------
    value : numpy.ndarray of float64, shape (events,)
    center, scale : numpy.ndarray of float64, shape (n_bins,)
    bins : numpy.ndarray of int64, shape (events,)
    n_bins, cells : int

    Returns
    -------
    numpy.ndarray of float64, shape (n_bins, 1 + resamples)
        NaN where the fit has no maximum or too few cells are filled.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        place = (value - center[bins]) / scale[bins]
    cell = np.floor((place + 2.0) / 4.0 * cells)
    inside = np.isfinite(cell) & (cell >= 0) & (cell < cells)
    joint = bins[inside] * cells + cell[inside].astype(np.int64)
    content = resamples[inside].sums(np.ones((int(inside.sum()), 1)), joint, n_bins * cells)[0]
    content = content.reshape(n_bins, cells, -1)
    x = ((np.arange(cells) + 0.5) / cells * 4.0 - 2.0)[None, :, None]
    weight = content**2
    logarithm = np.log(np.where(content > 0, content, 1.0))
    powers = [np.sum(weight * x**k, axis=1) for k in range(5)]
    sides = [np.sum(weight * logarithm * x**k, axis=1) for k in range(3)]
    matrix = np.stack([np.stack([powers[i + j] for j in range(3)], -1) for i in range(3)], -2)
    side = np.stack(sides, -1)[..., None]
    filled = (content > 0).sum(axis=1) >= 4
    matrix[~filled] = np.eye(3)
    curvature = np.linalg.solve(matrix, side)[..., 2, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        width = np.sqrt(-0.5 / curvature) * np.asarray(scale)[:, None]
    return np.where(filled & (curvature < 0), width, np.nan)


def migration(true: FloatArray, reconstructed: FloatArray, edges: FloatArray) -> Cells:
    """Events in cells of true (rows) and reconstructed (columns) energy, in cells half as wide as bins."""
    low, high = np.log10(edges[[0, -1]])
    fine = 10.0 ** np.linspace(low, high, 2 * (len(edges) - 1) + 1)
    matrix = np.histogram2d(true, reconstructed, [fine, fine])[0].astype(int)
    inside = (reconstructed >= edges[0]) & (reconstructed <= edges[-1])
    return Cells(tuple(fine.tolist()), tuple(map(tuple, matrix.tolist())), int((~inside).sum()))


def energy_details(
    resamples: Resamples,
    reco: FloatArray,
    true: FloatArray,
    bins: EnergyBins,
    confidence: float,
    min_showers: int,
) -> ModelDetails:
    """Migration matrix, and bias and resolution against *reconstructed* energy, of one model."""
    place = np.searchsorted(bins.edges, reco, side="right") - 1
    inside = (place >= 0) & (place < len(bins))
    counts = np.bincount(place[inside], minlength=len(bins))
    rows = energy_metrics(
        resamples[inside], reco[inside], true[inside], place[inside].astype(np.int64), len(bins)
    )

    flags = few_showers(resamples[inside].showers(place[inside], len(bins)), min_showers)
    return ModelDetails(
        migration=migration(true, reco, bins.edges),
        reconstructed={
            name: tuple(
                row.estimate() for row in intervals(rows[name], confidence, flags.__getitem__, counts)
            )
            for name in ("energy_bias", "energy_resolution", "energy_std", "energy_mean_bias")
        },
    )
