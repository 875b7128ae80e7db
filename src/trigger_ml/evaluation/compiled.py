"""Inner loops of the bootstrap, compiled.

All take ``counts`` of shape (showers, resamples): how often each shower occurs in each resample. Events
are visited once, in sorted order, and all resamples advance together: the inner loop runs over
contiguous memory, which is what makes 200 resamples of a million events a matter of seconds. Resamples
are shared out over threads (the compiled loops release the interpreter's lock), which changes no result.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import joblib
import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

__all__ = ["bin_sums", "quantiles", "roc_scan"]


def _share_out(kernel: Callable[..., None], resamples: int, *arguments: NDArray[np.generic] | float) -> None:
    """Run a kernel on ranges of resamples, one range for each core that this process may use."""
    workers = min(joblib.cpu_count(), resamples)
    edges = [i * resamples // workers for i in range(workers + 1)]
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(kernel, *arguments, low, high) for low, high in pairwise(edges)]
        for job in jobs:
            job.result()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _roc_scan(
    result: FloatArray,
    counts: NDArray[np.uint8],
    shower: NDArray[np.int64],
    weight: FloatArray,
    gamma: NDArray[np.bool_],
    last: NDArray[np.bool_],
    start: NDArray[np.int64],
    gamma_target: float,
    hadron_target: FloatArray,
    low: int,
    high: int,
) -> None:
    m = high - low
    total_g, total_h = np.zeros(m), np.zeros(m)
    seen_g, seen_h = np.zeros(m), np.zeros(m)
    tie_g, tie_h, area = np.zeros(m), np.zeros(m), np.zeros(m)
    for b in range(len(start) - 1):
        total_g[:] = 0.0
        total_h[:] = 0.0
        for i in range(start[b], start[b + 1]):
            w, s = weight[i], shower[i]
            if gamma[i]:
                for r in range(m):
                    total_g[r] += w * counts[s, low + r]
            else:
                for r in range(m):
                    total_h[r] += w * counts[s, low + r]
        for array in (seen_g, seen_h, tie_g, tie_h, area):
            array[:] = 0.0
        for i in range(start[b], start[b + 1]):
            w, s = weight[i], shower[i]
            if gamma[i]:
                for r in range(m):
                    tie_g[r] += w * counts[s, low + r]
            else:
                for r in range(m):
                    tie_h[r] += w * counts[s, low + r]
            if not last[i]:
                continue
            for r in range(m):
                g, h = tie_g[r], tie_h[r]
                area[r] += h * (seen_g[r] + 0.5 * g)
                # the tolerances absorb the rounding of sums that should meet a target exactly: where
                # the curve runs along an axis, a last bit would decide over a whole step
                target = gamma_target * total_g[r] * (1.0 - 1e-12)
                if g > 0 and seen_g[r] < target <= seen_g[r] + g and total_h[r] > 0:
                    result[1, b, low + r] = (seen_h[r] + h * (target - seen_g[r]) / g) / total_h[r]
                target = hadron_target[b, low + r] * total_h[r] * (1.0 + 1e-12)
                if total_g[r] > 0 and seen_h[r] <= target:
                    part = 1.0 if seen_h[r] + h <= target else (target - seen_h[r]) / h
                    result[2, b, low + r] = (seen_g[r] + g * part) / total_g[r]
                seen_g[r] += g
                seen_h[r] += h
                tie_g[r] = 0.0
                tie_h[r] = 0.0
        for r in range(m):
            if total_g[r] > 0 and total_h[r] > 0:
                result[0, b, low + r] = area[r] / (total_g[r] * total_h[r])


def roc_scan(
    counts: NDArray[np.uint8],
    shower: NDArray[np.int64],
    weight: FloatArray,
    gamma: NDArray[np.bool_],
    score: FloatArray,
    bins: NDArray[np.int64],
    n_bins: int,
    gamma_target: float,
    hadron_target: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """AUC and points of the ROC curve, for each bin and resample, weighted, ties counted half.

    Between two points of the curve (inside a group of equal scores) efficiencies are interpolated
    linearly, so that a coarse score is neither favoured nor punished.

    Parameters
    ----------
    counts : numpy.ndarray of uint8, shape (showers, resamples)
    shower : numpy.ndarray of int64, shape (events,)
        Row of ``counts``.
    weight : numpy.ndarray of float64, shape (events,)
    gamma : numpy.ndarray of bool, shape (events,)
    score : numpy.ndarray of float64, shape (events,)
        Larger is more like a gamma.
    bins : numpy.ndarray of int64, shape (events,)
    n_bins : int
    gamma_target : float
        Gamma efficiency at which the hadron efficiency is given.
    hadron_target : numpy.ndarray of float64, shape (n_bins, resamples), optional
        Hadron efficiency at which the gamma efficiency is given.

    Returns
    -------
    auc, hadron_efficiency, gamma_efficiency : numpy.ndarray of float64, shape (n_bins, resamples)
        NaN where a class is empty.
    """
    order = np.lexsort((-score, bins))
    start = np.searchsorted(bins[order], np.arange(n_bins + 1)).astype(np.int64)
    sorted_score, sorted_bins = score[order], bins[order]
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = (sorted_score[1:] != sorted_score[:-1]) | (sorted_bins[1:] != sorted_bins[:-1])
    if hadron_target is None:
        hadron_target = np.full((n_bins, counts.shape[1]), np.nan)
    resamples = counts.shape[1]
    result = np.full((3, n_bins, resamples), np.nan)
    _share_out(
        _roc_scan,
        resamples,
        result,
        counts,
        shower[order],
        weight[order],
        gamma[order],
        last,
        start,
        float(gamma_target),
        hadron_target,
    )
    return result[0], result[1], result[2]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quantiles(
    result: FloatArray,
    counts: NDArray[np.uint8],
    shower: NDArray[np.int64],
    weight: FloatArray,
    value: FloatArray,
    start: NDArray[np.int64],
    levels: FloatArray,
    low: int,
    high: int,
) -> None:
    m = high - low
    total, seen, after = np.zeros(m), np.zeros(m), np.zeros(m)
    for b in range(len(start) - 1):
        total[:] = 0.0
        seen[:] = 0.0
        for i in range(start[b], start[b + 1]):
            w, s = weight[i], shower[i]
            for r in range(m):
                total[r] += w * counts[s, low + r]
        # the tolerance absorbs the rounding of sums that should hit the level exactly
        total *= 1.0 - 1e-12
        for i in range(start[b], start[b + 1]):
            w, s, v = weight[i], shower[i], value[i]
            for r in range(m):
                after[r] = seen[r] + w * counts[s, low + r]
            for q in range(len(levels)):
                level = levels[q]
                for r in range(m):
                    target = level * total[r]
                    if seen[r] < target <= after[r]:
                        result[q, b, low + r] = v
            seen[:] = after


def quantiles(
    counts: NDArray[np.uint8],
    shower: NDArray[np.int64],
    weight: FloatArray,
    value: FloatArray,
    bins: NDArray[np.int64],
    n_bins: int,
    levels: tuple[float, ...],
) -> FloatArray:
    """Weighted quantiles (inverse of the cumulative distribution) for each bin and resample.

    Returns
    -------
    numpy.ndarray of float64, shape (levels, n_bins, resamples)
        NaN where a bin is empty.
    """
    order = np.lexsort((value, bins))
    start = np.searchsorted(bins[order], np.arange(n_bins + 1)).astype(np.int64)
    resamples = counts.shape[1]
    result = np.full((len(levels), n_bins, resamples), np.nan)
    wanted = np.asarray(levels, dtype=np.float64)
    _share_out(
        _quantiles,
        resamples,
        result,
        counts,
        shower[order],
        weight[order],
        value[order],
        start,
        wanted,
    )
    return result


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _bin_sums(
    result: FloatArray,
    counts: NDArray[np.uint8],
    shower: NDArray[np.int64],
    columns: FloatArray,
    bins: NDArray[np.int64],
    low: int,
    high: int,
) -> None:
    for i in range(len(shower)):
        s, b = shower[i], bins[i]
        for k in range(columns.shape[1]):
            x = columns[i, k]
            if x != 0.0:
                for r in range(low, high):
                    result[k, b, r] += x * counts[s, r]


def bin_sums(
    counts: NDArray[np.uint8],
    shower: NDArray[np.int64],
    columns: FloatArray,
    bins: NDArray[np.int64],
    n_bins: int,
) -> FloatArray:
    """Sums of columns (weights included) for each bin and resample.

    Parameters
    ----------
    columns : numpy.ndarray of float64, shape (events, columns)

    Returns
    -------
    numpy.ndarray of float64, shape (columns, n_bins, resamples)
    """
    resamples = counts.shape[1]
    result = np.zeros((columns.shape[1], n_bins, resamples))
    _share_out(_bin_sums, resamples, result, counts, shower, columns, bins)
    return result
