"""A library of hadronic interactions with air, made with chromo's Sibyll 2.3e at run time.

Fortran event generators exist once in a process and cost some tenths of a millisecond for an interaction; a
shower above a TeV has hundreds. So interactions are generated beforehand at fixed energies, four in each
decade, and a shower draws them from there: the energy's neighbour in the grid is chosen at random in
proportion to the distance in log energy, secondaries keep their fraction of the projectile's energy and
their transverse momentum (Feynman scaling over half a bin), and each use has a random azimuth.

Below Sibyll's least energy (10 GeV in the centre of mass, 56 GeV in the laboratory) the same scaling is used
from the lowest energy of the grid; secondaries whose energy would fall below their mass are left out. This
is the documented simple model for low energies: it conserves energy and the neutral fraction, its
multiplicities are too large by some tens of per cent at 10 GeV.
"""

import contextlib
import hashlib
import json
import os
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.files import atomic_path
from trigger_ml.core.surroundings import cache_folder

Array = NDArray[np.float64]

NUCLEON, PION, KAON = 0, 1, 2
PROJECTILES = ("proton", "pi+", "K+")
# codes of secondaries
PROTON, NEUTRON, PI_PLUS, PI_MINUS, K_CHARGED, K_LONG, GAMMA, ELECTRON, MUON = range(9)
CODES = {
    2212: PROTON, -2212: PROTON, 2112: NEUTRON, -2112: NEUTRON, 211: PI_PLUS, -211: PI_MINUS, 321: K_CHARGED,
    -321: K_CHARGED, 130: K_LONG, 22: GAMMA, 11: ELECTRON, -11: ELECTRON, 13: MUON, -13: MUON,
}  # fmt: skip
MASSES = np.array([938.272, 939.565, 139.570, 139.570, 493.677, 497.611, 0.0, 0.511, 105.658])
"""MeV, by code."""

LOWEST = 60e3
"""MeV: the first energy of the grid."""
PER_DECADE = 4
N_ENERGIES = 19
"""Up to 1.9 PeV."""
# secondaries below never give light, whatever they make
LEAST_SECONDARY = 100.0


@dataclass(frozen=True, eq=False)
class Library:
    """Interactions by projectile and energy.

    Parameters
    ----------
    events : numpy.ndarray of int64, shape (3, N_ENERGIES, 2)
        First interaction of each projectile and energy, and the number of them.
    offsets : numpy.ndarray of int64, shape (interactions + 1,)
        First secondary of each interaction.
    code : numpy.ndarray of int8, shape (secondaries,)
    fraction, px, py : numpy.ndarray of float32, shape (secondaries,)
        Energy over the projectile's; transverse momentum in MeV.
    cross_section : numpy.ndarray, shape (3, N_ENERGIES)
        Inelastic, with air, millibarn.
    """

    events: NDArray[np.int64]
    offsets: NDArray[np.int64]
    code: NDArray[np.int8]
    fraction: NDArray[np.float32]
    px: NDArray[np.float32]
    py: NDArray[np.float32]
    cross_section: Array


def grid_energies() -> Array:
    """Energies of the grid in MeV."""
    return LOWEST * 10 ** (np.arange(N_ENERGIES) / PER_DECADE)


def _silence() -> None:
    """Send what Fortran prints to nowhere, for the life of this (worker) process."""
    sys.stdout.flush()
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.close(sink)


def generate(projectile: int, count: int, seed: int) -> dict[str, NDArray[np.number]]:
    """Interactions of one projectile at every energy of the grid.

    Runs once in a process: chromo refuses a second generator.

    Parameters
    ----------
    projectile : int
        ``NUCLEON``, ``PION`` or ``KAON``.
    count : int
        Interactions at each energy.
    seed : int

    Returns
    -------
    dict of str to numpy.ndarray
        ``sizes`` (N_ENERGIES, count), ``code``, ``fraction``, ``px``, ``py``, ``cross_section``.
    """
    from chromo.constants import GeV
    from chromo.kinematics import CompositeTarget, FixedTarget
    from chromo.models import Sibyll23e

    air = CompositeTarget([("N", 0.78), ("O", 0.22)])
    name = PROJECTILES[projectile]
    energies = grid_energies()
    model = Sibyll23e(FixedTarget(energies[-1] / 1e3 * GeV, name, air), seed=seed)
    # what lives shorter than a charged kaon decays at once
    for unstable in (310, 3122, -3122, 3112, -3112, 3222, -3222, 3312, -3312, 3322, -3322, 3334, -3334):
        model.set_unstable(unstable)
    sizes = np.zeros((N_ENERGIES, count), dtype=np.int64)
    columns: dict[str, list[NDArray[np.number]]] = {"code": [], "fraction": [], "px": [], "py": []}
    cross = np.zeros(N_ENERGIES)
    for e, energy in enumerate(energies):
        model.kinematics = FixedTarget(energy / 1e3 * GeV, name, air)
        cross[e] = model.cross_section().inelastic
        for i, event in enumerate(model(count)):
            final = event.final_state()
            code = np.array([CODES.get(int(pid), -1) for pid in final.pid], dtype=np.int8)
            total = final.en * 1e3
            # forward particles only: what flies upwards or is slow carries no light
            kept = (code >= 0) & (total > LEAST_SECONDARY) & (final.pz > 0)
            kept &= ~((code <= NEUTRON) & (total < 2000))
            sizes[e, i] = kept.sum()
            columns["code"].append(code[kept])
            columns["fraction"].append((total[kept] / energy).astype(np.float32))
            columns["px"].append((final.px[kept] * 1e3).astype(np.float32))
            columns["py"].append((final.py[kept] * 1e3).astype(np.float32))
    return {
        "sizes": sizes,
        "cross_section": cross,
        **{key: np.concatenate(parts) for key, parts in columns.items()},
    }


def build_library(counts: tuple[int, int, int], seed: int, workers: int) -> Library:
    """Generate the whole library, each projectile in a process of its own."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, 3), mp_context=spawn, max_tasks_per_child=1, initializer=_silence
    ) as pool:
        jobs = [pool.submit(generate, p, counts[p], seed + p) for p in range(3)]
        parts = [job.result() for job in jobs]
    sizes = np.concatenate([part["sizes"].ravel() for part in parts])
    first = np.concatenate([[0], np.cumsum([part["sizes"].size for part in parts])])
    events = np.zeros((3, N_ENERGIES, 2), dtype=np.int64)
    for p, count in enumerate(counts):
        events[p, :, 0] = first[p] + count * np.arange(N_ENERGIES)
        events[p, :, 1] = count
    return Library(
        events=events,
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        cross_section=np.stack([part["cross_section"] for part in parts]),
        code=np.concatenate([part["code"] for part in parts]),
        fraction=np.concatenate([part["fraction"] for part in parts]),
        px=np.concatenate([part["px"] for part in parts]),
        py=np.concatenate([part["py"] for part in parts]),
    )


def library_folder() -> Path:
    """Where libraries are kept between productions: ``TRIGGER_ML_CACHE``, or the user's cache folder."""
    named = os.environ.get("TRIGGER_ML_CACHE")
    return Path(named) if named else cache_folder()


def load_library(scale: float = 1.0, workers: int = 1) -> Path:
    """Path of the library, generated if it is not in the cache.

    The library is part of the physics model, not of a production: its own seed is fixed.

    Parameters
    ----------
    scale : float
        Size of the library; 1 has 1,200 interactions of nucleons, 800 of pions and 300 of kaons at each
        energy.
    workers : int
        Processes to generate it with.

    Returns
    -------
    pathlib.Path
        NPZ file for :func:`read_library`.
    """
    counts = (max(int(1200 * scale), 4), max(int(800 * scale), 4), max(int(300 * scale), 4))
    recipe = {
        "model": "Sibyll23e",
        "chromo": version("chromo"),
        "counts": counts,
        "energies": grid_energies().tolist(),
        "least": LEAST_SECONDARY,
        "format": 2,
    }
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    path = library_folder() / f"sibyll23e-air-{key}.npz"
    if path.exists():
        with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
            read_library(path)
            return path
    library = build_library(counts, seed=20231, workers=workers)
    with atomic_path(path) as partial:
        np.savez(partial, **{item.name: getattr(library, item.name) for item in fields(Library)})
    return path


def read_library(path: Path) -> Library:
    """A library from the file that :func:`load_library` names."""
    with np.load(path) as content:
        return Library(**{item.name: content[item.name] for item in fields(Library)})
