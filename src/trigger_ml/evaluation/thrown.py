"""How many showers were thrown, of each particle, behind the events that are evaluated."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import astropy.units as u
import numpy as np
from numpy.typing import NDArray
from pyirf.simulations import SimulatedEventsInfo
from pyirf.spectral import CRAB_MAGIC_JHEAP2015, IRFDOC_ELECTRON_SPECTRUM, IRFDOC_PROTON_SPECTRUM

from trigger_ml.core.errors import InputError
from trigger_ml.core.particles import PARTICLES

__all__ = ["SPECTRA", "Simulated", "pooled", "simulations_of"]

THIN_RING = 0.1
"""Degrees: gammas thrown in a ring no wider than this ("ring wobble") stand for a source at one offset; bins
of offset would be narrower than GADF files have them."""
# sim_telarray particle codes
# in which runs of one particle must agree
SETTINGS = (
    "energy_min",
    "energy_max",
    "spectral_index",
    "max_core_distance",
    "min_core_distance",
    "view_cone",
    "view_cone_min",
)
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

    @property
    def view_cone_min(self) -> float:
        """Inner radius in degrees, where directions lie in a ring."""

    @property
    def min_core_distance(self) -> float:
        """Inner radius in metres, where cores lie in a ring."""


class NumberedRun(Run, Protocol):
    """A run that knows the number its events carry."""

    @property
    def obs_id(self) -> int:
        """Of its events."""


class Account(Protocol):
    """What became of the events of one particle in one run (`trigger_ml.events.dataset.RunEvents`)."""

    @property
    def file_index(self) -> int:
        """Of the run."""

    @property
    def obs_id(self) -> int:
        """Of the run, in its file."""

    @property
    def primary_id(self) -> int:
        """sim_telarray particle code."""

    @property
    def read(self) -> int:
        """Events in the file."""

    @property
    def usable(self) -> int:
        """Events that the instrument could use."""

    @property
    def kept(self) -> int:
        """Events sampled from these."""


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
        Metres: radius of the circle that has the area over which cores were thrown.
    view_cone : float
        Half opening angle in degrees; 0 for a point source.
    view_cone_min : float
        Degrees: inner radius, where directions lie in a ring.
    notes : tuple of str
        What was done to the number of showers, and what was left out.
    """

    particle: Literal["gamma", "proton", "electron"]
    n_showers: float
    energy_min: float
    energy_max: float
    spectral_index: float
    max_impact: float
    view_cone: float = 0.0
    view_cone_min: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def one_offset(self) -> bool:
        """Whether all directions are at one angle from the pointing: of a point source, or a thin ring."""
        return self.view_cone - self.view_cone_min <= THIN_RING

    def to_pyirf(self) -> SimulatedEventsInfo:
        """The same for pyirf."""
        return SimulatedEventsInfo(
            n_showers=self.n_showers,
            energy_min=self.energy_min * u.TeV,
            energy_max=self.energy_max * u.TeV,
            max_impact=self.max_impact * u.m,
            spectral_index=self.spectral_index,
            viewcone_min=self.view_cone_min * u.deg,
            viewcone_max=self.view_cone * u.deg,
        )


def pooled(
    particle: Literal["gamma", "proton", "electron"],
    runs: Iterable[Run],
    fraction: float = 1.0,
    notes: tuple[str, ...] = (),
) -> Simulated:
    """One account of several runs of a particle.

    Parameters
    ----------
    particle : str
    runs : iterable of Run
    fraction : float
        Part of the showers whose events are evaluated (the test set's).
    notes : tuple of str
        Of `Simulated`.

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
    for name in SETTINGS:
        values = {float(getattr(run, name)) for run in listed}
        if not np.isfinite(list(values)).all():
            raise InputError(what, f"a run does not tell its {name}", "Give a file with simulation tables")
        if not np.allclose(list(values), getattr(first, name), rtol=1e-6):
            raise InputError(what, f"runs differ in {name}: {sorted(values)}", "Evaluate such runs apart")
    return Simulated(
        particle,
        fraction * sum(run.n_showers * run.n_reuse for run in listed),
        first.energy_min,
        first.energy_max,
        first.spectral_index,
        float(np.sqrt(first.max_core_distance**2 - first.min_core_distance**2)),
        first.view_cone,
        first.view_cone_min,
        notes,
    )


def simulations_of(
    runs: Mapping[int, Sequence[NumberedRun]],
    accounts: Iterable[Account],
    primary_id: NDArray[np.int64],
    shower_id: NDArray[np.int64],
    rows: NDArray[np.int64] | None = None,
) -> dict[str, Simulated]:
    """The showers thrown, by particle, behind some rows of a set of events.

    A run is that of its file: files may number their runs alike. Its particle is that of its events; a run
    without events has that of the others in its file. What drops events does one of two things. *Samples*
    stand for as large a part of the showers thrown: ``events.max_events`` (by the events kept) and the test
    set (by the showers that left an event). *Losses and cuts* do not change how many were thrown, and so make
    the effective area smaller: pixels that are not finite, ``events.min_size``, telescopes not chosen.

    Parameters
    ----------
    runs : mapping of int to sequence of NumberedRun
        All runs behind the whole set, by the index of their file.
    accounts : iterable of Account
        What became of the events of each run (`trigger_ml.events.dataset.Dataset.accounts`).
    primary_id, shower_id : numpy.ndarray of int64, shape (all events,)
    rows : numpy.ndarray of int64, optional
        Rows evaluated; default all.

    Returns
    -------
    dict of str to Simulated

    Raises
    ------
    InputError
        If a run holds several particles, a file has none that tells the particle of a run without events, or
        runs of one particle differ.
    """
    listed_accounts = list(accounts)
    listed: dict[int, list[NumberedRun]] = {}
    for index, of_file in runs.items():
        mine = [account for account in listed_accounts if account.file_index == index]
        for run in of_file:
            own = {account.primary_id for account in mine if account.obs_id == run.obs_id}
            codes = own or {account.primary_id for account in mine}
            if len(codes) != 1:
                why = "mixes particles" if own else "has no event, so that its particle is not known"
                raise InputError(f"simulated run {run.obs_id}", why, "Give each particle its own files")
            listed.setdefault(codes.pop(), []).append(run)
    result: dict[str, Simulated] = {}
    primary, shower = np.asarray(primary_id), np.asarray(shower_id)
    chosen = np.arange(len(primary)) if rows is None else np.asarray(rows)
    for code, name in PARTICLES.items():
        mine = [account for account in listed_accounts if account.primary_id == code]
        kept, usable, read = (sum(getattr(x, step) for x in mine) for step in ("kept", "usable", "read"))
        if code not in listed or name not in SPECTRA or not kept:
            continue
        own_rows = primary == code
        part = chosen[own_rows[chosen]]
        fraction = len(np.unique(shower[part])) / len(np.unique(shower[own_rows])) * kept / usable
        notes = []
        if kept < usable:
            notes.append(
                f"`events.max_events` keeps {kept} of {usable} {name} events, which stand for as large a "
                "part of the showers thrown."
            )
        if usable < read:
            notes.append(
                f"{read - usable} of {read} {name} events have pixels that are not finite, or less light "
                "than `events.min_size`: they count as not seen."
            )
        result[name] = pooled(name, listed[code], fraction, tuple(notes))  # type: ignore[arg-type]
    return result
