"""Instrument response and sensitivity of models against a reference, with intervals.

Effective area, weights, cuts and sensitivity follow pyirf; its functions are used wherever they take what
is at hand, and its tables are the oracle of the tests.

A *trigger-level* selection has gammaness and light alone: background and sensitivity are in bins of the
energy that a gamma of equal light has, and the sensitivity assumes an angular resolution. A *reconstructed*
selection has energy and direction of each event too. The effective area is that of gammas, by true energy.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from numpy.typing import NDArray
from pyirf.sensitivity import relative_sensitivity
from pyirf.utils import cone_solid_angle

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.estimates import Pair
from trigger_ml.core.documents.evaluation import Cuts, Response
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation.assumptions import assumptions
from trigger_ml.evaluation.bookkeeping import (
    SPECTRA,
    Ring,
    Simulated,
    event_rates,
    signal_ring,
    true_offset,
)
from trigger_ml.evaluation.degradation import compare
from trigger_ml.evaluation.energy import migration
from trigger_ml.evaluation.events import EnergyBins, EvaluationEvents
from trigger_ml.evaluation.response import response_quality
from trigger_ml.evaluation.selection import Reconstruction, place, select
from trigger_ml.evaluation.uncertainty import Resamples, few_showers

__all__ = ["evaluate_irf"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@contextmanager
def _quiet() -> Iterator[None]:
    """Bins without a solution are flagged by us; pyirf would log each of them in every resample."""
    log = logging.getLogger("pyirf.sensitivity")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


@dataclass(frozen=True, eq=False)
class _Sample:
    """What the responses of all models share: the events, and the showers thrown behind them.

    Parameters
    ----------
    rates, counting : Resamples
        Weighted to 1/s of the source's and the background's spectra, and with weights of one.
    gamma, background : numpy.ndarray of bool, shape (events,)
        Gammas of the point source, and what is counted as background.
    inside, index : numpy.ndarray, shape (events,)
        Whether the true energy is in a bin, and in which.
    thrown : numpy.ndarray of float64, shape (bins, 1)
        Gammas thrown.
    area : float
        Square metres over which they were thrown.
    triggered : numpy.ndarray of int64, shape (bins,)
        Gammas seen.
    hole, reach : float
        Degrees from the pointing between which background is counted.
    """

    events: EvaluationEvents
    bins: EnergyBins
    config: EvaluationConfig
    ring: Ring
    rates: Resamples
    counting: Resamples
    gamma: BoolArray
    background: BoolArray
    inside: BoolArray
    index: IntArray
    thrown: FloatArray
    area: float
    triggered: IntArray
    few_triggered: list[str]
    hole: float
    reach: float
    notes: list[str]


@dataclass(frozen=True, eq=False)
class _Measured:
    """The response of one model.

    Parameters
    ----------
    bins, totals : dict of str to numpy.ndarray of float64, shape (bins or 1, 1 + resamples)
        By figure; ``totals`` over all energies.
    showers : dict of str to numpy.ndarray of int64, shape (bins,)
        That pass, of ``gamma`` and ``background``.
    beyond : numpy.ndarray of bool, shape (bins,)
        Where more triggered than were thrown.
    cuts : Cuts
    """

    bins: dict[str, FloatArray]
    totals: dict[str, FloatArray]
    showers: dict[str, IntArray]
    beyond: BoolArray
    cuts: Cuts


def _sample(
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    simulations: Mapping[str, Simulated],
    config: EvaluationConfig,
) -> _Sample:
    irf, n = config.irf, len(bins)
    if "gamma" not in simulations:
        event_rates(events, simulations)  # says what is missing
    ring = signal_ring(events, simulations["gamma"], irf.signal_offset)
    rate, masks, notes = event_rates(events, simulations, ring)
    background = masks["proton"] | masks["electron"]
    gamma = masks["gamma"] & ring.inside
    # background is counted by its place in the field of view
    true_offset(events, background)
    thrown = simulations["gamma"].to_pyirf()
    n_thrown = np.asarray(thrown.calculate_n_showers_per_energy(bins.edges * u.TeV))[:, None] * ring.share
    thrown_around = [simulations[p] for p in ("proton", "electron") if masks[p].any()]
    reach = min([irf.max_offset, *(particle.view_cone for particle in thrown_around)])
    hole = max([0.0, *(particle.view_cone_min for particle in thrown_around)])
    if hole >= reach:
        raise InputError(
            "evaluation.irf.max_offset",
            f"is {irf.max_offset:g} degrees, background was thrown from {hole:g} degrees on",
            "Choose a larger one",
        )
    index, inside = place(np.asarray(events.energy, dtype=np.float64), bins.edges)
    seen = gamma & inside
    return _Sample(
        events=events,
        bins=bins,
        config=config,
        ring=ring,
        rates=replace(resamples, weight=rate),
        counting=replace(resamples, weight=np.ones(len(events))),
        gamma=gamma,
        background=background,
        inside=inside,
        index=index,
        thrown=n_thrown,
        area=np.pi * simulations["gamma"].max_impact ** 2,
        triggered=np.bincount(index[seen], minlength=n),
        few_triggered=few_showers(resamples[seen].showers(index[seen], n), config.min_showers, "gamma"),
        hole=hole,
        reach=reach,
        notes=notes,
    )


def _measure(sample: _Sample, score: FloatArray, reconstruction: Reconstruction | None) -> _Measured:
    """The response of one model."""
    events, bins, config, irf = sample.events, sample.bins, sample.config, sample.config.irf
    n, seconds = len(bins), sample.config.irf.observation_hours * 3600.0
    rates, gamma = sample.rates, sample.gamma
    crab = SPECTRA["gamma"][0](bins.centers * u.TeV).to_value("TeV-1 cm-2 s-1")[:, None]
    # where no background was thrown, none is known
    field_of_view = cone_solid_angle(sample.reach * u.deg) - cone_solid_angle(sample.hole * u.deg)

    def summed(source: Resamples, mask: BoolArray, index: IntArray) -> FloatArray:
        ones = np.ones((int(mask.sum()), 1))
        total: FloatArray = source[mask].sums(ones, index[mask], n)[0]
        return total

    chosen = select(events, score, bins, config, reconstruction, sample.ring.inside)
    index, inside = place(chosen.energy, bins.edges)
    selected = summed(sample.counting, gamma & chosen.on & sample.inside, sample.index)
    # no event at all tells nothing of how small the area is
    known = (sample.thrown > 0) & (sample.triggered[:, None] > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(known, selected / sample.thrown, np.nan)
    in_view = sample.background & chosen.passes & (chosen.offset < sample.reach)
    in_view &= chosen.offset >= sample.hole
    source = gamma & chosen.on
    totals = {
        "background_rate": rates[in_view].sums(*_everything(in_view))[0],
        "signal_rate": rates[source].sums(*_everything(source))[0],
    }
    in_view, source = in_view & inside, source & inside
    background_rate = summed(rates, in_view, index)
    showers = {
        "background": sample.counting[in_view].showers(index[in_view], n),
        "gamma": sample.counting[source].showers(index[source], n),
    }
    signal = summed(rates, source, index) * seconds
    if reconstruction is None:
        signal = signal * irf.theta_containment
    ratio = (cone_solid_angle(chosen.theta_cut * u.deg) / field_of_view).to_value(u.one)[:, None]
    off = background_rate * seconds * ratio / irf.alpha
    with _quiet(), np.errstate(invalid="ignore", divide="ignore"):
        needed = relative_sensitivity(n_on=signal + irf.alpha * off, n_off=off, alpha=irf.alpha)
    # nor does a simulation without background events show that there is none
    needed = np.where(np.isfinite(needed) & (signal > 0) & (background_rate > 0), needed, np.nan)
    found = {
        "effective_area": np.minimum(share, 1.0) * sample.area,
        # no event is no measurement of zero
        "background_rate": np.where(showers["background"][:, None] > 0, background_rate, np.nan),
        "sensitivity": needed * crab * bins.centers[:, None] ** 2,
    }
    cuts = Cuts(tuple(chosen.score_cut.tolist()), tuple(chosen.theta_cut.tolist()))
    if reconstruction is not None:
        kept = gamma & chosen.passes & sample.inside
        quality = response_quality(
            events, chosen.energy, chosen.theta, kept, sample.index, n, sample.counting, rates
        )
        found |= quality.bins
        totals |= quality.overall
        cells = migration(np.asarray(events.energy, dtype=np.float64)[kept], chosen.energy[kept], bins.edges)
        cuts = replace(cuts, migration=cells)
    # few showers used often, where fewer were thrown than expected, can trigger more than once each
    return _Measured(found, totals, showers, share[:, 0] > 1.0 + 1e-9, cuts)


def _pair(sample: _Sample, reference: _Measured, model: _Measured) -> Pair:
    """A model's response against the reference's, in the bins that both fill."""
    config = sample.config
    few = {
        key: few_showers(np.minimum(count, model.showers[key]), config.min_showers, key)
        for key, count in reference.showers.items()
    }
    capped = ["capped at the area thrown" if x else "" for x in reference.beyond | model.beyond]
    flags = dict.fromkeys(reference.bins, sample.few_triggered) | {
        "effective_area": _joined(sample.few_triggered, capped),
        "background_rate": few["background"],
        "sensitivity": _joined(few["gamma"], few["background"]),
    }
    both = (reference.bins["sensitivity"], model.bins["sensitivity"])
    defined = np.isfinite(both).all(axis=(0, 2))
    trusted = defined & np.array([not flag for flag in flags["sensitivity"]])
    means = [
        {**part.totals, "mean_sensitivity": _geometric_mean(part.bins["sensitivity"][trusted])}
        for part in (reference, model)
    ]
    return Pair(
        metrics={
            name: compare(name, values, means[1][name], config.confidence)[0]
            for name, values in means[0].items()
        },
        bins={
            name: tuple(
                compare(name, values, model.bins[name], config.confidence, flags[name], sample.triggered)
            )
            for name, values in reference.bins.items()
        },
    )


def evaluate_irf(
    scores: Mapping[str, FloatArray],
    reference: str,
    events: EvaluationEvents,
    bins: EnergyBins,
    resamples: Resamples,
    simulations: Mapping[str, Simulated],
    config: EvaluationConfig,
    reconstructions: Mapping[str, Reconstruction] | None = None,
) -> Response:
    """Effective area, background rate and sensitivity of models, compared with a reference bin by bin.

    Parameters
    ----------
    scores : mapping of str to numpy.ndarray of float64, shape (events,)
        Logits, by model.
    reference : str
        One of the models.
    events : EvaluationEvents
    bins : EnergyBins
        Their edges serve the true energy of gammas and the estimated energy of all particles.
    resamples : Resamples
    simulations : mapping of str to Simulated
    config : EvaluationConfig
    reconstructions : mapping of str to Reconstruction, optional
        Of every model. Without it the selection is at trigger level.

    Returns
    -------
    Response

    Raises
    ------
    InputError
        If the simulation's bookkeeping is missing or unusable.
    """
    sample = _sample(events, bins, resamples, simulations, config)
    measured = {
        name: _measure(sample, score, None if reconstructions is None else reconstructions[name])
        for name, score in scores.items()
    }
    level, energy = "trigger", "true" if events.light_energy is None else "light"
    if reconstructions is not None:
        level = energy = "reconstructed"
    return Response(
        level=level,
        energy=energy,
        notes=(*sample.notes, *assumptions(level, energy, config, sample.reach)),
        observation_hours=config.irf.observation_hours,
        comparisons={
            name: _pair(sample, measured[reference], found)
            for name, found in measured.items()
            if name != reference
        },
        models={name: found.cuts for name, found in measured.items()},
    )


def _joined(*columns: list[str]) -> list[str]:
    """Flags of several kinds, row by row."""
    return [", ".join(filter(None, row)) for row in zip(*columns, strict=True)]


def _everything(mask: BoolArray) -> tuple[FloatArray, NDArray[np.int64], int]:
    """Arguments of `Resamples.sums` for one sum over the events of a mask."""
    n = int(mask.sum())
    return np.ones((n, 1)), np.zeros(n, dtype=np.int64), 1


def _geometric_mean(rows: FloatArray) -> FloatArray:
    """Over bins, shape (1, 1 + resamples); undefined where there is no bin or one of them is undefined."""
    if not len(rows):
        return np.full((1, rows.shape[1]), np.nan)
    return np.asarray(np.exp(np.log(rows).mean(axis=0, keepdims=True)))
