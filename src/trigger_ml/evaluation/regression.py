"""The regression tasks, float against compressed, judged on gammas."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation import direction as sky
from trigger_ml.evaluation.degradation import Comparison, compare
from trigger_ml.evaluation.energy import LARGEST_LOG10, energy_details, energy_metrics, energy_of
from trigger_ml.evaluation.events import EnergyBins, EvaluationEvents
from trigger_ml.evaluation.uncertainty import Resamples, few_showers

__all__ = ["evaluate_regression"]

FloatArray = NDArray[np.float64]
Metrics = dict[str, FloatArray]
MODELS = ("float", "compressed")
# from this altitude on, azimuth errors grow without bound for a fixed separation
NEAR_ZENITH = np.deg2rad(85.0)


def evaluate_regression(
    task: str,
    predictions: FloatArray,
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    config: EvaluationConfig,
) -> tuple[dict[str, Comparison], dict[str, tuple[Comparison, ...]], dict[str, Any], list[str]]:
    """Figures of merit of an ``energy`` or ``direction`` model pair.

    Parameters
    ----------
    task : {"energy", "direction"}
    predictions : numpy.ndarray of float64, shape (2, events, outputs)
        Float first. log10 of the energy in TeV, or camera offsets in degrees.
    events : EvaluationEvents
        Gammas.
    bins : EnergyBins
    resamples : Resamples
    config : EvaluationConfig

    Returns
    -------
    metrics, binned, details, flags
        As `trigger_ml.evaluation.evaluate.Evaluation` holds them.

    Raises
    ------
    InputError
        If the number of outputs is not the task's, or directions are missing.
    """
    outputs = {"energy": 1, "direction": 2}[task]
    if predictions.shape[2] != outputs:
        raise InputError(
            "predictions", f"{predictions.shape[2]} outputs for task {task}", f"Give {outputs} per event"
        )
    everything = np.zeros(len(events), dtype=np.int64)
    counts = np.bincount(bins.index, minlength=len(bins))
    flags = few_showers(resamples.showers(bins.index, len(bins)), config.min_showers)
    measure = _energy if task == "energy" else _direction
    overall, per_bin, details, notes = measure(predictions, events, bins, everything, resamples, config)
    metrics = {
        name: compare(name, overall[0][name], overall[1][name], config.confidence)[0] for name in overall[0]
    }
    binned = {
        name: tuple(compare(name, per_bin[0][name], per_bin[1][name], config.confidence, flags, counts))
        # the variance inside a bin is the bin's width: R² says nothing there
        for name in per_bin[0]
        if name != "r2"
    }
    return metrics, binned, details, notes


def _energy(
    predictions: FloatArray,
    events: EvaluationEvents,
    bins: EnergyBins,
    everything: NDArray[np.int64],
    resamples: Resamples,
    config: EvaluationConfig,
) -> tuple[list[Metrics], list[Metrics], dict[str, Any], list[str]]:
    true = np.asarray(events.energy, dtype=np.float64)
    reco = energy_of(predictions[..., 0])
    overall = [energy_metrics(resamples, r, true, everything, 1) for r in reco]
    per_bin = [energy_metrics(resamples, r, true, bins.index, len(bins)) for r in reco]
    details = {
        "models": {
            name: energy_details(resamples, r, true, bins, config.confidence, config.min_showers)
            for name, r in zip(MODELS, reco, strict=True)
        }
    }
    clipped = int((np.abs(predictions[..., 0]) > LARGEST_LOG10).any(axis=0).sum())
    return overall, per_bin, details, [f"{clipped} energies beyond 10^±12 TeV clipped"] if clipped else []


def _direction(
    predictions: FloatArray,
    events: EvaluationEvents,
    bins: EnergyBins,
    everything: NDArray[np.int64],
    resamples: Resamples,
    config: EvaluationConfig,
) -> tuple[list[Metrics], list[Metrics], dict[str, Any], list[str]]:
    needed = (events.alt, events.az, events.pointing_alt, events.pointing_az)
    if any(column is None for column in needed):
        raise InputError(
            "events to evaluate", "true direction or pointing missing", "Use events with simulation truth"
        )
    alt, az, alt0, az0 = (np.asarray(column, dtype=np.float64) for column in needed)
    reco = [sky.sky_direction(offsets, alt0, az0) for offsets in predictions]
    overall = [sky.direction_metrics(resamples, *r, alt, az, everything, 1) for r in reco]
    per_bin = [sky.direction_metrics(resamples, *r, alt, az, bins.index, len(bins)) for r in reco]
    angles = [sky.separation(*r, alt, az) for r in reco]
    true_offsets = sky.camera_offsets(alt, az, alt0, az0)
    limit = float(max(np.quantile(np.concatenate(angles), 0.98), 1e-3))
    field = float(max(1.15 * np.abs(true_offsets).max(), np.quantile(np.abs(predictions), 0.99), 0.1))
    details = {
        "models": {
            name: {
                "containment": sky.containment(resamples, angle, limit, config.confidence),
                "density": sky.density(offsets, field),
            }
            for name, angle, offsets in zip(MODELS, angles, predictions, strict=True)
        },
        "true_density": sky.density(true_offsets, field),
    }
    notes = []
    if (alt > NEAR_ZENITH).any():
        notes.append(
            "some events are within 5 degrees of the zenith, where azimuth errors grow without bound: "
            "read the separations"
        )
    return overall, per_bin, details, notes
