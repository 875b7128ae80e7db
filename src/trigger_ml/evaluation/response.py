"""How well the gammas that pass the cuts are reconstructed: energy dispersion and point-spread function.

The same definitions as `trigger_ml.evaluation.energy` and `trigger_ml.evaluation.direction`, for the events
of the response: gammas of the point source after the gammaness cut, by true energy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigger_ml.evaluation.direction import ONE_SIGMA
from trigger_ml.evaluation.energy import LOWER, UPPER
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.evaluation.uncertainty import Resamples

__all__ = ["Quality", "response_quality"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Quality:
    """Resampled resolutions and bias.

    Parameters
    ----------
    bins : dict of str to numpy.ndarray of float64, shape (bins, 1 + resamples)
        ``energy_resolution``, ``energy_bias`` (relative), ``angular_resolution`` (degrees); each event
        counts once.
    overall : dict of str to numpy.ndarray of float64, shape (1, 1 + resamples)
        The same over all energies, weighted to the source's spectrum.
    """

    bins: dict[str, FloatArray]
    overall: dict[str, FloatArray]


def response_quality(
    events: EvaluationEvents,
    energy: FloatArray,
    theta: FloatArray,
    kept: NDArray[np.bool_],
    index: NDArray[np.int64],
    n_bins: int,
    counting: Resamples,
    rates: Resamples,
) -> Quality:
    """Resolutions and bias of the gammas kept.

    Parameters
    ----------
    events : EvaluationEvents
    energy : numpy.ndarray of float64, shape (events,)
        Reconstructed, TeV.
    theta : numpy.ndarray of float64, shape (events,)
        Degrees between reconstructed and true direction.
    kept : numpy.ndarray of bool, shape (events,)
    index : numpy.ndarray of int64, shape (events,)
        Bin of true energy.
    n_bins : int
    counting, rates : Resamples
        With weights of one, and with rates.

    Returns
    -------
    Quality
    """
    relative = energy[kept] / np.asarray(events.energy, dtype=np.float64)[kept] - 1.0

    def measured(source: Resamples, place: NDArray[np.int64], n: int) -> dict[str, FloatArray]:
        chosen = source[kept]
        low, median, high = chosen.quantiles(relative, (LOWER, 0.5, UPPER), place, n)
        return {
            "energy_resolution": 0.5 * (high - low),
            "energy_bias": median,
            "angular_resolution": chosen.quantiles(theta[kept], (ONE_SIGMA,), place, n)[0],
        }

    everything = np.zeros(int(kept.sum()), dtype=np.int64)
    return Quality(measured(counting, index[kept], n_bins), measured(rates, everything, 1))
