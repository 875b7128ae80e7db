"""How many showers were thrown, and the weight that turns an event into a rate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import astropy.units as u
import numpy as np
from numpy.typing import NDArray
from pyirf.simulations import SimulatedEventsInfo
from pyirf.spectral import (
    CRAB_MAGIC_JHEAP2015,
    IRFDOC_ELECTRON_SPECTRUM,
    IRFDOC_PROTON_SPECTRUM,
    PowerLaw,
    calculate_event_weights,
)
from pyirf.utils import cone_solid_angle

from trigger_ml.core.errors import InputError
from trigger_ml.evaluation.direction import separation
from trigger_ml.evaluation.events import EvaluationEvents

__all__ = [
    "PARTICLES",
    "SPECTRA",
    "Ring",
    "Simulated",
    "event_rates",
    "pooled",
    "signal_ring",
    "simulations_of",
]

FloatArray = NDArray[np.float64]

# sim_telarray particle codes
PARTICLES = {0: "gamma", 1: "electron", 101: "proton", 402: "helium", 1608: "oxygen", 5626: "iron"}
SPECTRA = {
    "gamma": (CRAB_MAGIC_JHEAP2015, "Crab Nebula, MAGIC, JHEAP 5-6 (2015) 30"),
    "proton": (IRFDOC_PROTON_SPECTRUM, "protons, CTA IRF document (prod3b)"),
    "electron": (IRFDOC_ELECTRON_SPECTRUM, "electrons, CTA IRF document (prod3b)"),
}


class Run(Protocol):
    """The bookkeeping of one simulated observation, as event files keep it."""

    @property
    def n_showers(self) -> int:
        """Showers thrown, each counted once."""

    @property
    def n_reuse(self) -> int:
        """Uses of each shower."""

    @property
    def energy_min(self) -> float:
        """TeV."""

    @property
    def energy_max(self) -> float:
        """TeV."""

    @property
    def spectral_index(self) -> float:
        """Of the power law thrown, negative."""

    @property
    def max_core_distance(self) -> float:
        """Metres."""

    @property
    def view_cone(self) -> float:
        """Half opening angle in degrees."""


class NumberedRun(Run, Protocol):
    """A run that knows the number its events carry."""

    @property
    def obs_id(self) -> int:
        """Of its events."""


@dataclass(frozen=True)
class Simulated:
    """The showers thrown that stand behind the events evaluated.

    Parameters
    ----------
    particle : {"gamma", "proton", "electron"}
    n_showers : float
        Thrown, every use counted, triggered or not; for a subset of the events, that fraction of them.
    energy_min, energy_max : float
        TeV.
    spectral_index : float
        Of the power law thrown, negative.
    max_impact : float
        Metres.
    view_cone : float
        Half opening angle in degrees; 0 for a point source.
    """

    particle: Literal["gamma", "proton", "electron"]
    n_showers: float
    energy_min: float
    energy_max: float
    spectral_index: float
    max_impact: float
    view_cone: float = 0.0

    def to_pyirf(self) -> SimulatedEventsInfo:
        """The same for pyirf."""
        return SimulatedEventsInfo(
            n_showers=self.n_showers,
            energy_min=self.energy_min * u.TeV,
            energy_max=self.energy_max * u.TeV,
            max_impact=self.max_impact * u.m,
            spectral_index=self.spectral_index,
            viewcone_min=0 * u.deg,
            viewcone_max=self.view_cone * u.deg,
        )


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
    inner, outer = limits[0], min(limits[1], thrown.view_cone)
    if inner >= outer:
        raise InputError(
            "evaluation.irf.signal_offset",
            f"begins at {inner:g} degrees, gammas were thrown within {thrown.view_cone:g}",
            "Choose a ring inside the view cone",
        )
    needed = (events.alt, events.az, events.pointing_alt, events.pointing_az)
    if any(column is None for column in needed):
        raise InputError(
            "events to evaluate",
            "diffuse gammas without true direction or pointing",
            "Use events with simulation truth",
        )
    away = separation(*needed)  # type: ignore[arg-type]
    angles = [cone_solid_angle(angle * u.deg) for angle in (inner, outer, thrown.view_cone)]
    share = float(((angles[1] - angles[0]) / angles[2]).to_value(u.one))
    # the outermost direction thrown belongs to the ring that ends there
    last = (away <= outer) if outer == thrown.view_cone else (away < outer)
    return Ring(inner, outer, share, (away >= inner) & last)


def pooled(
    particle: Literal["gamma", "proton", "electron"], runs: Iterable[Run], fraction: float = 1.0
) -> Simulated:
    """One account of several runs of a particle.

    Parameters
    ----------
    particle : str
    runs : iterable of Run
    fraction : float
        Part of the showers whose events are evaluated (the test set's).

    Raises
    ------
    InputError
        If there is no run, or runs were thrown differently.
    """
    listed = list(runs)
    what = f"simulation bookkeeping of {particle}s"
    if not listed:
        raise InputError(what, "there is no run of this particle", "Give a file with simulation tables")
    first = listed[0]
    for name in ("energy_min", "energy_max", "spectral_index", "max_core_distance", "view_cone"):
        values = {float(getattr(run, name)) for run in listed}
        if not np.allclose(list(values), getattr(first, name), rtol=1e-6):
            raise InputError(what, f"runs differ in {name}: {sorted(values)}", "Evaluate such runs apart")
    return Simulated(
        particle,
        fraction * sum(run.n_showers * run.n_reuse for run in listed),
        first.energy_min,
        first.energy_max,
        first.spectral_index,
        first.max_core_distance,
        first.view_cone,
    )


def simulations_of(
    runs: Iterable[NumberedRun],
    obs_id: NDArray[Any],
    primary_id: NDArray[Any],
    shower_id: NDArray[Any],
    rows: NDArray[Any] | None = None,
) -> dict[str, Simulated]:
    """The showers thrown, by particle, behind some rows of a set of events.

    A run's particle is that of its events. When only some rows are evaluated (the test set), the showers
    thrown are counted in the proportion of the showers that left an event.

    Parameters
    ----------
    runs : iterable of NumberedRun
        All runs behind the whole set; ``obs_id`` tells which events are theirs.
    obs_id, primary_id, shower_id : numpy.ndarray of int64, shape (all events,)
    rows : numpy.ndarray of int64, optional
        Rows evaluated; default all.

    Returns
    -------
    dict of str to Simulated

    Raises
    ------
    InputError
        If a run holds several particles, has no event (its particle is not known), or runs of one particle
        differ.
    """
    listed: dict[str, list[NumberedRun]] = {}
    for run in runs:
        codes = np.unique(np.asarray(primary_id)[np.asarray(obs_id) == run.obs_id])
        if len(codes) != 1:
            why = "has no event, so that its particle is not known" if not len(codes) else "mixes particles"
            raise InputError(f"simulated run {run.obs_id}", why, "Give each particle its own runs")
        name = PARTICLES.get(int(codes[0]), f"code {int(codes[0])}")
        listed.setdefault(name, []).append(run)
    result: dict[str, Simulated] = {}
    chosen = np.arange(len(obs_id)) if rows is None else np.asarray(rows)
    for code, name in PARTICLES.items():
        if name not in listed or name not in SPECTRA:
            continue
        mine = np.asarray(primary_id) == code
        part = chosen[mine[chosen]]
        fraction = len(np.unique(shower_id[part])) / len(np.unique(shower_id[mine]))
        result[name] = pooled(name, listed[name], fraction)  # type: ignore[arg-type]
    return result


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
    kind = np.where(events.gamma, 0, 101) if events.primary_id is None else np.asarray(events.primary_id)
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
            inner, outer = (0.0, thrown.view_cone) if ring is None else (ring.inner, ring.outer)
            simulated = simulated.integrate_cone(inner * u.deg, outer * u.deg)
            notes.append(
                f"Gammas are diffuse (within {thrown.view_cone:g} degrees): those with a true offset of "
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
    return rate, masks, notes
