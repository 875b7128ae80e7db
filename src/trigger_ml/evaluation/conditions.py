"""Bins of the conditions under which events were taken: night sky, gains, optics, pixels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.evaluation.uncertainty import Resamples, few_showers

__all__ = ["CONDITIONS", "LEAST_SHOWERS", "ConditionBins", "condition_bins", "content", "varied"]

FloatArray = NDArray[np.float64]

LEAST_SHOWERS = 50
"""Showers of each class that a bin should have: an acceptance of 0.7 is then known to about 0.06."""
MEASURED = "spread"
CONDITIONS = {
    "true_night_sky": ("Night sky", "p.e. per ns and pixel"),
    "true_gain": ("Common gain", "of the nominal"),
    "true_gain_spread": ("Spread of gains", "of the gain"),
    "true_throughput": ("Optical throughput", "of the nominal"),
    "true_point_spread": ("Additional blur", "degrees"),
    "true_dead_pixels": ("Dead pixels", "of all"),
    "true_noisy_pixels": ("Noisy pixels", "of all"),
    "true_pedestal_offset": ("Pedestal errors", "ADC counts"),
    MEASURED: ("Measured noise of a pixel", "p.e."),
}
"""Conditions against which models are judged: words and unit. The last is what an observer has."""
LEAST_RANGE = 0.05
"""A measured condition varies when its range exceeds this part of its median: it has an error of its own."""


@dataclass(frozen=True, eq=False)
class ConditionBins:
    """Bins of one condition, and the bin of each event.

    Parameters
    ----------
    edges : numpy.ndarray of float64, shape (bins + 1,)
        From the least to the largest value among the events; a value on an inner edge is in the upper bin.
    index : numpy.ndarray of int64, shape (events,)
        The number of bins for an event whose condition is unknown.
    flag : str
        Why there are fewer bins than asked for, or empty.
    """

    edges: FloatArray
    index: NDArray[np.int64]
    flag: str = ""

    def __len__(self) -> int:
        return len(self.edges) - 1

    def place(self, values: ArrayLike) -> NDArray[np.int64]:
        """Bin of further values; the end bins take what lies beyond, unknown ones are in none."""
        return _place(np.asarray(values, dtype=np.float64), self.edges[1:-1])


def _place(values: FloatArray, inner: FloatArray) -> NDArray[np.int64]:
    index = np.searchsorted(inner, values, side="right").astype(np.int64)
    return np.where(np.isfinite(values), index, len(inner) + 1)


def varied(conditions: Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
    """The conditions of `CONDITIONS` that are not the same for all events, in that order.

    Parameters
    ----------
    conditions : mapping of str to array_like of float, shape (events,)
        NaN where unknown.
    """
    found = {}
    for name in CONDITIONS:
        values = np.asarray(conditions.get(name, ()), dtype=np.float64)
        known = values[np.isfinite(values)]
        least = LEAST_RANGE * abs(float(np.median(known))) if name == MEASURED and len(known) else 0.0
        if len(known) and np.ptp(known) > least:
            found[name] = values
    return found


def _inner_edges(known: FloatArray, bins: int) -> FloatArray:
    """Where bins of equal numbers of events meet; between values, where these are few."""
    distinct = np.unique(known)
    if len(distinct) <= bins:
        return distinct[1:]
    inner = np.unique(np.quantile(known, np.arange(1, bins) / bins))
    # where most events share the least value, what is above it is a bin
    inner = inner[inner > distinct[0]]
    return inner if len(inner) else distinct[1:2]


def condition_bins(
    values: ArrayLike, gamma: NDArray[np.bool_], resamples: Resamples, bins: int
) -> ConditionBins:
    """Bins of equal numbers of events, as many as the showers allow.

    Parameters
    ----------
    values : array_like of float, shape (events,)
        At least two different finite values; NaN where unknown.
    gamma : numpy.ndarray of bool, shape (events,)
    resamples : Resamples
        Of the same events.
    bins : int
        As many as wanted. Fewer, but at least two, where a bin would hold less than `LEAST_SHOWERS` showers
        of a class, or where there are fewer different values.
    """
    value = np.asarray(values, dtype=np.float64)
    known = value[np.isfinite(value)]
    for n in range(bins, 1, -1):
        inner = _inner_edges(known, n)
        index, n_bins = _place(value, inner), len(inner) + 1
        showers = [resamples[mask].showers(index[mask], n_bins) for mask in (gamma, ~gamma)]
        if min(int(count.min()) for count in showers) >= LEAST_SHOWERS:
            break
    flag = "" if n_bins == bins else f"{n_bins} bins, not {bins}: too few showers or values for more"
    return ConditionBins(np.r_[known.min(), inner, known.max()], index, flag)


@dataclass(frozen=True)
class BinContent:
    """What is in each bin of a condition, as `trigger_ml.core.documents.robustness.Condition` has it."""

    unknown: int
    medians: tuple[float, ...]
    values: tuple[int, ...]
    events: dict[str, tuple[int, ...]]
    showers: dict[str, tuple[int, ...]]
    flags: tuple[str, ...]


def content(
    values: FloatArray, bins: ConditionBins, gamma: NDArray[np.bool_], resamples: Resamples
) -> BinContent:
    """What is in each bin: events and showers by class, median and number of different values, flags."""
    n = len(bins)
    classes = {"gamma": gamma, "hadron": ~gamma}
    showers = {name: resamples[mask].showers(bins.index[mask], n) for name, mask in classes.items()}
    flags = zip(*(few_showers(count, LEAST_SHOWERS, name) for name, count in showers.items()), strict=True)
    return BinContent(
        unknown=int((bins.index == n).sum()),
        medians=tuple(float(np.median(values[bins.index == row])) for row in range(n)),
        values=tuple(len(np.unique(values[bins.index == row])) for row in range(n)),
        events={
            name: tuple(np.bincount(bins.index[mask], minlength=n + 1)[:n].tolist())
            for name, mask in classes.items()
        },
        showers={name: tuple(count.tolist()) for name, count in showers.items()},
        flags=tuple(", ".join(filter(None, pair)) for pair in flags),
    )
