"""Photons of a cosmic-ray flux at the camera of the 2017 telescope, for detectors to be tried on.

``python benchmarks/hadron_photons.py FOLDER SECONDS`` adds shards of showers until the processor time is
used; the same shard always has the same content, so that a run that was stopped goes on. The telescope
stood at 230 m above sea level and looked 35 degrees from the zenith.

The flux is that of J. R. Hoerandel, Astropart. Phys. 19 (2003) 193, table 1, in four groups of nuclei; a
nucleus is so many nucleons that interact one by one (superposition). Energies are drawn flatter than the
flux, cores nearer than evenly; ``weight`` makes up for both.
"""

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trigger_ml.core.files import atomic_path
from trigger_ml.instrument import sst1m
from trigger_ml.instrument.digicam import digicam
from trigger_ml.simulation import cherenkov, optics, telescope
from trigger_ml.simulation.atmosphere import atmosphere_above
from trigger_ml.simulation.geometry import camera_axes
from trigger_ml.simulation.interactions import load_library, read_library
from trigger_ml.simulation.shower import ShowerMaker

ALTITUDE, SITE = math.radians(55), 230.0
FIELD = np.array((20.0, 0.0, -44.0)) * 1e-6
ENERGY = (1.0, 1000.0)
INDEX = -1.8
"""Of the energies as drawn."""
CORE, CORE_POWER = 800.0, 0.6
"""Metres; distances are ``CORE * u ** CORE_POWER`` for an even u."""
CONE = math.radians(10)
USES = 25
THINNING = 3e-3
LEAST = 120
"""Photo-electrons, before the pixels' efficiencies, of an event that is kept."""
SHOWERS = 100
"""In a shard."""
GROUPS = {"proton": (8.73e-2, -2.71, 0.55), "helium": (5.71e-2, -2.64, 0.25),
          "oxygen": (4.93e-2, -2.67, 0.12), "iron": (2.04e-2, -2.59, 0.08)}  # fmt: skip
"""Flux at 1 TeV (per m2 sr s TeV; carbon to silicon are summed), index, part of the showers."""
METRE, NANOSECOND = 2e-5, 0.02
"""Units of the stored positions and times."""
COLUMNS = ("shower", "energy", "offset", "core", "group", "x_max", "light", "from_tracks", "weight")


@dataclass(frozen=True, eq=False)
class Events:
    """Events of some shards.

    Parameters
    ----------
    table : dict of str to numpy.ndarray, shape (n,)
        ``COLUMNS``; the energy in TeV, the offset from the optical axis in radians, the core in metres.
    photons : list of numpy.ndarray of int16, shape (light, 3)
        x, y in the camera frame in ``METRE``, time in ``NANOSECOND`` from the median.
    showers : int
        Thrown.
    """

    table: dict
    photons: list
    showers: int


def energy_of(u):
    """Energy in TeV for an even u."""
    low, high = (e ** (INDEX + 1) for e in ENERGY)
    return (low + u * (high - low)) ** (1 / (INDEX + 1))


def core_of(u):
    """Distance of the core in metres for an even u."""
    return CORE * u**CORE_POWER


def weight(group, energy, core):
    """Flux over the density with which energies and cores are drawn."""
    norm, index, part = list(GROUPS.values())[group]
    # per even u the ground grows as r times dr/du, which goes as r ** (1 - 1 / power)
    return norm * energy ** (index - INDEX) / part * core ** (2 - 1 / CORE_POWER)


def light(rng, tel, shape, position):
    """Positions (metres) and times (ns) of a shower's light in the camera, and how many come from tracks."""
    mirror = tel.optics
    photons, count = cherenkov.electron_light(
        rng, shape.segments, len(shape.segments), position, tel.axes, shape.axis, tel.table, mirror.area,
        mirror.facets, sst1m.FACET_SIZE, telescope.VIEW, tel._photons, 0,
    )  # fmt: skip
    electrons = count
    photons, count = cherenkov.track_light(
        rng, shape.tracks, len(shape.tracks), position, tel.axes, shape.axis, tel.table, mirror.radius,
        photons, count,
    )  # fmt: skip
    tel._photons = photons
    pixel, arrival, place = optics.trace(
        rng, photons, count, mirror.facets, mirror.normals, mirror.focal_lengths, mirror.pixels,
        mirror.neighbours, mirror.raster,
    )  # fmt: skip
    # what falls beside the camera may come into it in a blurred one
    near = np.isfinite(place[:, 0]) & (np.abs(place) < 0.6).all(axis=1)
    return place[near], arrival[near], pixel[near] >= 0, int((pixel[electrons:] >= 0).sum())


def make_shard(index, tel, maker):
    """Table and photons of one shard."""
    rng = np.random.default_rng([2017, index])
    axes = camera_axes(ALTITUDE, 0.0)
    names, rows, photons = list(GROUPS), [], []
    for number in range(SHOWERS):
        group = int(rng.choice(len(GROUPS), p=[g[2] for g in GROUPS.values()]))
        energy = energy_of(rng.random())
        offset, turn = math.acos(rng.uniform(math.cos(CONE), 1)), 2 * np.pi * rng.random()
        aside = math.cos(turn) * axes[0] + math.sin(turn) * axes[1]
        towards = math.cos(offset) * axes[2] + math.sin(offset) * aside
        shape = maker.make(rng, names[group], energy, -towards)
        for _ in range(USES):
            core, turn = core_of(rng.random()), 2 * np.pi * rng.random()
            position = np.array([core * math.cos(turn), core * math.sin(turn), SITE])
            guess = tel.expectation(shape, position, 16)
            if guess < 0.5 * LEAST and not tel._muon_near(shape, position):
                continue
            place, arrival, inside, tracks = light(rng, tel, shape, position)
            if inside.sum() < LEAST:
                continue
            arrival = np.clip((arrival - np.median(arrival[inside])) / NANOSECOND, -32000, 32000)
            photons.append(np.rint(np.column_stack([place / METRE, arrival])).astype(np.int16))
            rows.append((index * SHOWERS + number, energy, offset, core, group, shape.x_max,
                         int(inside.sum()), tracks, weight(group, energy, core)))  # fmt: skip
    return np.array(rows).reshape(-1, len(COLUMNS)), photons


def produce(folder, seconds, thinning=THINNING):
    """Add shards until ``seconds`` of processor time are used."""
    air = atmosphere_above(SITE, "us-standard")
    maker = ShowerMaker(air, FIELD, thinning, read_library(load_library()))
    tel = telescope.Telescope(digicam(), air, ALTITUDE, 0.0, 0.17, 270, 11)
    folder.mkdir(parents=True, exist_ok=True)
    start, index = time.process_time(), 0
    while time.process_time() - start < seconds:
        path = folder / f"photons-{index:04d}.npz"
        if not path.exists():
            rows, photons = make_shard(index, tel, maker)
            with atomic_path(path) as partial:
                np.savez(
                    partial, rows=rows, lengths=[len(p) for p in photons], photons=np.concatenate(photons)
                )
        index += 1
    return index


def read(folder, limit=None):
    """Events of the first ``limit`` shards of a folder."""
    rows, photons = [], []
    paths = sorted(folder.glob("photons-*.npz"))[:limit]
    for path in paths:
        with np.load(path) as content:
            rows.append(content["rows"])
            photons += np.split(content["photons"], np.cumsum(content["lengths"])[:-1])
    return Events(dict(zip(COLUMNS, np.concatenate(rows).T, strict=True)), photons, len(paths) * SHOWERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    print(produce(arguments.folder, arguments.seconds), "shards")


if __name__ == "__main__":
    main()
