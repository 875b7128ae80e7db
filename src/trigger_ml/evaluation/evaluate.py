"""Evaluate any number of models on the same events, against one of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.details import Details
from trigger_ml.core.documents.estimates import Pair, Quantity
from trigger_ml.core.documents.evaluation import Bins, Evaluation, EventCounts, Response, Settings
from trigger_ml.core.errors import InputError
from trigger_ml.core.task import Task
from trigger_ml.evaluation.bookkeeping import Simulated
from trigger_ml.evaluation.energy import energy_of
from trigger_ml.evaluation.events import (
    BINNED_BY,
    EnergyBins,
    EvaluationEvents,
    energy_bins,
    observed_bins,
    usable,
)
from trigger_ml.evaluation.irf import evaluate_irf
from trigger_ml.evaluation.particle_type import evaluate_type, type_details
from trigger_ml.evaluation.quantities import QUANTITIES
from trigger_ml.evaluation.regression import evaluate_regression, regression_details
from trigger_ml.evaluation.selection import Reconstruction
from trigger_ml.evaluation.uncertainty import Resamples, resample_showers

__all__ = ["evaluate"]

type FloatArray = NDArray[np.float64]
type ByModel = Mapping[str, FloatArray]


def evaluate(
    outputs: Mapping[str, ArrayLike],
    reference: str,
    events: EvaluationEvents,
    config: EvaluationConfig,
    seed: int,
    task: Task = "type",
    *,
    further: Sequence[str] = (),
    detailed: Collection[str] | None = None,
    simulations: Mapping[str, Simulated] | None = None,
    reconstructions: Mapping[str, Reconstruction] | None = None,
) -> Evaluation:
    """Compare models with a reference, paired, with bootstrap intervals.

    Parameters
    ----------
    outputs : mapping of str to array_like of float, shape (events,) or (events, outputs)
        By model. ``type``: logits, gamma positive. ``energy``: log10 of the energy in TeV. ``direction``:
        camera offsets in degrees, shape (events, 2) (see `trigger_ml.evaluation.direction.camera_offsets`).
        An event that one of the models cannot judge is left out for all.
    reference : str
        The model that all others are compared with, over all events and in energy bins.
    events : EvaluationEvents
    config : EvaluationConfig
    seed : int
        Of the bootstrap: equal ones give equal resamples, however many models there are.
    task : str
    further : sequence of str, optional
        Models with which all others are compared too, over all events alone.
    detailed : collection of str, optional
        Models beside the reference whose curves, distributions and response are kept; default all.
    simulations : mapping of str to Simulated, optional
        By particle: how many showers were thrown. With it, a ``type`` evaluation gives effective area,
        background rate and sensitivity.
    reconstructions : mapping of str to Reconstruction, optional
        By model: energies and directions that models of the other tasks gave to the same events; without it
        the instrument response is at trigger level.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        If the events or predictions cannot be compared (see `trigger_ml.evaluation.events.usable`), the
        reference is not among the models, or the task needs a class that has no events.
    """
    _require_known(outputs, reference, (*further, *(detailed or ()), *(reconstructions or ())))
    shown = [name for name in outputs if name == reference or detailed is None or name in detailed]
    given = list(outputs.values())
    if reconstructions is not None:
        given[0] = _without_unreconstructed(given[0], reconstructions)
    keep, dropped, stacked = usable(events, *given)
    everything, answers = events[keep], dict(zip(outputs, stacked[:, keep], strict=True))
    kept, rows = _judged(task, everything, dropped)
    chosen = None
    if reconstructions is not None:
        chosen = {name: found[keep] for name, found in reconstructions.items()}
    mine = {name: answer[rows] for name, answer in answers.items()}
    if task == "type":
        estimated = None if chosen is None else chosen[reference].energy
        bins = observed_bins(kept, config.bins_per_decade, estimated)
    else:
        bins = energy_bins(np.asarray(kept.energy, dtype=np.float64), config.bins_per_decade)
    resamples = resample_showers(kept.shower_id, kept.label, config.bootstrap, seed, kept.weight)
    flags = [f"{count} events left out: {reason}" for reason, count in dropped.items()]
    if bins.by == "true" and task == "type":
        flags.append("particles are binned by their true energy, as no light or estimated energy was given")
    if task == "type":
        logits = _logits(mine)
        comparisons = evaluate_type(logits, reference, further, kept, bins, resamples, config)
        of_shown = {name: logits[name] for name in shown}
        details = type_details(of_shown, reference, kept, bins, resamples, config)
        irf = _response(of_shown, reference, kept, bins, resamples, simulations, config, chosen)
    else:
        comparisons = evaluate_regression(task, mine, reference, further, kept, bins, resamples, config)
        of_task = {name: mine[name] for name in shown}
        details, more = regression_details(task, of_task, kept, bins, resamples, config)
        flags += more
        details = _by_class(task, details, everything, {name: answers[name] for name in shown}, bins)
        irf = Response(reason=f"this run reconstructs the {task}, the response needs the particle type")
    return Evaluation(
        task=task,
        reference=reference,
        events=_counts(events, kept, dropped, bins, resamples),
        settings=Settings(
            bootstrap=config.bootstrap,
            confidence=config.confidence,
            seed=seed,
            gamma_efficiency=config.gamma_efficiency,
            fixed_threshold=config.fixed_threshold,
            min_showers=config.min_showers,
        ),
        energy_bins=Bins(tuple(bins.edges.tolist()), bins.by, BINNED_BY[bins.by].format(reference=reference)),
        quantities=_quantities([*comparisons[reference].values(), *irf.comparisons.values()]),
        comparisons=comparisons,
        details=details,
        irf=irf,
        flags=(*flags, *_flagged(comparisons[reference])),
    )


def _require_known(outputs: Mapping[str, ArrayLike], reference: str, named: Collection[str]) -> None:
    for name in (reference, *named):
        if name not in outputs:
            known = ", ".join(outputs) or "none"
            raise InputError(f"model {name}", f"is not among those to evaluate ({known})", "Name one of them")
    if len(outputs) < 2:
        raise InputError("models to evaluate", f"there is only {reference}", "Give one to compare with it")


def _without_unreconstructed(output: ArrayLike, reconstructions: Mapping[str, Reconstruction]) -> FloatArray:
    """Outputs with NaN where an energy or a direction is missing, so that such events are left out."""
    result = np.array(output, dtype=np.float64)
    for part in reconstructions.values():
        result[~np.isfinite([part.energy, part.alt, part.az]).all(axis=0)] = np.nan
    return result


def _judged(
    task: str, events: EvaluationEvents, dropped: dict[str, int]
) -> tuple[EvaluationEvents, NDArray[np.bool_]]:
    """The events that the task is judged on, and which they are; others are added to those left out."""
    gamma = events.gamma
    if task == "type":
        for name, mask in (("gammas", gamma), ("hadrons", ~gamma)):
            if not (mask & (events.weights > 0)).any():
                raise InputError("events to evaluate", f"no {name} among them", "Use events of both classes")
        return events, np.ones(len(events), dtype=bool)
    if not gamma.any():
        raise InputError("events to evaluate", "no gammas among them", "Reconstruction needs gammas")
    if not gamma.all():
        dropped["hadron (reconstruction is judged on gammas)"] = int((~gamma).sum())
    return events[gamma], gamma


def _logits(outputs: ByModel) -> dict[str, FloatArray]:
    for output in outputs.values():
        if output.shape[1] != 1:
            raise InputError("predictions", f"{output.shape[1]} outputs", "Give one logit per event")
    return {name: output[:, 0] for name, output in outputs.items()}


def _counts(
    given: EvaluationEvents,
    kept: EvaluationEvents,
    dropped: Mapping[str, int],
    bins: EnergyBins,
    resamples: Resamples,
) -> EventCounts:
    return EventCounts(
        given=len(given),
        used=len(kept),
        gamma=int(kept.gamma.sum()),
        hadron=int((~kept.gamma).sum()),
        showers=int(resamples.counts.shape[0]),
        dropped=dropped,
        weighted=kept.weight is not None,
        outside_bins=int((bins.index == len(bins)).sum()),
    )


def _response(
    logits: ByModel,
    reference: str,
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    simulations: Mapping[str, Simulated] | None,
    config: EvaluationConfig,
    reconstructions: Mapping[str, Reconstruction] | None,
) -> Response:
    if simulations is None:
        return Response(reason="the showers thrown are not known (no simulation bookkeeping was given)")
    try:
        return evaluate_irf(logits, reference, events, bins, resamples, simulations, config, reconstructions)
    except InputError as error:
        return Response(reason=f"{error.what}: {error.why}")
    except (ArithmeticError, LookupError, ValueError) as error:
        # of the libraries: what was thrown is no such simulation as they can weight
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        return Response(reason=f"no response follows from these simulations ({why})")


def _by_class(
    task: str, details: Details, events: EvaluationEvents, outputs: ByModel, bins: EnergyBins
) -> Details:
    """With energies of all test events by class, true and reconstructed; regressors are judged on gammas."""
    classes = {"gamma": events.gamma, "hadron": ~events.gamma}

    def counts(energy: FloatArray) -> dict[str, tuple[int, ...]]:
        return {
            name: tuple(np.histogram(energy[mask], bins.edges)[0].astype(int).tolist())
            for name, mask in classes.items()
        }

    true = counts(np.asarray(events.energy, dtype=np.float64))
    if task != "energy":
        return replace(details, energy_distribution=true)
    found = {name: counts(energy_of(output[:, 0])) for name, output in outputs.items()}
    return replace(details, energy_distribution=true, reconstructed_distribution=found)


def _quantities(found: Sequence[Pair]) -> dict[str, Quantity]:
    names = dict.fromkeys(name for pair in found for name in (*pair.metrics, *pair.bins))
    return {name: QUANTITIES[name] for name in names}


def _flagged(found: Mapping[str, Pair]) -> list[str]:
    """One flag for all that energy bins of the reference have."""
    rows = [row for pair in found.values() for rows in pair.bins.values() for row in rows]
    flagged = sorted({row.reference.flag for row in rows} - {""})
    if not flagged:
        return []
    return [f"some energy bins are flagged: {flagged[0]}" + (" and others" if flagged[1:] else "")]
