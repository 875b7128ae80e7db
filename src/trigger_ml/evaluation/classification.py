"""Gammas against hadrons: metrics with uncertainties, thresholds, curves and distributions.

A model's score is its logit: ranking by it avoids the ties that the sigmoid makes near 0 and 1. A gamma
is the positive class. Everything is weighted by the events' weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.metrics import roc_curve

from trigger_ml.core.documents.details import (
    CalibrationBin,
    Confusion,
    Density,
    GammanessHistogram,
    Roc,
    ThresholdOf,
)
from trigger_ml.evaluation.uncertainty import Resamples, few_showers, intervals

__all__ = [
    "Threshold",
    "calibration",
    "confusion",
    "decision_metrics",
    "efficiency_threshold",
    "f1_threshold",
    "figures_of_merit",
    "gammaness",
    "gammaness_histogram",
    "roc_points",
    "thresholds",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
PER_BIN = "efficiency_per_bin"


def gammaness(logit: ArrayLike) -> FloatArray:
    """Probability of a gamma: the logistic function of the logit."""
    return np.asarray(expit(np.asarray(logit, dtype=np.float64)))


def efficiency_threshold(score: ArrayLike, weight: ArrayLike, efficiency: float) -> float:
    """Largest threshold at which at least this weighted fraction of the events has score >= threshold.

    Parameters
    ----------
    score, weight : array_like of float, shape (events,)
        Of the class whose efficiency is wanted.
    efficiency : float

    Returns
    -------
    float
        NaN without events.
    """
    scores, weights = np.asarray(score, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    if not len(scores) or weights.sum() <= 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    kept = np.cumsum(weights[order])
    # the tolerance absorbs the rounding of the sum where the fraction is met exactly
    return float(scores[order][np.searchsorted(kept, efficiency * kept[-1] * (1 - 1e-12))])


def f1_threshold(score: ArrayLike, gamma: BoolArray, weight: ArrayLike) -> float:
    """Threshold with the largest F1 score."""
    scores, weights = np.asarray(score, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    ends = np.flatnonzero(np.r_[sorted_scores[1:] != sorted_scores[:-1], True])
    true_positive = np.cumsum(np.where(gamma[order], weights[order], 0.0))[ends]
    selected = np.cumsum(weights[order])[ends]
    total = weights[gamma].sum()
    if total <= 0:
        return float("nan")
    f1 = 2 * true_positive / (selected + total)
    return float(sorted_scores[ends[np.argmax(f1)]])


@dataclass(frozen=True)
class Threshold:
    """A decision rule: an event is kept when its logit is at least ``logit`` (of its energy bin).

    Parameters
    ----------
    name : str
    label : str
        What a reader sees.
    logit : tuple of float
        One value, or one for each energy bin; NaN where a bin has no gamma.
    """

    name: str
    label: str
    logit: tuple[float, ...]

    def passes(self, score: ArrayLike, bins: NDArray[np.int64]) -> BoolArray:
        """Events that are kept; none where the threshold is undefined, or which are in no bin."""
        cut = np.asarray(self.logit)
        # one value for all, or one more bin than there are: that of events in none
        of_event = cut[0] if self.name != PER_BIN else np.append(cut, np.nan)[bins]
        return np.asarray(np.asarray(score) >= of_event)

    def of_model(self, false_positive_rate: float) -> ThresholdOf:
        """As a document keeps it, with the threshold in gammaness as well."""
        values = tuple(float(x) if np.isfinite(x) else None for x in self.logit)
        gammaness_ = tuple(None if x is None else float(expit(x)) for x in values)
        rate = false_positive_rate if np.isfinite(false_positive_rate) else None
        return ThresholdOf(values, gammaness_, rate)


def thresholds(
    score: ArrayLike,
    gamma: BoolArray,
    weight: ArrayLike,
    bins: NDArray[np.int64],
    n_bins: int,
    efficiency: float,
    fixed: float,
) -> list[Threshold]:
    """The decision rules: gamma efficiency (global, per energy bin), best F1, fixed gammaness."""
    scores, weights = np.asarray(score, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    per_bin = [
        efficiency_threshold(scores[gamma & (bins == b)], weights[gamma & (bins == b)], efficiency)
        for b in range(n_bins)
    ]
    percent = f"{100 * efficiency:g} % gamma efficiency"
    return [
        Threshold("efficiency", percent, (efficiency_threshold(scores[gamma], weights[gamma], efficiency),)),
        Threshold(PER_BIN, f"{percent} in each energy bin", tuple(per_bin)),
        Threshold("f1", "largest F1 score", (f1_threshold(scores, gamma, weights),)),
        Threshold("fixed", f"gammaness ≥ {fixed:g}", (float(np.log(fixed / (1 - fixed))),)),
    ]


def decision_metrics(
    resamples: Resamples,
    gamma: BoolArray,
    passes: BoolArray,
    bins: NDArray[np.int64],
    n_bins: int,
) -> dict[str, FloatArray]:
    """Accuracy, precision, recall, F1 and false-positive rate of a decision.

    Parameters
    ----------
    resamples : Resamples
    gamma, passes : numpy.ndarray of bool, shape (events,)
    bins : numpy.ndarray of int64, shape (events,)
    n_bins : int

    Returns
    -------
    dict of str to numpy.ndarray of float64, shape (n_bins, 1 + resamples)
        NaN where a denominator is zero.
    """
    columns = np.stack([gamma & passes, ~gamma & passes, gamma & ~passes, ~gamma & ~passes], axis=1)
    tp, fp, fn, tn = resamples.sums(columns, bins, n_bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": (tp + tn) / (tp + fp + fn + tn),
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "false_positive_rate": fp / (fp + tn),
        }


def brier(
    resamples: Resamples, gamma: BoolArray, score: ArrayLike, bins: NDArray[np.int64], n_bins: int
) -> FloatArray:
    """Mean squared difference of gammaness and label, shape (n_bins, 1 + resamples)."""
    squared = (gammaness(score) - gamma) ** 2
    total, norm = resamples.sums(np.stack([squared, np.ones(len(squared))], axis=1), bins, n_bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / norm)


def figures_of_merit(
    resamples: Resamples,
    gamma: BoolArray,
    logits: Mapping[str, FloatArray],
    reference: str,
    bins: NDArray[np.int64],
    n_bins: int,
    gamma_efficiency: float,
    fixed: float,
) -> dict[str, dict[str, FloatArray]]:
    """Every figure of merit of several models on the same resamples.

    Parameters
    ----------
    resamples : Resamples
    gamma : numpy.ndarray of bool, shape (events,)
    logits : mapping of str to numpy.ndarray of float64, shape (events,)
        By model.
    reference : str
        Its background is the level at which gamma efficiencies are read.
    bins : numpy.ndarray of int64, shape (events,)
    n_bins : int
    gamma_efficiency : float
    fixed : float
        Logit of the fixed threshold.

    Returns
    -------
    dict of str to dict of str to numpy.ndarray of float64, shape (n_bins, 1 + resamples)
        By model.
    """
    models: dict[str, dict[str, FloatArray]] = {}
    background = resamples.roc(logits[reference], gamma, bins, n_bins, gamma_efficiency)[1]
    for name, logit in logits.items():
        area, hadron, _ = resamples.roc(logit, gamma, bins, n_bins, gamma_efficiency)
        kept = resamples.roc(logit, gamma, bins, n_bins, gamma_efficiency, background)[2]
        decisions = decision_metrics(resamples, gamma, logit >= fixed, bins, n_bins)
        decisions.pop("false_positive_rate")
        models[name] = {
            "auc": area,
            "hadron_efficiency": hadron,
            "gamma_efficiency": kept,
            **decisions,
            "brier": brier(resamples, gamma, logit, bins, n_bins),
        }
    return models


def confusion(gamma: BoolArray, passes: BoolArray, weight: ArrayLike) -> Confusion:
    """Confusion matrix: events, weighted sums, and rates within each true class."""
    weights = np.asarray(weight, dtype=np.float64)
    cells = [[truth & decision for decision in (passes, ~passes)] for truth in (gamma, ~gamma)]
    weighted = tuple(tuple(float(weights[cell].sum()) for cell in row) for row in cells)
    return Confusion(
        events=tuple(tuple(int(cell.sum()) for cell in row) for row in cells),
        weighted=weighted,
        rates=tuple(tuple(value / sum(row) if sum(row) > 0 else None for value in row) for row in weighted),
    )


def roc_points(score: ArrayLike, gamma: BoolArray, weight: ArrayLike, points: int = 300) -> Roc:
    """ROC curve, thinned to at most about ``points`` points along its length."""
    fpr, tpr, cut = roc_curve(gamma, score, sample_weight=weight, drop_intermediate=True)
    length = np.cumsum(np.hypot(np.diff(fpr, prepend=fpr[0]), np.diff(tpr, prepend=tpr[0])))
    keep = np.unique(np.searchsorted(length, np.linspace(0, length[-1], points)))
    keep = np.unique(np.r_[0, np.minimum(keep, len(fpr) - 1), len(fpr) - 1])
    # the first threshold is infinite: nothing is kept
    logit = tuple(float(x) if np.isfinite(x) else None for x in cut[keep])
    return Roc(tuple(fpr[keep].tolist()), tuple(tpr[keep].tolist()), logit)


def gammaness_histogram(
    score: ArrayLike, gamma: BoolArray, weight: ArrayLike, n_bins: int = 40
) -> GammanessHistogram:
    """Distribution of gammaness per class: events and weighted density."""
    value, weights = gammaness(score), np.asarray(weight, dtype=np.float64)
    edges = np.linspace(0, 1, n_bins + 1)

    def of_class(mask: BoolArray) -> Density:
        weighted = np.histogram(value[mask], edges, weights=weights[mask])[0]
        total = weighted.sum()
        density = (weighted / total / np.diff(edges)).tolist() if total > 0 else [0.0] * n_bins
        return Density(tuple(np.histogram(value[mask], edges)[0].tolist()), tuple(density))

    return GammanessHistogram(tuple(edges.tolist()), of_class(gamma), of_class(~gamma))


def calibration(
    resamples: Resamples,
    gamma: BoolArray,
    score: ArrayLike,
    confidence: float,
    min_showers: int,
    n_bins: int = 10,
) -> tuple[CalibrationBin, ...]:
    """Fraction of gammas against mean gammaness, in equal bins of gammaness, with counts."""
    value = gammaness(score)
    bins = np.minimum((value * n_bins).astype(np.int64), n_bins - 1)
    columns = np.stack([np.ones(len(value)), value, gamma.astype(np.float64)], axis=1)
    norm, mean, positive = resamples.sums(columns, bins, n_bins)
    counts = np.bincount(bins, minlength=n_bins)
    flags = few_showers(resamples.showers(bins, n_bins), min_showers)
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = positive / norm
        average = mean[:, 0] / norm[:, 0]
    rows = intervals(fraction, confidence, flags.__getitem__, counts)
    return tuple(
        CalibrationBin(
            low=b / n_bins,
            high=(b + 1) / n_bins,
            mean=float(average[b]) if np.isfinite(average[b]) else None,
            events=int(counts[b]),
            fraction=rows[b].estimate(),
        )
        for b in range(n_bins)
    )
