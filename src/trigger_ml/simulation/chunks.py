"""Chunks of a production: triggered telescope images of some showers, simulated by one process."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import ParticleConfig, SimulationConfig
from trigger_ml.core.files import atomic_path
from trigger_ml.events.digicam import sst1m_subarray
from trigger_ml.events.table import PRIMARY_IDS
from trigger_ml.simulation.atmosphere import atmosphere_above
from trigger_ml.simulation.geometry import camera_axes
from trigger_ml.simulation.interactions import read_library
from trigger_ml.simulation.shower import ShowerMaker
from trigger_ml.simulation.telescope import Telescope

Array = NDArray[np.float64]

SHOWERS_PER_CHUNK = {"gamma": 100, "electron": 100, "proton": 400, "helium": 400}


@dataclass(frozen=True, eq=False)
class Chunk:
    """Triggered events of some showers, and all the showers.

    Parameters
    ----------
    energy : numpy.ndarray, shape (showers,)
        TeV, of every shower thrown.
    core_distance : numpy.ndarray, shape (showers, uses)
        Metres, of every use thrown.
    shower : numpy.ndarray of int64, shape (events,)
        Index into the chunk's showers.
    columns : dict of str to numpy.ndarray
        Of the events; see :meth:`Worker.chunk`.
    """

    energy: Array
    core_distance: Array
    shower: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]


class Worker:
    """What a process needs to simulate chunks, built once.

    Parameters
    ----------
    config : SimulationConfig
    seed : int
    library : pathlib.Path or None
        Of hadronic interactions.
    """

    def __init__(self, config: SimulationConfig, seed: int, library: Path | None) -> None:
        self.config = config
        self.seed = seed
        self.subarray = sst1m_subarray(config.telescopes)
        self.atmosphere = atmosphere_above(config.altitude, config.atmosphere)
        self.alt, self.az = math.radians(90 - config.zenith), math.radians(config.azimuth)
        self.maker = ShowerMaker(
            self.atmosphere,
            np.array(config.magnetic_field) * 1e-6,
            config.thinning,
            read_library(library) if library else None,
        )
        self.telescopes = {
            tel_id: Telescope(
                description,
                self.atmosphere,
                self.alt,
                self.az,
                config.nsb_rate,
                config.trigger_threshold,
                seed=seed * 1000 + tel_id,
            )
            for tel_id, description in self.subarray.tel.items()
        }

    def chunk(self, name: str, index: int) -> Chunk:
        """Simulate one chunk of showers.

        Parameters
        ----------
        name : str
            Particle.
        index : int
            Of the chunk; with the seed and the particle it determines every random number.

        Returns
        -------
        Chunk
        """
        particle = self.config.particles[name]  # type: ignore[index]
        rng = np.random.default_rng([self.seed, PRIMARY_IDS[name], index])
        n = SHOWERS_PER_CHUNK[name]
        energy = power_law(rng, n, particle)
        directions = self._directions(rng, particle, n)
        radius = particle.max_core_distance * np.sqrt(rng.random((n, particle.uses)))
        angle = 2 * np.pi * rng.random((n, particle.uses))
        core_x, core_y = radius * np.cos(angle), radius * np.sin(angle)
        for telescope in self.telescopes.values():
            telescope.renew_sky(rng)
        rows: list[dict[str, Any]] = []
        for i in range(n):
            axis = -directions[i]
            shower = self.maker.make(rng, name, float(energy[i]), axis)
            truth = {
                "energy": energy[i],
                "alt": math.asin(directions[i, 2]),
                "az": math.atan2(-directions[i, 1], directions[i, 0]) % (2 * math.pi),
                "h_first_int": shower.first_height,
                "x_max": shower.x_max,
                "shower": i,
            }
            for use in range(particle.uses):
                images = {}
                for tel_id, telescope in self.telescopes.items():
                    x, y, z = self.config.telescopes[tel_id - 1]
                    position = np.array([x - core_x[i, use], y - core_y[i, use], self.config.altitude + z])
                    image = telescope.observe(rng, shower, position)
                    if image is not None:
                        images[tel_id] = image
                if len(images) < self.config.min_telescopes:
                    continue
                for tel_id, image in images.items():
                    row = truth | {
                        "use": use,
                        "tel_id": tel_id,
                        "core_x": core_x[i, use],
                        "core_y": core_y[i, use],
                        "image": image.charge,
                        "peak_time": image.peak_time,
                        "true_image": image.true_image,
                    }
                    if self.config.waveforms:
                        row["waveform"] = image.waveform
                    rows.append(row)
        columns = {key: np.stack([row[key] for row in rows]) for key in rows[0]} if rows else {}
        shower_index = columns.pop("shower", np.zeros(0, dtype=np.int64))
        return Chunk(energy, radius, shower_index, columns)

    def _directions(self, rng: np.random.Generator, particle: ParticleConfig, n: int) -> Array:
        """Unit vectors to where showers come from, shape (n, 3)."""
        cone = math.radians(particle.view_cone)
        offset = np.arccos(rng.uniform(math.cos(cone), 1, n))
        if particle.view_cone == 0:
            offset = np.full(n, math.radians(self.config.source_offset))
        turn = 2 * np.pi * rng.random(n)
        axes = camera_axes(self.alt, self.az)
        across = np.cos(turn)[:, np.newaxis] * axes[0] + np.sin(turn)[:, np.newaxis] * axes[1]
        return np.asarray(np.cos(offset)[:, np.newaxis] * axes[2] + np.sin(offset)[:, np.newaxis] * across)


def power_law(rng: np.random.Generator, n: int, particle: ParticleConfig) -> Array:
    """Energies in TeV drawn from the particle's power law."""
    low, high, power = particle.energy_min, particle.energy_max, particle.spectral_index + 1
    u = rng.random(n)
    if abs(power) < 1e-9:
        return np.asarray(low * (high / low) ** u)
    return np.asarray((low**power + u * (high**power - low**power)) ** (1 / power))


def write_chunk(path: Path, chunk: Chunk) -> None:
    """Write a chunk to an NPZ file, atomically."""
    values: dict[str, Any] = {
        item.name: getattr(chunk, item.name) for item in fields(Chunk) if item.name != "columns"
    }
    values |= {f"column_{key}": value for key, value in chunk.columns.items()}
    with atomic_path(path) as partial:
        np.savez(partial, **values)


def read_chunk(path: Path) -> Chunk:
    """Read what :func:`write_chunk` wrote."""
    with np.load(path) as content:
        columns = {
            key.removeprefix("column_"): content[key] for key in content.files if key.startswith("column_")
        }
        return Chunk(content["energy"], content["core_distance"], content["shower"], columns)
