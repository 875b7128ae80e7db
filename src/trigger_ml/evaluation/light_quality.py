"""How good an energy the light alone gives, measured on the gammas judged."""

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.details import LightQuality
from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.evaluation.energy import energy_metrics
from trigger_ml.evaluation.events import EvaluationEvents, observed_bins
from trigger_ml.evaluation.uncertainty import Resamples, few_showers, intervals

__all__ = ["light_quality"]

FloatArray = NDArray[np.float64]


def light_quality(events: EvaluationEvents, resamples: Resamples, config: EvaluationConfig) -> LightQuality:
    """Bias and resolution of the energy from light, of gammas.

    In bins of the estimate the median bias is what the training gammas' spectrum makes it, near none; in bins
    of true energy a trigger near its threshold keeps the bright ones, whose energy comes out too large.

    Parameters
    ----------
    events : EvaluationEvents
        With ``light_energy``.
    resamples : Resamples
    config : EvaluationConfig
    """
    estimate = np.asarray(events.light_energy, dtype=np.float64)
    chosen = events.gamma & np.isfinite(estimate)
    true, estimate, draws = (
        np.asarray(events.energy, dtype=np.float64)[chosen],
        estimate[chosen],
        resamples[chosen],
    )
    number, without = int(chosen.sum()), int((events.gamma & ~chosen).sum())
    if not number:
        return LightQuality(number, without)
    names = ("energy_bias", "energy_resolution")
    edges = observed_bins(events, config.bins_per_decade).edges
    n = len(edges) - 1

    def binned(energy: FloatArray) -> dict[str, tuple[Estimate, ...]]:
        place = np.searchsorted(edges, energy, side="right") - 1
        index = np.where(place < 0, n, place)
        rows = energy_metrics(draws, estimate, true, index, n + 1)
        flags = few_showers(draws.showers(index, n), config.min_showers)
        counts = np.bincount(index, minlength=n + 1)
        return {
            name: tuple(
                row.estimate()
                for row in intervals(rows[name][:n], config.confidence, flags.__getitem__, counts[:n])
            )
            for name in names
        }

    overall = energy_metrics(draws, estimate, true, np.zeros(len(true), dtype=np.int64), 1)
    return LightQuality(
        number,
        without,
        overall={name: intervals(overall[name], config.confidence)[0].estimate() for name in names},
        true=binned(true),
        light=binned(estimate),
    )
