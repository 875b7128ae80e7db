"""How good an energy the light alone gives, measured on the gammas judged."""

from typing import Any

import numpy as np

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.evaluation.energy import energy_metrics
from trigger_ml.evaluation.events import EvaluationEvents, observed_bins
from trigger_ml.evaluation.uncertainty import Resamples, few_showers, intervals

__all__ = ["light_quality"]


def light_quality(events: EvaluationEvents, resamples: Resamples, config: EvaluationConfig) -> dict[str, Any]:
    """Bias and resolution of the energy from light, of gammas.

    In bins of the estimate the median bias is what the training gammas' spectrum makes it, near none; in bins
    of true energy a trigger near its threshold keeps the bright ones, whose energy comes out too large.

    Parameters
    ----------
    events : EvaluationEvents
        With ``light_energy``.
    resamples : Resamples
    config : EvaluationConfig

    Returns
    -------
    dict
        ``gammas`` (numbers of events with an energy), ``gammas_without``; ``overall``, ``true`` and ``light``
        (energy that is binned) with intervals of ``energy_bias`` and ``energy_resolution``, relative.
    """
    estimate = np.asarray(events.light_energy, dtype=np.float64)
    chosen = events.gamma & np.isfinite(estimate)
    true, estimate, draws = np.asarray(events.energy)[chosen], estimate[chosen], resamples[chosen]
    result: dict[str, Any] = {
        "gammas": int(chosen.sum()),
        "gammas_without": int((events.gamma & ~chosen).sum()),
    }
    if not chosen.any():
        return result
    names = ("energy_bias", "energy_resolution")
    edges = observed_bins(events, config.bins_per_decade).edges
    for by, energy in (("true", true), ("light", estimate)):
        place = np.searchsorted(edges, energy, side="right") - 1
        index = np.where(place < 0, len(edges) - 1, place)
        n = len(edges) - 1
        rows = energy_metrics(draws, estimate, true, index, n + 1)
        flags = few_showers(draws.showers(index, n), config.min_showers)
        counts = np.bincount(index, minlength=n + 1)
        result[by] = {
            name: [
                row.to_dict()
                for row in intervals(rows[name][:n], config.confidence, flags.__getitem__, counts[:n])
            ]
            for name in names
        }
    overall = energy_metrics(draws, estimate, true, np.zeros(len(true), dtype=np.int64), 1)
    result["overall"] = {name: intervals(overall[name], config.confidence)[0].to_dict() for name in names}
    return result
