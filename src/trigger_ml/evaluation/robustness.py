"""What a model's answers do when the night sky, the gains, the optics or the pixels change.

Every model keeps the one threshold that gives its operating point over all test events, as a telescope's
trigger would; the events are then divided by each condition. All models are judged on the same resamples of
showers, so that what they share drops out of the difference of two. Where the trigger of the telescope
follows the night sky, the events themselves differ between bins, which the models share as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.core.documents.robustness import (
    Accepted,
    Change,
    ChangeDifference,
    Condition,
    ConditionDifference,
    ConditionModel,
    Largest,
    NightSkyAccepted,
    Robustness,
)
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation.classification import efficiency_threshold
from trigger_ml.evaluation.conditions import (
    CONDITIONS,
    LEAST_SHOWERS,
    ConditionBins,
    condition_bins,
    content,
    varied,
)
from trigger_ml.evaluation.degradation import VERDICT_CONFIDENCE, with_error
from trigger_ml.evaluation.events import EvaluationEvents, usable
from trigger_ml.evaluation.uncertainty import Resamples, intervals, resample_showers

__all__ = ["FIGURES", "NightSkyAnswers", "accepted", "change_verdict", "robustness"]

FloatArray = NDArray[np.float64]

FIGURES = ("auc", "gamma", "hadron")
"""AUC, and the parts of gammas and of hadrons that are accepted at the model's threshold."""
RESOLVED = {"auc": 0.01, "gamma": 0.1, "hadron": 0.1}
"""A difference of changes that is not excluded beyond this is called unresolved, not unchanged."""


@dataclass(frozen=True, eq=False)
class NightSkyAnswers:
    """What models say to windows without any shower.

    Parameters
    ----------
    logits : mapping of str to array_like of float, shape (windows,) or (windows, 1)
        By model.
    conditions : mapping of str to array_like of float, shape (windows,)
        By the names of the events' conditions.
    not_judged : mapping of str to str
        By model, why it gave no answers.
    """

    logits: Mapping[str, ArrayLike]
    conditions: Mapping[str, ArrayLike]
    not_judged: Mapping[str, str]


def accepted(passes: NDArray[np.bool_], confidence: float) -> Accepted:
    """Part of some independent events that pass, with Wilson's interval, the number and that of all."""
    n, k = len(passes), int(np.count_nonzero(passes))
    if not n:
        return Accepted(value=None, low=None, high=None, flag="no events", events=0, accepted=0)
    ends = binomtest(k, n).proportion_ci(confidence, method="wilson")
    return Accepted(value=k / n, low=float(ends.low), high=float(ends.high), events=n, accepted=k)


def robustness(
    logits: Mapping[str, ArrayLike],
    reference: str,
    events: EvaluationEvents,
    conditions: Mapping[str, ArrayLike],
    config: EvaluationConfig,
    seed: int,
    night_sky: NightSkyAnswers | None = None,
    *,
    further: Sequence[str] = (),
) -> Robustness:
    """Judge models against each condition that varies among the events.

    Parameters
    ----------
    logits : mapping of str to array_like of float, shape (events,) or (events, 1)
        By model.
    reference : str
        The model that all others are compared with.
    events : EvaluationEvents
    conditions : mapping of str to array_like of float, shape (events,)
        Names of `trigger_ml.evaluation.conditions.CONDITIONS`; others are not used. NaN where unknown.
    config : EvaluationConfig
    seed : int
        Of the bootstrap.
    night_sky : NightSkyAnswers, optional
    further : sequence of str, optional
        Models with which all others are compared too.

    Returns
    -------
    Robustness
        Nothing but the ``reason`` where no condition varies and there are no events without showers.

    Raises
    ------
    InputError
        If the events or answers cannot be compared (see `trigger_ml.evaluation.events.usable`), or a
        reference is not among the models.
    """
    for name in (reference, *further):
        if name not in logits:
            raise InputError(f"model {name}", f"is not among {', '.join(logits)}", "Name one of them")
    keep, _, stacked = usable(events, *logits.values())
    judged, gamma = events[keep], events[keep].gamma
    scores = dict(zip(logits, stacked[:, keep, 0], strict=True))
    known = {name: np.asarray(values, dtype=np.float64)[keep] for name, values in conditions.items()}
    chosen = varied(known)
    if not chosen and night_sky is None:
        return Robustness("no condition of the camera varies among the test events, or none is known")
    resamples = resample_showers(judged.shower_id, judged.label, config.bootstrap, seed, judged.weight)
    weights = judged.weights
    cuts = {
        name: efficiency_threshold(score[gamma], weights[gamma], config.gamma_efficiency)
        for name, score in scores.items()
    }
    everything = np.zeros(len(judged), dtype=np.int64)
    overall = {
        name: _figures(score, cuts[name], gamma, everything, 1, resamples, config)
        for name, score in scores.items()
    }
    windows = {} if night_sky is None else _passing(night_sky, cuts)
    by_condition = {}
    for name, values in chosen.items():
        bins = condition_bins(values, gamma, resamples, config.robustness_bins)
        facts = content(values, bins, gamma, resamples)
        found = {
            model: _figures(score, cuts[model], gamma, bins.index, len(bins), resamples, config)
            for model, score in scores.items()
        }
        label, unit = CONDITIONS[name]
        models, kept = _models(found, overall, facts.flags, config.confidence)
        by_condition[name] = Condition(
            label=label,
            unit=unit,
            edges=tuple(bins.edges.tolist()),
            flag=bins.flag,
            **vars(facts),
            models=models,
            differences={
                against: {
                    model: _difference(found, kept, model, against, facts.flags, config.confidence)
                    for model in found
                    if model != against
                }
                for against in (reference, *further)
            },
            night_sky=_night_sky_bins(name, bins, windows, night_sky, config.confidence),
        )
    return Robustness(
        bins=config.robustness_bins,
        least_showers=LEAST_SHOWERS,
        gamma_efficiency=config.gamma_efficiency,
        thresholds=cuts,
        overall={
            model: {key: intervals(row, config.confidence)[0].estimate() for key, row in rows.items()}
            for model, rows in overall.items()
        },
        conditions=by_condition,
        night_sky=_night_sky(windows, night_sky, config.confidence),
    )


def _figures(
    score: FloatArray,
    cut: float,
    gamma: NDArray[np.bool_],
    bins: NDArray[np.int64],
    n_bins: int,
    resamples: Resamples,
    config: EvaluationConfig,
) -> dict[str, FloatArray]:
    """AUC and acceptances of a model in each bin, each of shape (n_bins, 1 + resamples)."""
    # one row more: events that are in no bin
    area = resamples.roc(score, gamma, bins, n_bins + 1, config.gamma_efficiency)[0][:n_bins]
    passes = score >= cut
    columns = np.stack([gamma, ~gamma, gamma & passes, ~gamma & passes], axis=1)
    sums = resamples.sums(columns, bins, n_bins + 1)[:, :n_bins]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"auc": area, "gamma": sums[2] / sums[0], "hadron": sums[3] / sums[1]}


@dataclass(frozen=True, eq=False)
class _Changes:
    """How the figures of a model change over the bins.

    Parameters
    ----------
    change : dict of str to numpy.ndarray of float64, shape (1 + resamples,)
        Last bin minus first; of an acceptance, divided by that over all events.
    largest : dict of str to numpy.ndarray of float64, shape (1 + resamples,)
        Of an acceptance: largest ``|bin / all - 1|`` of any bin.
    chance : dict of str to float or None
        What ``largest`` would be about, were nothing to change: the median over the resamples of the largest
        distance of any bin from its own estimate.
    """

    change: dict[str, FloatArray]
    largest: dict[str, FloatArray]
    chance: dict[str, float | None]


def _changes(found: Mapping[str, FloatArray], overall: Mapping[str, FloatArray]) -> _Changes:
    change, largest = {"auc": found["auc"][-1] - found["auc"][0]}, {}
    chance: dict[str, float | None] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for key in ("gamma", "hadron"):
            relative = np.where(overall[key] > 0, found[key] / overall[key], np.nan) - 1
            change[key] = relative[-1] - relative[0]
            largest[key] = np.abs(relative).max(axis=0)
            median = float(np.median(np.abs(relative[:, 1:] - relative[:, :1]).max(axis=0)))
            chance[key] = median if np.isfinite(median) else None
    return _Changes(change, largest, chance)


def _seen(change: FloatArray) -> bool:
    """Whether the central 95 % of the resamples exclude no change."""
    draws = change[1:][np.isfinite(change[1:])]
    if not np.isfinite(change[0]) or len(draws) < 0.9 * (len(change) - 1):
        return False
    tail = 50 * (1 - VERDICT_CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return bool(low > 0 or high < 0)


def change_verdict(change: FloatArray, other: FloatArray, figure: str) -> tuple[str, str]:
    """Whether one model's change over a condition is another than a second model's.

    Parameters
    ----------
    change, other : numpy.ndarray of float64, shape (1 + resamples,)
        Of the model that is judged, and of the one that it is compared with; paired, the estimate first.
    figure : str
        One of `FIGURES`: acceptances are relative, and told in per cent.

    Returns
    -------
    state, words : str
        ``worse`` (it changes by more), ``better``, ``unchanged``, ``unresolved`` or ``undefined``.
    """
    difference = change - other
    draws = difference[1:][np.isfinite(difference[1:])]
    if not np.isfinite(difference[0]) or len(draws) < 0.9 * (len(difference) - 1):
        return "undefined", "cannot be computed from these events"
    tail = 50 * (1 - VERDICT_CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    scale, unit = (1.0, "") if figure == "auc" else (100.0, " %")
    if low <= 0 <= high:
        bound = max(abs(float(low)), abs(float(high)))
        if bound == 0:
            return "unchanged", "changes as much"
        state = "unchanged" if bound <= RESOLVED[figure] else "unresolved"
        seen = (
            "changes as much within" if state == "unchanged" else "no difference seen, but only known within"
        )
        return state, f"{seen} {scale * bound:.2g}{unit}"
    error = 0.5 * float(np.diff(np.percentile(draws, [16, 84]))[0])
    amount = f"{with_error(scale * abs(float(difference[0])), scale * error)}{unit}"
    if abs(change[0]) > abs(other[0]):
        return "worse", f"changes by {amount} more"
    return "better", f"changes by {amount} less"


def _one(values: FloatArray, flags: Sequence[str], confidence: float) -> Estimate:
    """An estimate over all bins, with a flag where one of them has few showers."""
    few = "a bin with few showers" if any(flags) else ""
    return intervals(values[None], confidence)[0].flagged(few).estimate()


def _models(
    found: Mapping[str, Mapping[str, FloatArray]],
    overall: Mapping[str, Mapping[str, FloatArray]],
    flags: Sequence[str],
    confidence: float,
) -> tuple[dict[str, ConditionModel], dict[str, _Changes]]:
    """Figures in bins and their changes, of each model."""
    models, kept = {}, {}
    for model, rows in found.items():
        kept[model] = changes = _changes(rows, overall[model])
        binned = {
            key: tuple(row.estimate() for row in intervals(values, confidence, flags.__getitem__))
            for key, values in rows.items()
        }
        models[model] = ConditionModel(
            auc=binned["auc"],
            gamma=binned["gamma"],
            hadron=binned["hadron"],
            change={
                key: Change(**vars(_one(values, flags, confidence)), seen=_seen(values))
                for key, values in changes.change.items()
            },
            largest={
                key: Largest(**vars(_one(values, flags, confidence)), chance=changes.chance[key])
                for key, values in changes.largest.items()
            },
        )
    return models, kept


def _difference(
    found: Mapping[str, Mapping[str, FloatArray]],
    kept: Mapping[str, _Changes],
    model: str,
    reference: str,
    flags: Sequence[str],
    confidence: float,
) -> ConditionDifference:
    """A model's changes against those of a reference."""
    mine, theirs = kept[model], kept[reference]
    compared = {}
    for key in FIGURES:
        state, words = change_verdict(mine.change[key], theirs.change[key], key)
        values = mine.change[key] - theirs.change[key]
        compared[key] = ChangeDifference(**vars(_one(values, flags, confidence)), state=state, verdict=words)
    auc = intervals(found[model]["auc"] - found[reference]["auc"], confidence, flags.__getitem__)
    return ConditionDifference(
        change=compared,
        largest={
            key: _one(mine.largest[key] - theirs.largest[key], flags, confidence) for key in mine.largest
        },
        auc=tuple(row.estimate() for row in auc),
    )


def _passing(night_sky: NightSkyAnswers, cuts: Mapping[str, float]) -> dict[str, NDArray[np.bool_]]:
    """Which windows each model accepts; an answer that is not finite is none."""
    return {
        model: np.asarray(logits, dtype=np.float64).reshape(len(np.asarray(logits)), -1)[:, 0] >= cuts[model]
        for model, logits in night_sky.logits.items()
    }


def _night_sky_bins(
    name: str,
    bins: ConditionBins,
    windows: Mapping[str, NDArray[np.bool_]],
    night_sky: NightSkyAnswers | None,
    confidence: float,
) -> dict[str, tuple[Accepted, ...]]:
    if night_sky is None or name not in night_sky.conditions:
        return {}
    place = bins.place(night_sky.conditions[name])
    return {
        model: tuple(accepted(passes[place == row], confidence) for row in range(len(bins)))
        for model, passes in windows.items()
    }


def _night_sky(
    windows: Mapping[str, NDArray[np.bool_]], night_sky: NightSkyAnswers | None, confidence: float
) -> NightSkyAccepted:
    if night_sky is None:
        return NightSkyAccepted(reason="the run has no clocked events")
    return NightSkyAccepted(
        models={model: accepted(passes, confidence) for model, passes in windows.items()},
        not_judged=dict(night_sky.not_judged),
    )
