"""Inner loops of the bootstrap, compiled.

All take ``counts`` of shape (showers, resamples): how often each shower occurs in each resample. Events
are visited once, in sorted order, and all resamples advance together: the inner loop runs over
contiguous memory, which is what makes 200 resamples of a million events a matter of seconds.
"""

from typing import Any

import numpy as np
from numba import get_num_threads, njit, prange
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

__all__ = ["bin_sums", "quantiles", "roc_scan"]


@njit(cache=True, parallel=True)
def _roc_scan(
    counts: Any,
    shower: Any,
    weight: Any,
    gamma: Any,
    last: Any,
    start: Any,
    gamma_target: Any,
    hadron_target: Any,
    blocks: Any,
) -> Any:
    n_bins = len(start) - 1
    resamples = counts.shape[1]
    result = np.full((3, n_bins, resamples), np.nan)
    for block in prange(blocks):
        low = block * resamples // blocks
        m = (block + 1) * resamples // blocks - low
        total_g, total_h = np.zeros(m), np.zeros(m)
        seen_g, seen_h = np.zeros(m), np.zeros(m)
        tie_g, tie_h, area = np.zeros(m), np.zeros(m), np.zeros(m)
        for b in range(n_bins):
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
                    target = gamma_target * total_g[r]
                    if g > 0 and seen_g[r] < target <= seen_g[r] + g and total_h[r] > 0:
                        result[1, b, low + r] = (seen_h[r] + h * (target - seen_g[r]) / g) / total_h[r]
                    target = hadron_target[b, low + r] * total_h[r]
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
    return result


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
    result = _roc_scan(
        counts,
        shower[order],
        weight[order],
        gamma[order],
        last,
        start,
        float(gamma_target),
        hadron_target,
        get_num_threads(),
    )
    return result[0], result[1], result[2]


@njit(cache=True, parallel=True)
def _quantiles(
    counts: Any, shower: Any, weight: Any, value: Any, start: Any, levels: Any, blocks: Any
) -> Any:
    n_bins = len(start) - 1
    resamples = counts.shape[1]
    result = np.full((len(levels), n_bins, resamples), np.nan)
    for block in prange(blocks):
        low = block * resamples // blocks
        m = (block + 1) * resamples // blocks - low
        total, seen = np.zeros(m), np.zeros(m)
        for b in range(n_bins):
            total[:] = 0.0
            for i in range(start[b], start[b + 1]):
                w, s = weight[i], shower[i]
                for r in range(m):
                    total[r] += w * counts[s, low + r]
            seen[:] = 0.0
            for i in range(start[b], start[b + 1]):
                w, s = weight[i], shower[i]
                for r in range(m):
                    before = seen[r]
                    seen[r] = before + w * counts[s, low + r]
                    for q in range(len(levels)):
                        # the tolerance absorbs the rounding of sums that should hit the level exactly
                        target = levels[q] * total[r] * (1.0 - 1e-12)
                        if before < target <= seen[r]:
                            result[q, b, low + r] = value[i]
    return result


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
    result: FloatArray = _quantiles(
        counts,
        shower[order],
        weight[order],
        value[order],
        start,
        np.asarray(levels, dtype=np.float64),
        get_num_threads(),
    )
    return result


@njit(cache=True, parallel=True)
def _bin_sums(counts: Any, shower: Any, columns: Any, bins: Any, n_bins: Any, blocks: Any) -> Any:
    resamples = counts.shape[1]
    result = np.zeros((columns.shape[1], n_bins, resamples))
    for block in prange(blocks):
        low = block * resamples // blocks
        high = (block + 1) * resamples // blocks
        for i in range(len(shower)):
            s, b = shower[i], bins[i]
            for k in range(columns.shape[1]):
                x = columns[i, k]
                if x != 0.0:
                    for r in range(low, high):
                        result[k, b, r] += x * counts[s, r]
    return result


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
    result: FloatArray = _bin_sums(counts, shower, columns, bins, n_bins, get_num_threads())
    return result
