"""The regression tasks: models against a reference, judged on gammas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.details import Details, ModelDetails
from trigger_ml.core.documents.estimates import Pair
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation import direction as sky
from trigger_ml.evaluation.degradation import Rows, pairs
from trigger_ml.evaluation.energy import LARGEST_LOG10, energy_details, energy_metrics, energy_of
from trigger_ml.evaluation.events import EnergyBins, EvaluationEvents
from trigger_ml.evaluation.uncertainty import Resamples, few_showers

__all__ = ["evaluate_regression", "regression_details"]

FloatArray = NDArray[np.float64]
OUTPUTS = {"energy": 1, "direction": 2}
# from this altitude on, azimuth errors grow without bound for a fixed separation
NEAR_ZENITH = np.deg2rad(85.0)


def evaluate_regression(
    task: str,
    outputs: Mapping[str, FloatArray],
    reference: str,
    further: Sequence[str],
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
) -> dict[str, dict[str, Pair]]:
    """Figures of merit of ``energy`` or ``direction`` models.

    Parameters
    ----------
    task : {"energy", "direction"}
    outputs : mapping of str to numpy.ndarray of float64, shape (events, outputs)
        By model: log10 of the energy in TeV, or camera offsets in degrees.
    reference : str
        All models are compared with it, over all events and in energy bins.
    further : sequence of str
        Models with which all others are compared too, over all events.
    events : EvaluationEvents
        Gammas.
    bins : EnergyBins
    resamples : Resamples
    config : EvaluationConfig

    Returns
    -------
    dict of str to dict of str to Pair
        By reference, then by model.

    Raises
    ------
    InputError
        If the number of outputs is not the task's, or directions are missing.
    """
    for output in outputs.values():
        if output.shape[1] != OUTPUTS[task]:
            why = f"{output.shape[1]} outputs for task {task}"
            raise InputError("predictions", why, f"Give {OUTPUTS[task]} per event")
    everything = np.zeros(len(events), dtype=np.int64)
    counts = np.bincount(bins.index, minlength=len(bins))
    flags = few_showers(resamples.showers(bins.index, len(bins)), config.min_showers)
    measure = _energy_rows if task == "energy" else _direction_rows
    overall = {name: measure(output, events, everything, 1, resamples) for name, output in outputs.items()}
    # the variance inside a bin is the bin's width: R² says nothing there
    per_bin: dict[str, Rows] = {
        model: {name: values for name, values in rows.items() if name != "r2"}
        for model, rows in (
            (name, measure(output, events, bins.index, len(bins), resamples))
            for name, output in outputs.items()
        )
    }
    result = {reference: pairs(overall, reference, config.confidence, per_bin, flags, counts)}
    return result | {name: pairs(overall, name, config.confidence) for name in further}


def _energy_rows(
    output: FloatArray,
    events: EvaluationEvents,
    index: NDArray[np.int64],
    n_bins: int,
    resamples: Resamples,
) -> Rows:
    true = np.asarray(events.energy, dtype=np.float64)
    return energy_metrics(resamples, energy_of(output[:, 0]), true, index, n_bins)


@dataclass(frozen=True, eq=False)
class _Directions:
    """True direction and pointing in radians."""

    alt: FloatArray
    az: FloatArray
    pointing_alt: FloatArray
    pointing_az: FloatArray


def _directions(events: EvaluationEvents) -> _Directions:
    needed = (events.alt, events.az, events.pointing_alt, events.pointing_az)
    if any(column is None for column in needed):
        raise InputError(
            "events to evaluate", "true direction or pointing missing", "Use events with simulation truth"
        )
    return _Directions(*(np.asarray(column, dtype=np.float64) for column in needed))


def _direction_rows(
    output: FloatArray,
    events: EvaluationEvents,
    index: NDArray[np.int64],
    n_bins: int,
    resamples: Resamples,
) -> Rows:
    true = _directions(events)
    reco = sky.sky_direction(output, true.pointing_alt, true.pointing_az)
    return sky.direction_metrics(resamples, *reco, true.alt, true.az, index, n_bins)


def regression_details(
    task: str,
    outputs: Mapping[str, FloatArray],
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
) -> tuple[Details, list[str]]:
    """Distributions of ``energy`` or ``direction`` models, on common axes, and what a reader must know.

    Parameters
    ----------
    task : {"energy", "direction"}
    outputs : mapping of str to numpy.ndarray of float64, shape (events, outputs)
        By model.
    events : EvaluationEvents
        Gammas.
    bins : EnergyBins
    resamples : Resamples
    config : EvaluationConfig

    Returns
    -------
    details : Details
    flags : list of str
    """
    if task == "direction":
        return _direction_details(outputs, events, resamples, config)
    true = np.asarray(events.energy, dtype=np.float64)
    models = {
        name: energy_details(
            resamples, energy_of(output[:, 0]), true, bins, config.confidence, config.min_showers
        )
        for name, output in outputs.items()
    }
    clipped = int(
        (np.abs(np.stack([output[:, 0] for output in outputs.values()])) > LARGEST_LOG10).any(axis=0).sum()
    )
    flags = [f"{clipped} energies beyond 10^±12 TeV clipped"] if clipped else []
    return Details(models=models), flags


def _direction_details(
    outputs: Mapping[str, FloatArray],
    events: EvaluationEvents,
    resamples: Resamples,
    config: EvaluationConfig,
) -> tuple[Details, list[str]]:
    true = _directions(events)
    angles = {
        name: sky.separation(
            *sky.sky_direction(output, true.pointing_alt, true.pointing_az), true.alt, true.az
        )
        for name, output in outputs.items()
    }
    true_offsets = sky.camera_offsets(true.alt, true.az, true.pointing_alt, true.pointing_az)
    limit = float(max(np.quantile(np.concatenate(list(angles.values())), 0.98), 1e-3))
    widest = np.quantile(np.abs(np.stack(list(outputs.values()))), 0.99)
    field = float(max(1.15 * np.abs(true_offsets).max(), widest, 0.1))
    models = {
        name: ModelDetails(
            containment=sky.containment(resamples, angle, limit, config.confidence),
            density=sky.density(outputs[name], field),
        )
        for name, angle in angles.items()
    }
    flags = []
    if (true.alt > NEAR_ZENITH).any():
        flags.append(
            "some events are within 5 degrees of the zenith, where azimuth errors grow without bound: "
            "read the separations"
        )
    return Details(models=models, true_density=sky.density(true_offsets, field)), flags
