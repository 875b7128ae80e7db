"""Evaluate a float model and its compressed twin on the same events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation import classification
from trigger_ml.evaluation.bookkeeping import Simulated
from trigger_ml.evaluation.degradation import Comparison, compare, flips
from trigger_ml.evaluation.energy import energy_of
from trigger_ml.evaluation.events import (
    BINNED_BY,
    EnergyBins,
    EvaluationEvents,
    energy_bins,
    observed_bins,
    usable,
)
from trigger_ml.evaluation.irf import Reconstruction, evaluate_irf
from trigger_ml.evaluation.light_quality import light_quality
from trigger_ml.evaluation.others import judge_others
from trigger_ml.evaluation.quantities import QUANTITIES
from trigger_ml.evaluation.regression import evaluate_regression
from trigger_ml.evaluation.uncertainty import Resamples, few_showers, resample_showers

__all__ = ["Evaluation", "evaluate"]

FloatArray = NDArray[np.float64]
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Parameters
    ----------
    task : str
    events : dict
        Numbers of events and showers, used and left out.
    settings : dict
        Resamples, confidence, seed, efficiency, threshold.
    edges : tuple of float
        Energy bin edges in TeV.
    binned_by : str
        Which energy: a key of `trigger_ml.evaluation.events.BINNED_BY`.
    metrics : dict of str to Comparison
        Figures of merit over all events, by name (see `trigger_ml.evaluation.quantities`).
    binned : dict of str to tuple of Comparison
        The same in each energy bin.
    details : dict
        Curves, distributions and tables of the task, JSON-able.
    flags : tuple of str
        What a reader must know before using the numbers.
    irf : dict
        Instrument response (see `trigger_ml.evaluation.irf.evaluate_irf`), or the ``reason`` why there is
        none.
    """

    task: str
    events: dict[str, Any]
    settings: dict[str, Any]
    edges: tuple[float, ...]
    metrics: dict[str, Comparison]
    binned: dict[str, tuple[Comparison, ...]]
    details: dict[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    irf: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    """Further models on the same events (see `trigger_ml.evaluation.others.judge_others`)."""
    binned_by: str = "true"

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON, without NaN: None where undefined, beside a flag that says why."""
        return {
            "schema": SCHEMA_VERSION,
            "task": self.task,
            "events": self.events,
            "settings": self.settings,
            "energy_bins": {
                "edges": list(self.edges),
                "unit": "TeV",
                "by": self.binned_by,
                "label": BINNED_BY[self.binned_by],
            },
            "quantities": {
                name: {
                    "label": QUANTITIES[name].label,
                    "better": QUANTITIES[name].better,
                    "unit": QUANTITIES[name].unit,
                }
                for name in {
                    **self.metrics,
                    **self.binned,
                    **self.irf.get("bins", {}),
                    **self.irf.get("metrics", {}),
                }
            },
            "metrics": {name: value.to_dict() for name, value in self.metrics.items()},
            "bins": {name: [row.to_dict() for row in rows] for name, rows in self.binned.items()},
            "details": self.details,
            "flags": list(self.flags),
            "irf": self.irf,
            "others": self.others,
        }


def evaluate(
    float_predictions: ArrayLike,
    compressed_predictions: ArrayLike,
    events: EvaluationEvents,
    config: EvaluationConfig,
    seed: int,
    task: Literal["type", "energy", "direction"] = "type",
    *,
    simulations: Mapping[str, Simulated] | None = None,
    reconstruction: tuple[Reconstruction, Reconstruction] | None = None,
    others: Mapping[str, ArrayLike] | None = None,
) -> Evaluation:
    """Compare two models, paired, with bootstrap intervals.

    Parameters
    ----------
    float_predictions, compressed_predictions : array_like of float, shape (events,) or (events, outputs)
        ``type``: logits, gamma positive. ``energy``: log10 of the energy in TeV. ``direction``: camera
        offsets in degrees, shape (events, 2) (see `trigger_ml.evaluation.direction.camera_offsets`).
    events : EvaluationEvents
    config : EvaluationConfig
    seed : int
        Of the bootstrap.
    task : str
    simulations : mapping of str to Simulated, optional
        By particle: how many showers were thrown. With it, a ``type`` evaluation gives effective area,
        background rate and sensitivity.
    reconstruction : two Reconstruction, optional
        Energies and directions that the float and the compressed models of the other tasks gave to the
        same events; without it the instrument response is at trigger level.
    others : mapping of str to array_like, optional
        Predictions of further models for the same events, as a float control or boosted trees. They are
        compared with both models; an event that one of them cannot judge is left out for all.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        If the events or predictions cannot be compared (see `trigger_ml.evaluation.events.usable`), or
        the task needs a class that has no events.
    """
    if reconstruction is not None:
        float_predictions = _without_unreconstructed(float_predictions, reconstruction)
    others = others or {}
    keep, dropped, stacked = usable(events, float_predictions, compressed_predictions, *others.values())
    kept, predictions, further = events[keep], stacked[:2, keep], stacked[2:, keep]
    everything, answers = kept, predictions
    gamma = kept.gamma
    if task == "type":
        for name, mask in (("gammas", gamma), ("hadrons", ~gamma)):
            if not (mask & (kept.weights > 0)).any():
                raise InputError("events to evaluate", f"no {name} among them", "Use events of both classes")
    else:
        if not gamma.any():
            raise InputError("events to evaluate", "no gammas among them", "Reconstruction needs gammas")
        if not gamma.all():
            dropped["hadron (reconstruction is judged on gammas)"] = int((~gamma).sum())
        kept, predictions, further, gamma = (
            kept[gamma],
            predictions[:, gamma],
            further[:, gamma],
            gamma[gamma],
        )
    chosen = None if reconstruction is None else [part[keep] for part in reconstruction]
    if task == "type":
        bins = observed_bins(kept, config.bins_per_decade, chosen[0].energy if chosen else None)
    else:
        bins = energy_bins(np.asarray(kept.energy, dtype=np.float64), config.bins_per_decade)
    resamples = resample_showers(kept.shower_id, kept.label, config.bootstrap, seed, kept.weight)
    flags = [f"{count} events left out: {reason}" for reason, count in dropped.items()]
    summary = {
        "given": len(events),
        "used": len(kept),
        "gamma": int(gamma.sum()),
        "hadron": int((~gamma).sum()),
        "showers": int(resamples.counts.shape[0]),
        "dropped": dropped,
        "weighted": kept.weight is not None,
        "outside_bins": int((bins.index == len(bins)).sum()),
    }
    if bins.by == "true" and task == "type":
        flags.append("particles are binned by their true energy, as no light or estimated energy was given")
    settings = {
        "bootstrap": config.bootstrap,
        "confidence": config.confidence,
        "seed": seed,
        "gamma_efficiency": config.gamma_efficiency,
        "fixed_threshold": config.fixed_threshold,
        "min_showers": config.min_showers,
    }
    if task == "type":
        if predictions.shape[2] != 1:
            raise InputError("predictions", f"{predictions.shape[2]} outputs", "Give one logit per event")
        metrics, binned, details = _evaluate_type(predictions[..., 0], kept, bins, resamples, config)
        if simulations is None:
            irf = {"reason": "the showers thrown are not known (no simulation bookkeeping was given)"}
        else:
            try:
                irf = evaluate_irf(kept, predictions[..., 0], bins, resamples, simulations, config, chosen)
            except InputError as error:
                irf = {"reason": f"{error.what}: {error.why}"}
            except (ArithmeticError, LookupError, ValueError) as error:
                # of the libraries: what was thrown is no such simulation as they can weight
                why = f"{type(error).__name__}: {error}".splitlines()[0]
                irf = {"reason": f"no response follows from these simulations ({why})"}
    else:
        irf = {"reason": f"this run reconstructs the {task}, the response needs the particle type"}
        metrics, binned, details, more = evaluate_regression(task, predictions, kept, bins, resamples, config)
        flags += more
        details |= _by_class(task, everything, answers, bins)
    named = dict(zip(others, further, strict=True))
    compared = judge_others(task, named, predictions, kept, bins, resamples, config)
    flagged = sorted({row.float_model.flag for rows in binned.values() for row in rows} - {""})
    if flagged:
        flags.append(f"some energy bins are flagged: {flagged[0]}" + (" and others" if flagged[1:] else ""))
    return Evaluation(
        task,
        summary,
        settings,
        tuple(bins.edges.tolist()),
        metrics,
        binned,
        details,
        tuple(flags),
        irf,
        compared,
        bins.by,
    )


def _without_unreconstructed(
    predictions: ArrayLike, reconstruction: tuple[Reconstruction, Reconstruction]
) -> FloatArray:
    """Predictions with NaN where an energy or a direction is missing, so that such events are left out."""
    result = np.array(predictions, dtype=np.float64)
    for part in reconstruction:
        result[~np.isfinite([part.energy, part.alt, part.az]).all(axis=0)] = np.nan
    return result


def _by_class(
    task: str, events: EvaluationEvents, predictions: FloatArray, bins: EnergyBins
) -> dict[str, Any]:
    """Energies of all test events by class, true and reconstructed; a regressor is judged on gammas alone."""
    classes = {"gamma": events.gamma, "hadron": ~events.gamma}

    def counts(energy: FloatArray) -> dict[str, list[int]]:
        return {
            name: np.histogram(energy[mask], bins.edges)[0].astype(int).tolist()
            for name, mask in classes.items()
        }

    result: dict[str, Any] = {"energy_distribution": counts(np.asarray(events.energy, dtype=np.float64))}
    if task == "energy":
        result["reconstructed_distribution"] = {
            name: counts(energy_of(output[:, 0]))
            for name, output in zip(("float", "compressed"), predictions, strict=True)
        }
    return result


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


def _evaluate_type(
    logits: FloatArray,
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
) -> tuple[dict[str, Comparison], dict[str, tuple[Comparison, ...]], dict[str, Any]]:
    gamma, weight = events.gamma, events.weights
    everything = np.zeros(len(events), dtype=np.int64)
    fixed = float(np.log(config.fixed_threshold / (1 - config.fixed_threshold)))

    def all_metrics(index: NDArray[np.int64], n: int) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        found = classification.figures_of_merit(
            resamples, gamma, logits, index, n, config.gamma_efficiency, fixed
        )
        return found[0], found[1]

    overall = all_metrics(everything, 1)
    # the last row is that of the events in no bin
    per_bin = [
        {name: values[:-1] for name, values in model.items()}
        for model in all_metrics(bins.index, len(bins) + 1)
    ]
    flags = class_flags(gamma, bins, resamples, config.min_showers)
    in_bin = np.bincount(bins.index, minlength=len(bins) + 1)[:-1]
    metrics = {
        name: compare(name, overall[0][name], overall[1][name], config.confidence)[0] for name in overall[0]
    }
    binned = {
        name: tuple(compare(name, per_bin[0][name], per_bin[1][name], config.confidence, flags, in_bin))
        for name in per_bin[0]
    }
    details = _type_details(logits, events, bins, resamples, config, weight)
    if events.light_energy is not None:
        details["light"] = light_quality(events, resamples, config)
    return metrics, binned, details


def _type_details(
    logits: FloatArray,
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
    weight: FloatArray,
) -> dict[str, Any]:
    gamma = events.gamma
    everything = np.zeros(len(events), dtype=np.int64)
    details: dict[str, Any] = {
        "energy_distribution": {
            name: np.bincount(bins.index[mask], minlength=len(bins) + 1)[:-1].tolist()
            for name, mask in (("gamma", gamma), ("hadron", ~gamma))
        },
        "logit_difference": _differences(logits[1] - logits[0], logits),
        "models": {},
        "operating_points": {},
    }
    rules = [
        classification.thresholds(
            logit, gamma, weight, bins.index, len(bins), config.gamma_efficiency, config.fixed_threshold
        )
        for logit in logits
    ]
    for name, logit, model_rules in zip(("float", "compressed"), logits, rules, strict=True):
        fixed = next(rule for rule in model_rules if rule.name == "fixed")
        details["models"][name] = {
            "roc": classification.roc_points(logit, gamma, weight),
            "gammaness": classification.gammaness_histogram(logit, gamma, weight),
            "calibration": classification.calibration(
                resamples, gamma, logit, config.confidence, config.min_showers
            ),
            "confusion": classification.confusion(gamma, fixed.passes(logit, bins.index), weight),
        }
    for float_rule, compressed_rule in zip(*rules, strict=True):
        passes = [
            rule.passes(logit, bins.index)
            for rule, logit in zip((float_rule, compressed_rule), logits, strict=True)
        ]
        scores = [classification.decision_metrics(resamples, gamma, p, everything, 1) for p in passes]
        details["operating_points"][float_rule.name] = {
            "label": float_rule.label,
            "float": float_rule.to_dict(),
            "compressed": compressed_rule.to_dict(),
            "metrics": {
                name: compare(name, scores[0][name], scores[1][name], config.confidence)[0].to_dict()
                for name in ("accuracy", "precision", "recall", "f1")
            },
            "false_positive_rate": {
                name: float(s["false_positive_rate"][0, 0])
                for name, s in zip(("float", "compressed"), scores, strict=True)
            },
            "flips": flips(resamples, gamma, passes[0], passes[1], config.confidence),
        }
    return details


def _differences(difference: FloatArray, models: FloatArray) -> dict[str, Any]:
    """Distribution of compressed minus float output."""
    levels = (1, 5, 16, 50, 84, 95, 99)
    spread = [float(np.std(m)) for m in models]
    return {
        "mean": float(difference.mean()),
        "rms": float(np.sqrt(np.mean(difference**2))),
        "max_abs": float(np.abs(difference).max()),
        "percentiles": dict(zip(map(str, levels), np.percentile(difference, levels).tolist(), strict=True)),
        "correlation": float(np.corrcoef(models[0], models[1])[0, 1]) if min(spread) > 0 else None,
    }
