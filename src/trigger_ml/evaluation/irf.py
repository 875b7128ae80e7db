"""Instrument response and sensitivity of both models, with intervals.

Effective area, weights, cuts and sensitivity follow pyirf; its functions are used wherever they take what
is at hand, and its tables are the oracle of the tests. Cuts are part of the instrument's definition: they
are set on the sample and held fixed in the resamples.

A *trigger-level* selection has gammaness and light alone: background and sensitivity are in bins of the
energy that a gamma of equal light has, and the sensitivity assumes an angular resolution. A *reconstructed*
selection has energy and direction of each event too. The effective area is that of gammas, by true energy.
"""

import logging
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray
from pyirf.cuts import calculate_percentile_cut, evaluate_binned_cut
from pyirf.sensitivity import relative_sensitivity
from pyirf.utils import cone_solid_angle

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation.assumptions import assumptions
from trigger_ml.evaluation.bookkeeping import SPECTRA, Simulated, event_rates, signal_ring, true_offset
from trigger_ml.evaluation.degradation import compare
from trigger_ml.evaluation.direction import separation
from trigger_ml.evaluation.energy import migration
from trigger_ml.evaluation.events import EnergyBins, EvaluationEvents
from trigger_ml.evaluation.response import response_quality
from trigger_ml.evaluation.uncertainty import Resamples, few_showers

__all__ = ["Reconstruction", "Selection", "evaluate_irf", "select"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What other models say of the events.

    Parameters
    ----------
    energy : numpy.ndarray of float64, shape (events,)
        TeV.
    alt, az : numpy.ndarray of float64, shape (events,)
        Radians.
    """

    energy: FloatArray
    alt: FloatArray
    az: FloatArray

    def __getitem__(self, rows: Any) -> "Reconstruction":
        """Rows chosen by a slice, a mask or an index array."""
        return Reconstruction(self.energy[rows], self.alt[rows], self.az[rows])


@dataclass(frozen=True, eq=False)
class Selection:
    """Events that pass the cuts.

    Parameters
    ----------
    passes : numpy.ndarray of bool, shape (events,)
        Gammaness at least its energy bin's cut.
    on : numpy.ndarray of bool, shape (events,)
        And within the on-region around the true source (all, at trigger level).
    energy : numpy.ndarray of float64, shape (events,)
        TeV: reconstructed, or from light at trigger level (NaN without light).
    theta : numpy.ndarray of float64, shape (events,)
        Degrees between reconstructed and true direction; NaN at trigger level.
    offset : numpy.ndarray of float64, shape (events,)
        Degrees from the pointing: reconstructed, or true at trigger level.
    score_cut : numpy.ndarray of float64, shape (bins,)
        Logit.
    theta_cut : numpy.ndarray of float64, shape (bins,)
        Degrees.
    """

    passes: BoolArray
    on: BoolArray
    energy: FloatArray
    theta: FloatArray
    offset: FloatArray
    score_cut: FloatArray
    theta_cut: FloatArray


def _offset(alt: Any, az: Any, events: EvaluationEvents) -> FloatArray:
    """Degrees from the pointing; NaN where one of them is not known."""
    if any(x is None for x in (alt, az, events.pointing_alt, events.pointing_az)):
        return np.full(len(events), np.nan)
    return separation(alt, az, events.pointing_alt, events.pointing_az)  # type: ignore[arg-type]


def _estimated(events: EvaluationEvents, reconstruction: Reconstruction | None) -> FloatArray:
    """The energy that an observer has; the true one where events come without light."""
    if reconstruction is not None:
        return np.asarray(reconstruction.energy, dtype=np.float64)
    known = events.energy if events.light_energy is None else events.light_energy
    return np.asarray(known, dtype=np.float64)


def _few(
    events: EvaluationEvents,
    mask: BoolArray,
    index: NDArray[np.int64],
    n_bins: int,
    config: EvaluationConfig,
) -> BoolArray:
    """Bins with too few showers."""
    pairs = np.unique(np.stack([index[mask], np.asarray(events.shower_id)[mask]]), axis=1)
    inside = (pairs[0] >= 0) & (pairs[0] < n_bins)
    return np.bincount(pairs[0][inside], minlength=n_bins) < config.min_showers


def select(
    events: EvaluationEvents,
    score: FloatArray,
    bins: EnergyBins,
    config: EvaluationConfig,
    reconstruction: Reconstruction | None = None,
    source: BoolArray | None = None,
) -> Selection:
    """Cut on gammaness in each energy bin, and on the angle to the source where it is known.

    The gammaness cut keeps its fraction of *all* gammas of the bin, which diffuse gammas have many of; the
    angle is cut on those that stand for the point source.

    Parameters
    ----------
    events : EvaluationEvents
    score : numpy.ndarray of float64, shape (events,)
        Logit.
    bins : EnergyBins
    config : EvaluationConfig
    reconstruction : Reconstruction, optional
    source : numpy.ndarray of bool, shape (events,), optional
        Events at the offsets of the point source (see `trigger_ml.evaluation.bookkeeping.signal_ring`);
        default all.

    Returns
    -------
    Selection
    """
    gamma, irf = events.gamma, config.irf
    energy = _estimated(events, reconstruction)
    edges = bins.edges * u.TeV
    index = _place(energy, bins.edges)[0]
    overall = float(np.quantile(score[gamma], 1 - config.gamma_efficiency, method="inverted_cdf"))
    gh = calculate_percentile_cut(
        score[gamma],
        energy[gamma] * u.TeV,
        bins=edges,
        fill_value=overall,
        percentile=100 * (1 - config.gamma_efficiency),
        min_events=config.min_events,
    )
    # many uses of few showers set no cut of their own
    gh["cut"][_few(events, gamma, index, len(bins), config)] = overall
    passes = np.asarray(evaluate_binned_cut(score, energy * u.TeV, gh, operator.ge))
    # a trigger answers to events without a cleaned image too; they have no energy
    passes |= ~np.isfinite(energy) & (score >= overall)
    if reconstruction is None:
        theta = np.full(len(events), np.nan)
        theta_cut = np.full(len(bins), irf.assumed_resolution)
        offset = _offset(events.alt, events.az, events)
        return Selection(passes, passes, energy, theta, offset, np.asarray(gh["cut"]), theta_cut)
    theta = separation(reconstruction.alt, reconstruction.az, events.alt, events.az)  # type: ignore[arg-type]
    kept = gamma & passes if source is None else gamma & passes & source
    # a bin with too few gammas has the cut of all energies, as for gammaness
    usual = irf.assumed_resolution
    if kept.any():
        usual = float(np.quantile(theta[kept], irf.theta_containment))
    on_cut = calculate_percentile_cut(
        theta[kept] * u.deg,
        energy[kept] * u.TeV,
        bins=edges,
        fill_value=usual * u.deg,
        percentile=100 * irf.theta_containment,
        min_events=config.min_events,
    )
    on_cut["cut"][_few(events, kept, index, len(bins), config)] = usual * u.deg
    inside = np.asarray(evaluate_binned_cut(theta * u.deg, energy * u.TeV, on_cut, operator.le))
    return Selection(
        passes,
        passes & inside,
        energy,
        theta,
        _offset(reconstruction.alt, reconstruction.az, events),
        np.asarray(gh["cut"]),
        on_cut["cut"].to_value(u.deg),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Bins without a solution are flagged by us; pyirf would log each of them in every resample."""
    log = logging.getLogger("pyirf.sensitivity")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _place(energy: FloatArray, edges: FloatArray) -> tuple[NDArray[np.int64], BoolArray]:
    index = np.searchsorted(edges, energy, side="right") - 1
    return index.astype(np.int64), (index >= 0) & (index < len(edges) - 1)


def evaluate_irf(
    events: EvaluationEvents,
    scores: FloatArray,
    bins: EnergyBins,
    resamples: Resamples,
    simulations: Mapping[str, Simulated],
    config: EvaluationConfig,
    reconstruction: Sequence[Reconstruction] | None = None,
) -> dict[str, Any]:
    """Effective area, background rate and sensitivity of both models, compared bin by bin.

    Parameters
    ----------
    events : EvaluationEvents
    scores : numpy.ndarray of float64, shape (2, events)
        Logits, float first.
    bins : EnergyBins
        Their edges serve the true energy of gammas and the estimated energy of all particles.
    resamples : Resamples
    simulations : mapping of str to Simulated
    config : EvaluationConfig
    reconstruction : two Reconstruction, optional
        Float first. Without it the selection is at trigger level.

    Returns
    -------
    dict
        JSON-able: ``level``, ``notes``, ``quantities``, ``bins`` (comparisons), ``metrics``, ``models``
        (cuts).

    Raises
    ------
    InputError
        If the simulation's bookkeeping is missing or unusable.
    """
    irf, n = config.irf, len(bins)
    if "gamma" not in simulations:
        event_rates(events, simulations)  # says what is missing
    ring = signal_ring(events, simulations["gamma"], irf.signal_offset)
    rate, masks, notes = event_rates(events, simulations, ring)
    background = masks["proton"] | masks["electron"]
    gamma = masks["gamma"] & ring.inside
    # background is counted by its place in the field of view
    true_offset(events, background)
    seconds = irf.observation_hours * 3600.0
    thrown = simulations["gamma"].to_pyirf()
    area = np.pi * simulations["gamma"].max_impact ** 2
    n_thrown = np.asarray(thrown.calculate_n_showers_per_energy(bins.edges * u.TeV))[:, None] * ring.share
    counting = replace(resamples, weight=np.ones(len(events)))
    rates = replace(resamples, weight=rate)
    crab = SPECTRA["gamma"][0](bins.centers * u.TeV).to_value("TeV-1 cm-2 s-1")[:, None]
    thrown_around = [simulations[p] for p in ("proton", "electron") if masks[p].any()]
    reach = min([irf.max_offset, *(particle.view_cone for particle in thrown_around)])
    hole = max([0.0, *(particle.view_cone_min for particle in thrown_around)])
    if hole >= reach:
        raise InputError(
            "evaluation.irf.max_offset",
            f"is {irf.max_offset:g} degrees, background was thrown from {hole:g} degrees on",
            "Choose a larger one",
        )
    # where no background was thrown, none is known
    field_of_view = cone_solid_angle(reach * u.deg) - cone_solid_angle(hole * u.deg)
    true_index, true_inside = _place(np.asarray(events.energy, dtype=np.float64), bins.edges)
    seen = gamma & true_inside
    triggered = np.bincount(true_index[seen], minlength=n)
    few_triggered = few_showers(resamples[seen].showers(true_index[seen], n), config.min_showers, "gamma")
    beyond = np.zeros(n, dtype=bool)
    result: dict[str, list[Any]] = {"effective_area": [], "background_rate": [], "sensitivity": []}
    models: dict[str, Any] = {}
    counted: dict[str, list[NDArray[np.int64]]] = {"gamma": [], "background": []}
    totals: dict[str, list[FloatArray]] = {"background_rate": [], "signal_rate": []}

    def summed(source: Resamples, mask: BoolArray, index: NDArray[np.int64]) -> FloatArray:
        ones = np.ones((int(mask.sum()), 1))
        total: FloatArray = source[mask].sums(ones, index[mask], n)[0]
        return total

    for m, name in enumerate(("float", "compressed")):
        reco = None if reconstruction is None else reconstruction[m]
        chosen = select(events, scores[m], bins, config, reco, ring.inside)
        index, inside = _place(chosen.energy, bins.edges)
        selected = summed(counting, gamma & chosen.on & true_inside, true_index)
        # no event at all tells nothing of how small the area is
        known = (n_thrown > 0) & (triggered[:, None] > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(known, selected / n_thrown, np.nan)
        # few showers used often, where fewer were thrown than expected, can trigger more than once each
        beyond |= share[:, 0] > 1.0 + 1e-9
        result["effective_area"].append(np.minimum(share, 1.0) * area)
        in_view = background & chosen.passes & (chosen.offset < reach) & (chosen.offset >= hole)
        source = gamma & chosen.on
        totals["background_rate"].append(rates[in_view].sums(*_everything(in_view))[0])
        totals["signal_rate"].append(rates[source].sums(*_everything(source))[0])
        in_view, source = in_view & inside, source & inside
        background_rate = summed(rates, in_view, index)
        for key, mask in (("background", in_view), ("gamma", source)):
            counted[key].append(resamples[mask].showers(index[mask], n))
        # no event is no measurement of zero
        result["background_rate"].append(
            np.where(counted["background"][-1][:, None] > 0, background_rate, np.nan)
        )
        signal = summed(rates, source, index) * seconds
        if reco is None:
            signal = signal * irf.theta_containment
        ratio = (cone_solid_angle(chosen.theta_cut * u.deg) / field_of_view).to_value(u.one)[:, None]
        off = background_rate * seconds * ratio / irf.alpha
        with _quiet(), np.errstate(invalid="ignore", divide="ignore"):
            needed = relative_sensitivity(n_on=signal + irf.alpha * off, n_off=off, alpha=irf.alpha)
        # nor does a simulation without background events show that there is none
        needed = np.where(np.isfinite(needed) & (signal > 0) & (background_rate > 0), needed, np.nan)
        result["sensitivity"].append(needed * crab * bins.centers[:, None] ** 2)
        models[name] = {"score_cut": chosen.score_cut.tolist(), "theta_cut": chosen.theta_cut.tolist()}
        if reco is not None:
            kept = gamma & chosen.passes & true_inside
            quality = response_quality(
                events, chosen.energy, chosen.theta, kept, true_index, n, counting, rates
            )
            for key, values in quality.bins.items():
                result.setdefault(key, []).append(values)
            for key, values in quality.overall.items():
                totals.setdefault(key, []).append(values)
            models[name]["migration"] = migration(
                np.asarray(events.energy)[kept], chosen.energy[kept], bins.edges
            )
    few = {key: few_showers(np.minimum(*pair), config.min_showers, key) for key, pair in counted.items()}
    flags = {
        "effective_area": _joined(few_triggered, ["capped at the area thrown" if x else "" for x in beyond]),
        "background_rate": few["background"],
        "sensitivity": _joined(few["gamma"], few["background"]),
    }
    for key in set(result) - set(flags):
        flags[key] = few_triggered
    defined = np.isfinite(result["sensitivity"]).all(axis=(0, 2))
    trusted = defined & np.array([not flag for flag in flags["sensitivity"]])
    totals["mean_sensitivity"] = [_geometric_mean(values[trusted]) for values in result["sensitivity"]]
    level = "trigger" if reconstruction is None else "reconstructed"
    energy = "reconstructed" if reconstruction is not None else "true"
    if reconstruction is None and events.light_energy is not None:
        energy = "light"
    notes += assumptions(level, energy, config, reach)
    return {
        "level": level,
        "energy": energy,
        "notes": notes,
        "observation_hours": irf.observation_hours,
        "bins": {
            name: [
                row.to_dict()
                for row in compare(name, values[0], values[1], config.confidence, flags[name], triggered)
            ]
            for name, values in result.items()
        },
        "metrics": {
            name: compare(name, values[0], values[1], config.confidence)[0].to_dict()
            for name, values in totals.items()
        },
        "models": models,
    }


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
