"""Bootstrap by shower: every figure of merit, and every difference of two models, gets an interval.

Uses of one simulated shower are not independent, so whole showers are drawn (B. Efron, Ann. Statist. 7
(1979) 1; the block form for grouped data). All models are evaluated on the same resamples, so that the
fluctuations that they share drop out of their difference. The first column of every resampled array is
the sample itself (each shower once): estimate and interval come from one and the same code.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.documents.base import is_default, plain
from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.core.json_types import Json
from trigger_ml.evaluation import compiled

__all__ = ["Interval", "Resamples", "few_showers", "intervals", "resample_showers"]

FloatArray = NDArray[np.float64]

# with more undefined resamples than this the percentiles describe another population than the sample's
MAX_UNDEFINED = 0.1


@dataclass(frozen=True)
class Interval:
    """An estimate and its central bootstrap interval.

    Parameters
    ----------
    value, low, high : float
        NaN where undefined.
    flag : str
        Why the numbers are missing or doubtful; empty when they are neither.
    events : int or None
        Events behind the estimate, where that is informative.
    """

    value: float
    low: float
    high: float
    flag: str = ""
    events: int | None = None

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return 0.5 * (self.high - self.low)

    def estimate(self) -> Estimate:
        """As a document keeps it: numbers that are not finite become None."""

        def known(number: float) -> float | None:
            return float(number) if np.isfinite(number) else None

        return Estimate(known(self.value), known(self.low), known(self.high), self.flag, self.events)

    def to_dict(self) -> dict[str, Json]:
        """Plain dictionary for JSON."""
        return {
            item.name: plain(getattr(found, item.name))
            for found in (self.estimate(),)
            for item in fields(found)
            if not is_default(found, item.name)
        }

    def flagged(self, flag: str) -> "Interval":
        """The same with a further flag."""
        return replace(self, flag="; ".join(filter(None, (self.flag, flag)))) if flag else self


@dataclass(frozen=True, eq=False)
class Resamples:
    """How often each shower occurs in each resample.

    Parameters
    ----------
    counts : numpy.ndarray of uint8, shape (showers, 1 + resamples)
        The first column is all ones: the sample itself.
    shower : numpy.ndarray of int64, shape (events,)
        Row of ``counts`` for each event.
    weight : numpy.ndarray of float64, shape (events,)
    """

    counts: NDArray[np.uint8] = field(repr=False)
    shower: NDArray[np.int64] = field(repr=False)
    weight: FloatArray = field(repr=False)

    @property
    def size(self) -> int:
        """Number of columns, the sample itself included."""
        return int(self.counts.shape[1])

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice) -> "Resamples":
        """The same draws of showers, for some of the events."""
        return replace(self, shower=self.shower[rows], weight=self.weight[rows])

    def sums(self, columns: ArrayLike, bins: NDArray[np.int64], n_bins: int) -> FloatArray:
        """Weighted sums of columns in each bin.

        Parameters
        ----------
        columns : array_like of float, shape (events, columns)
        bins : numpy.ndarray of int64, shape (events,)
        n_bins : int

        Returns
        -------
        numpy.ndarray of float64, shape (columns, n_bins, 1 + resamples)
        """
        table = np.asarray(columns, dtype=np.float64) * self.weight[:, None]
        return compiled.bin_sums(self.counts, self.shower, np.ascontiguousarray(table), bins, n_bins)

    def showers(self, bins: NDArray[np.int64], n_bins: int) -> NDArray[np.int64]:
        """Showers with an event in each bin, shape (n_bins,): what the statistics of a bin are.

        Parameters
        ----------
        bins : numpy.ndarray of int64, shape (events,)
            Events of other bins are left out.
        n_bins : int
        """
        inside = (bins >= 0) & (bins < n_bins)
        n = len(self.counts)
        pairs = np.unique(bins[inside] * n + self.shower[inside])
        return np.bincount(pairs // n, minlength=n_bins)

    def quantiles(
        self, value: ArrayLike, levels: tuple[float, ...], bins: NDArray[np.int64], n_bins: int
    ) -> FloatArray:
        """Weighted quantiles in each bin, shape (levels, n_bins, 1 + resamples); NaN in empty bins."""
        values = np.asarray(value, dtype=np.float64)
        return compiled.quantiles(self.counts, self.shower, self.weight, values, bins, n_bins, levels)

    def roc(
        self,
        score: ArrayLike,
        gamma: NDArray[np.bool_],
        bins: NDArray[np.int64],
        n_bins: int,
        gamma_target: float,
        hadron_target: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """AUC, hadron efficiency at a gamma efficiency, gamma efficiency at a hadron efficiency.

        See `trigger_ml.evaluation.compiled.roc_scan`; each of shape (n_bins, 1 + resamples).
        """
        scores = np.asarray(score, dtype=np.float64)
        return compiled.roc_scan(
            self.counts,
            self.shower,
            self.weight,
            gamma,
            scores,
            bins,
            n_bins,
            gamma_target,
            hadron_target,
        )


def resample_showers(
    shower_id: ArrayLike,
    label: ArrayLike,
    resamples: int,
    seed: int,
    weight: ArrayLike | None = None,
) -> Resamples:
    """Draw showers with replacement, within each class so that no class can vanish.

    Parameters
    ----------
    shower_id : array_like of int, shape (events,)
    label : array_like of int, shape (events,)
        Class of each event; all uses of a shower have the same.
    resamples : int
    seed : int
    weight : array_like of float, shape (events,), optional

    Returns
    -------
    Resamples
    """
    rng = np.random.default_rng(seed)
    # a shower number may recur in another class when files were made separately
    classes = np.asarray(label, dtype=np.int64)
    identity = np.asarray(shower_id, dtype=np.int64) * 2 + (classes == 1)
    unique, shower = np.unique(identity, return_inverse=True)
    counts = np.empty((len(unique), 1 + resamples), dtype=np.uint8)
    counts[:, 0] = 1
    for kind in (0, 1):
        rows = np.flatnonzero((unique & 1) == kind)
        if not len(rows):
            continue
        for column in range(1, 1 + resamples):
            drawn = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
            counts[rows, column] = np.minimum(drawn, np.iinfo(np.uint8).max)
    weights = np.ones(len(classes)) if weight is None else np.asarray(weight, dtype=np.float64)
    return Resamples(counts, shower.astype(np.int64), weights)


def few_showers(showers: NDArray[np.int64], least: int, name: str = "") -> list[str]:
    """A flag for each bin that has fewer showers than it should; empty for the others.

    Parameters
    ----------
    showers : numpy.ndarray of int64, shape (bins,)
        See `Resamples.showers`: uses of one shower count once.
    least : int
    name : str
        Of the class, in the singular.
    """
    what = f"{name} shower".strip()
    return ["" if n >= least else f"{n or 'no'} {what}{'' if n == 1 else 's'}" for n in showers]


def intervals(
    resampled: FloatArray,
    confidence: float,
    flags: Callable[[int], str] | None = None,
    events: NDArray[np.int64] | None = None,
) -> list[Interval]:
    """Estimate and central percentile interval for each row.

    The percentiles of a bounded or skewed quantity need not enclose the estimate (an efficiency read from a
    step of a curve, an AUC near one); the interval is widened until it does.

    Parameters
    ----------
    resampled : numpy.ndarray of float64, shape (rows, 1 + resamples)
        The estimate in the first column; NaN where a resample has no value.
    confidence : float
        Probability content.
    flags : callable, optional
        Gives the flag of a row.
    events : numpy.ndarray of int64, shape (rows,), optional

    Returns
    -------
    list of Interval
    """
    tail = 50.0 * (1.0 - confidence)
    result = []
    for row, values in enumerate(np.atleast_2d(resampled)):
        draws = values[1:][np.isfinite(values[1:])]
        undefined = 1.0 - len(draws) / max(len(values) - 1, 1)
        flag = flags(row) if flags else ""
        count = None if events is None else int(events[row])
        if not np.isfinite(values[0]):
            interval = Interval(np.nan, np.nan, np.nan, "" if flag else "undefined", count)
        elif undefined > MAX_UNDEFINED:
            interval = Interval(
                float(values[0]), np.nan, np.nan, f"undefined in {undefined:.0%} of the resamples", count
            )
        else:
            low, high = np.percentile(draws, [tail, 100.0 - tail])
            value = float(values[0])
            interval = Interval(value, min(float(low), value), max(float(high), value), "", count)
        result.append(interval.flagged(flag))
    return result
