"""Which gammas stand for a point source, and the weight that turns an event into a rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray
from pyirf.spectral import PowerLaw, calculate_event_weights
from pyirf.utils import cone_solid_angle

from trigger_ml.core.errors import InputError
from trigger_ml.core.particles import PARTICLES, PRIMARY_IDS
from trigger_ml.evaluation.direction import separation
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.evaluation.thrown import SPECTRA, Simulated, pooled, simulations_of

__all__ = [
    "SPECTRA",
    "Ring",
    "Simulated",
    "event_rates",
    "pooled",
    "signal_ring",
    "simulations_of",
    "true_offset",
]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ring:
    """The gammas that stand for a point source.

    Parameters
    ----------
    inner, outer : float
        Degrees of true offset from the pointing; both 0 for gammas from one direction, which all count.
    share : float
        Of the showers thrown, by solid angle; 1 for gammas from one direction.
    inside : numpy.ndarray of bool, shape (events,)
        Events within the ring, whatever their particle.
    """

    inner: float
    outer: float
    share: float
    inside: NDArray[np.bool_]


def signal_ring(events: EvaluationEvents, thrown: Simulated, limits: tuple[float, float]) -> Ring:
    """Which gammas stand for a point source, and which part of the showers thrown is theirs.

    Parameters
    ----------
    events : EvaluationEvents
    thrown : Simulated
        Of gammas.
    limits : two float
        Degrees; used only if the gammas are diffuse, and cut at their view cone.

    Returns
    -------
    Ring

    Raises
    ------
    InputError
        If the ring lies outside the view cone, or diffuse gammas have no true direction.
    """
    if thrown.view_cone <= 0:
        return Ring(0.0, 0.0, 1.0, np.ones(len(events), dtype=bool))
    inner, outer = max(limits[0], thrown.view_cone_min), min(limits[1], thrown.view_cone)
    if inner >= outer:
        raise InputError(
            "evaluation.irf.signal_offset",
            f"is {limits[0]:g} to {limits[1]:g} degrees, gammas were thrown at {thrown.view_cone_min:g} to "
            f"{thrown.view_cone:g}",
            "Choose a ring inside the view cone",
        )
    away = true_offset(events, events.gamma)
    angles = [
        cone_solid_angle(angle * u.deg) for angle in (inner, outer, thrown.view_cone_min, thrown.view_cone)
    ]
    share = float(((angles[1] - angles[0]) / (angles[3] - angles[2])).to_value(u.one))
    # the outermost direction thrown belongs to the ring that ends there, the innermost to that which begins
    last = (away <= outer) if outer == thrown.view_cone else (away < outer)
    first = (away >= inner) | (inner == thrown.view_cone_min)
    return Ring(inner, outer, share, first & last)


def true_offset(events: EvaluationEvents, needed: NDArray[np.bool_]) -> FloatArray:
    """Degrees between the true direction of each event and the pointing, shape (events,).

    Parameters
    ----------
    events : EvaluationEvents
    needed : numpy.ndarray of bool, shape (events,)
        Events of which it must be known; NaN for others of which it is not.

    Raises
    ------
    InputError
        If a column that this takes is missing, or not a number: both mean that it is not known.
    """
    columns = (events.alt, events.az, events.pointing_alt, events.pointing_az)
    filled = [
        np.full(len(events), np.nan) if column is None else np.asarray(column, np.float64)
        for column in columns
    ]
    for name, part in (("pointing", filled[2:]), ("true direction", filled[:2])):
        unknown = needed & ~(np.isfinite(part[0]) & np.isfinite(part[1]))
        if unknown.any():
            raise InputError(
                "events to evaluate",
                f"{int(unknown.sum())} of {int(needed.sum())} have no {name}, so that their place in the "
                "field of view is not known",
                "Use files that tell it (ctapipe's tables of pointing and of simulated showers)",
            )
    away: FloatArray = separation(*filled)
    return away


def event_rates(
    events: EvaluationEvents, simulations: Mapping[str, Simulated], ring: Ring | None = None
) -> tuple[FloatArray, dict[str, NDArray[np.bool_]], list[str]]:
    """Weight of each event such that sums are rates in 1/s under the reference spectra.

    Gammas: the Crab Nebula as a point source. Where gammas are diffuse, those of the ring stand for it (the
    thrown spectrum is integrated over the ring's solid angle, as in ctapipe's and pyirf's weights), and the
    others have no weight. Protons and electrons: isotropic fluxes over the view cone that was thrown.

    Parameters
    ----------
    events : EvaluationEvents
        With ``primary_id``; without it every hadron counts as a proton.
    simulations : mapping of str to Simulated
        By particle; gamma and proton are needed.
    ring : Ring, optional
        Of diffuse gammas; default is the whole view cone.

    Returns
    -------
    rate : numpy.ndarray of float64, shape (events,)
        Zero for particles without spectrum or bookkeeping.
    masks : dict of str to numpy.ndarray of bool
        Events of each particle.
    notes : list of str
        What was assumed or left out.

    Raises
    ------
    InputError
        If the bookkeeping of gammas or protons is missing or cannot give a rate.
    """
    for needed in ("gamma", "proton"):
        if needed not in simulations:
            raise InputError(
                "simulation bookkeeping",
                f"missing for {needed}s",
                "Use files with ctapipe's simulation tables",
            )
    energy = np.asarray(events.energy, dtype=np.float64) * u.TeV
    kind = (
        np.where(events.gamma, PRIMARY_IDS["gamma"], PRIMARY_IDS["proton"])
        if events.primary_id is None
        else np.asarray(events.primary_id)
    )
    rate = np.zeros(len(events))
    masks: dict[str, NDArray[np.bool_]] = {}
    notes: list[str] = []
    for code, particle in PARTICLES.items():
        mask = kind == code
        masks[particle] = mask
        if not mask.any():
            if particle == "electron":
                notes.append("No electrons were simulated: the background is that of protons alone.")
            continue
        if particle not in SPECTRA or particle not in simulations:
            notes.append(f"{int(mask.sum())} {particle} events have no rate and are left out.")
            continue
        thrown, (target, source) = simulations[particle], SPECTRA[particle]
        simulated: Any = PowerLaw.from_simulation(thrown.to_pyirf(), 1 * u.s)
        if particle == "gamma" and thrown.view_cone > 0:
            whole = (thrown.view_cone_min, thrown.view_cone)
            inner, outer = whole if ring is None else (ring.inner, ring.outer)
            simulated = simulated.integrate_cone(inner * u.deg, outer * u.deg)
            notes.append(
                f"Gammas are diffuse ({_extent(thrown)} degrees): those with a true offset of "
                f"{inner:g} to {outer:g} degrees stand for a point source."
            )
        if particle != "gamma" and thrown.view_cone <= 0:
            raise InputError(
                f"simulation bookkeeping of {particle}s",
                "they come from one direction, which gives no rate of an isotropic flux",
                "Simulate them with a view cone",
            )
        weights = calculate_event_weights(energy[mask], target, simulated)
        rate[mask] = u.Quantity(weights).to_value(u.one)
        if particle == "gamma" and ring is not None:
            rate[mask & ~ring.inside] = 0.0
        notes.append(f"Spectrum of {particle}s: {source}.")
        notes.extend(thrown.notes)
    return rate, masks, notes


def _extent(thrown: Simulated) -> str:
    """Where directions were thrown, in words."""
    if thrown.view_cone_min > 0:
        return f"from {thrown.view_cone_min:g} to {thrown.view_cone:g}"
    return f"within {thrown.view_cone:g}"
