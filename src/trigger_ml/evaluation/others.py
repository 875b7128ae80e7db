"""Further models on the same events: what a float control or boosted trees reach, and how far the two are."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.evaluation.classification import figures_of_merit
from trigger_ml.evaluation.degradation import Comparison, compare
from trigger_ml.evaluation.events import EnergyBins, EvaluationEvents
from trigger_ml.evaluation.regression import evaluate_regression
from trigger_ml.evaluation.uncertainty import Resamples

__all__ = ["judge_others"]

FloatArray = NDArray[np.float64]
MODELS = ("float", "compressed")


def judge_others(
    task: Literal["type", "energy", "direction"],
    others: Mapping[str, FloatArray],
    predictions: FloatArray,
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
) -> dict[str, Any]:
    """Compare the float and the compressed model with each of some further models, over all events.

    Parameters
    ----------
    task : str
    others : mapping of str to numpy.ndarray of float64, shape (events, outputs)
    predictions : numpy.ndarray of float64, shape (2, events, outputs)
        Float first.
    events : EvaluationEvents
    bins : EnergyBins
    resamples : Resamples
    config : EvaluationConfig

    Returns
    -------
    dict
        For each of them ``metrics`` (its own figures of merit, intervals by name) and ``differences``: for
        ``float`` and ``compressed``, by figure of merit, ``difference`` and ``ratio`` (that model's minus,
        or divided by, the further one's), ``state`` and ``verdict``. The gamma efficiency is read at the
        further model's background.
    """
    result: dict[str, Any] = {}
    for name, answers in others.items():
        pairs = {
            model: _pair(task, np.stack([answers, mine]), events, bins, resamples, config)
            for model, mine in zip(MODELS, predictions, strict=True)
        }
        result[name] = {
            "metrics": {key: found.float_model.to_dict() for key, found in pairs["compressed"].items()},
            "differences": {
                model: {
                    key: {
                        "difference": found.difference.to_dict(),
                        "ratio": found.ratio.to_dict(),
                        "state": found.state,
                        "verdict": found.verdict,
                    }
                    for key, found in compared.items()
                }
                for model, compared in pairs.items()
            },
        }
    return result


def _pair(
    task: Literal["type", "energy", "direction"],
    predictions: FloatArray,
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
) -> dict[str, Comparison]:
    if task != "type":
        return evaluate_regression(task, predictions, events, bins, resamples, config)[0]
    everything = np.zeros(len(events), dtype=np.int64)
    fixed = float(np.log(config.fixed_threshold / (1 - config.fixed_threshold)))
    first, second = figures_of_merit(
        resamples, events.gamma, predictions[..., 0], everything, 1, config.gamma_efficiency, fixed
    )
    return {name: compare(name, first[name], second[name], config.confidence)[0] for name in first}
