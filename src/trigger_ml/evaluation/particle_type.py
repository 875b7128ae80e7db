"""Classifiers on the same events: figures of merit against a reference, curves and decisions."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.details import (
    Decisions,
    Details,
    ModelDetails,
    OperatingPoint,
    OutputDifference,
)
from trigger_ml.core.documents.estimates import Pair
from trigger_ml.evaluation import classification
from trigger_ml.evaluation.degradation import Rows, compare, flips, pairs
from trigger_ml.evaluation.events import EnergyBins, EvaluationEvents
from trigger_ml.evaluation.light_quality import light_quality
from trigger_ml.evaluation.uncertainty import Resamples, few_showers

__all__ = ["class_flags", "evaluate_type", "type_details"]

FloatArray = NDArray[np.float64]
DECISIONS = ("accuracy", "precision", "recall", "f1")
LEVELS = (1, 5, 16, 50, 84, 95, 99)


def class_flags(
    gamma: NDArray[np.bool_], bins: EnergyBins, resamples: Resamples, min_showers: int
) -> list[str]:
    """For each energy bin, which class has too few showers to trust its numbers."""
    classes = (("gamma", gamma), ("hadron", ~gamma))
    flags = [
        few_showers(resamples[mask].showers(bins.index[mask], len(bins)), min_showers, name)
        for name, mask in classes
    ]
    return [", ".join(filter(None, pair)) for pair in zip(*flags, strict=True)]


def _logit(gammaness: float) -> float:
    return float(np.log(gammaness / (1 - gammaness)))


def evaluate_type(
    logits: Mapping[str, FloatArray],
    reference: str,
    further: Sequence[str],
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
) -> dict[str, dict[str, Pair]]:
    """Figures of merit of classifiers.

    Parameters
    ----------
    logits : mapping of str to numpy.ndarray of float64, shape (events,)
        By model.
    reference : str
        All models are compared with it, over all events and in energy bins.
    further : sequence of str
        Models with which all others are compared too, over all events.
    events : EvaluationEvents
    bins : EnergyBins
    resamples : Resamples
    config : EvaluationConfig

    Returns
    -------
    dict of str to dict of str to Pair
        By reference, then by model. Gamma efficiencies are read at the reference's background.
    """

    def measured(against: str, index: NDArray[np.int64], n: int) -> dict[str, dict[str, FloatArray]]:
        return classification.figures_of_merit(
            resamples,
            events.gamma,
            logits,
            against,
            index,
            n,
            config.gamma_efficiency,
            _logit(config.fixed_threshold),
        )

    everything = np.zeros(len(events), dtype=np.int64)
    # the last row is that of the events in no bin
    per_bin: dict[str, Rows] = {
        model: {name: values[:-1] for name, values in rows.items()}
        for model, rows in measured(reference, bins.index, len(bins) + 1).items()
    }
    flags = class_flags(events.gamma, bins, resamples, config.min_showers)
    in_bin = np.bincount(bins.index, minlength=len(bins) + 1)[:-1]
    overall = measured(reference, everything, 1)
    result = {reference: pairs(overall, reference, config.confidence, per_bin, flags, in_bin)}
    for name in further:
        result[name] = pairs(measured(name, everything, 1), name, config.confidence)
    return result


def type_details(
    logits: Mapping[str, FloatArray],
    reference: str,
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
) -> Details:
    """Curves and distributions of classifiers, and what they decide at the operating points.

    Parameters
    ----------
    logits : mapping of str to numpy.ndarray of float64, shape (events,)
        By model.
    reference : str
    events : EvaluationEvents
    bins : EnergyBins
    resamples : Resamples
    config : EvaluationConfig
    """
    gamma, weight = events.gamma, events.weights
    rules = {
        name: classification.thresholds(
            logit, gamma, weight, bins.index, len(bins), config.gamma_efficiency, config.fixed_threshold
        )
        for name, logit in logits.items()
    }
    models = {}
    for name, logit in logits.items():
        fixed = next(rule for rule in rules[name] if rule.name == "fixed")
        models[name] = ModelDetails(
            roc=classification.roc_points(logit, gamma, weight),
            gammaness=classification.gammaness_histogram(logit, gamma, weight),
            calibration=classification.calibration(
                resamples, gamma, logit, config.confidence, config.min_showers
            ),
            confusion=classification.confusion(gamma, fixed.passes(logit, bins.index), weight),
        )
    points = {
        of_models[0].name: _point(
            dict(zip(rules, of_models, strict=True)), logits, reference, gamma, bins, resamples, config
        )
        for of_models in zip(*rules.values(), strict=True)
    }
    return Details(
        models=models,
        output_differences={
            name: _differences(logit - logits[reference], logits[reference], logit)
            for name, logit in logits.items()
            if name != reference
        },
        operating_points=points,
        energy_distribution={
            name: tuple(np.bincount(bins.index[mask], minlength=len(bins) + 1)[:-1].tolist())
            for name, mask in (("gamma", gamma), ("hadron", ~gamma))
        },
        light=None if events.light_energy is None else light_quality(events, resamples, config),
    )


def _point(
    rules: Mapping[str, classification.Threshold],
    logits: Mapping[str, FloatArray],
    reference: str,
    gamma: NDArray[np.bool_],
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
) -> OperatingPoint:
    """One rule: each model's threshold, and what it decides otherwise than the reference."""
    everything = np.zeros(len(gamma), dtype=np.int64)
    passes = {name: rule.passes(logits[name], bins.index) for name, rule in rules.items()}
    scores = {
        name: classification.decision_metrics(resamples, gamma, chosen, everything, 1)
        for name, chosen in passes.items()
    }
    return OperatingPoint(
        label=rules[reference].label,
        models={
            name: rule.of_model(float(scores[name]["false_positive_rate"][0, 0]))
            for name, rule in rules.items()
        },
        comparisons={
            name: Decisions(
                metrics={
                    key: compare(key, scores[reference][key], scores[name][key], config.confidence)[0]
                    for key in DECISIONS
                },
                flips=flips(resamples, gamma, passes[reference], passes[name], config.confidence),
            )
            for name in rules
            if name != reference
        },
    )


def _differences(difference: FloatArray, reference: FloatArray, model: FloatArray) -> OutputDifference:
    """Distribution of a model's output minus the reference's."""
    varies = min(float(np.std(reference)), float(np.std(model))) > 0
    return OutputDifference(
        mean=float(difference.mean()),
        rms=float(np.sqrt(np.mean(difference**2))),
        max_abs=float(np.abs(difference).max()),
        percentiles=dict(zip(map(str, LEVELS), np.percentile(difference, LEVELS).tolist(), strict=True)),
        correlation=float(np.corrcoef(reference, model)[0, 1]) if varies else None,
    )
