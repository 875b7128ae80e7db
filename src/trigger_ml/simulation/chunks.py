"""Chunks of a production: triggered telescope images of some showers, simulated by one process."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.config import ParticleConfig, SimulationConfig
from trigger_ml.core.files import atomic_path
from trigger_ml.core.particles import PRIMARY_IDS
from trigger_ml.simulation.atmosphere import atmosphere_above
from trigger_ml.simulation.geometry import camera_axes
from trigger_ml.simulation.interactions import read_library
from trigger_ml.simulation.nuisances import block_generator, disturb, draw, roughness
from trigger_ml.simulation.registered import simulated_camera, simulated_trigger
from trigger_ml.simulation.shower import ShowerMaker
from trigger_ml.simulation.telescope import Image, Telescope
from trigger_ml.simulation.threshold import Threshold

Array = NDArray[np.float64]

SHOWERS_PER_CHUNK = {
    "gamma": 100, "electron": 100, "proton": 400, "helium": 400, "oxygen": 400, "iron": 400,
}  # fmt: skip
BLOCKS_PER_CHUNK = {"gamma": 4, "electron": 4, "proton": 8, "helium": 8, "oxygen": 8, "iron": 8}
"""Blocks of equal conditions in a chunk where conditions vary: about as many events of each particle."""
NIGHT_SKY = "night_sky"
"""The production without showers."""
NIGHT_SKY_BLOCKS = 8
"""Blocks in a chunk of it."""
NIGHT_SKY_EVENTS = 8
"""Clocked events in a block of it."""
NIGHT_SKY_STREAM = 8_000_000
"""Of its random numbers, where showers have their particle's code."""
GROUPS = {"columns": "column_", "blocks": "block_"}
"""Prefixes of a chunk's dictionaries in its file."""


type Row = dict[str, ArrayLike]
"""An event's, or a block's, value of each column."""
type Columns = dict[str, NDArray[Any]]
"""A table of columns of different types."""


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
    blocks : dict of str to numpy.ndarray
        A row for each block and telescope: ``block``, ``tel_id``, fields of
        :class:`~trigger_ml.simulation.clocked.Pedestal`, and true conditions by name.
    """

    energy: Array
    core_distance: Array
    shower: NDArray[np.int64]
    columns: Columns
    blocks: Columns


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
        camera, algorithm = simulated_camera(config), simulated_trigger(config)
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
                camera,
                self.atmosphere,
                self.alt,
                self.az,
                config.nsb_rate,
                config.trigger_threshold,
                seed=seed * 1000 + tel_id,
                algorithm=algorithm,
            )
            for tel_id in range(1, len(config.telescopes) + 1)
        }
        self._varied = not config.nuisances.nominal or config.accidental_rate is not None
        self._threshold = Threshold(config, self.telescopes[1])

    def n_blocks(self, name: str) -> int:
        """Blocks in each chunk of a particle; one where nothing varies."""
        if name == NIGHT_SKY:
            return NIGHT_SKY_BLOCKS
        return min(BLOCKS_PER_CHUNK[name], SHOWERS_PER_CHUNK[name]) if self._varied else 1

    def night_sky(self, index: int) -> Chunk:
        """Clocked events of all telescopes under the conditions of some blocks; no showers."""
        rows: list[Row] = []
        blocks: list[Row] = []
        for block in range(index * NIGHT_SKY_BLOCKS, (index + 1) * NIGHT_SKY_BLOCKS):
            rng = np.random.default_rng([self.seed, NIGHT_SKY_STREAM, block])
            if not self._varied:
                for telescope in self.telescopes.values():
                    telescope.renew_sky(rng)
            blocks += self._begin_block(block)
            for use in range(NIGHT_SKY_EVENTS):
                for tel_id, telescope in self.telescopes.items():
                    image = telescope.clocked(rng)
                    rows.append({"shower": block - index * NIGHT_SKY_BLOCKS, "use": use, "tel_id": tel_id,
                                 "block": block} | self._pixels(image))  # fmt: skip
        columns = _stacked(rows)
        nothing = np.zeros(0)
        return Chunk(nothing, nothing, columns.pop("shower"), columns, _stacked(blocks))

    def _begin_block(self, block: int) -> list[Row]:
        """Put the telescopes under a block's conditions; what they know of themselves, and the truth."""
        nuisances = draw(self.config, self.seed, block)
        rows: list[Row] = []
        for tel_id, telescope in self.telescopes.items():
            rng = block_generator(self.seed, block, tel_id)
            threshold = self.config.trigger_threshold
            if self._varied:
                threshold = self._threshold.at(nuisances)
                parts, _ = disturb(telescope.nominal, nuisances, self.config.nuisances, rng)
                telescope.set_conditions(
                    rng, parts, roughness(nuisances.point_spread), threshold, nuisances.gain
                )
            rows.append(
                {"block": block, "tel_id": tel_id, "trigger_threshold": threshold}
                | nuisances.to_dict()
                | vars(telescope.pedestal(rng))
            )
        return rows

    def _pixels(self, image: Image) -> Row:
        """Columns of an image."""
        columns: Row = {"image": image.charge, "peak_time": image.peak_time, "true_image": image.true_image}
        return columns | {"waveform": image.waveform} if self.config.waveforms else columns

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
        if not self._varied:
            for telescope in self.telescopes.values():
                telescope.renew_sky(rng)
        rows: list[Row] = []
        blocks: list[Row] = []
        n_blocks = self.n_blocks(name)
        for i in range(n):
            # blocks begin where a whole part of the showers is done
            local = i * n_blocks // n
            if len(blocks) == local * len(self.telescopes):
                blocks += self._begin_block(index * n_blocks + local)
            axis = -directions[i]
            shower = self.maker.make(rng, name, float(energy[i]), axis)
            truth: Row = {
                "energy": energy[i],
                "alt": math.asin(directions[i, 2]),
                "az": math.atan2(-directions[i, 1], directions[i, 0]) % (2 * math.pi),
                "h_first_int": shower.first_height,
                "x_max": shower.x_max,
                "shower": i,
                "block": index * n_blocks + local,
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
                    row: Row = truth | {
                        "use": use,
                        "tel_id": tel_id,
                        "core_x": core_x[i, use],
                        "core_y": core_y[i, use],
                    }
                    rows.append(row | self._pixels(image))
        columns = _stacked(rows)
        shower_index = columns.pop("shower", np.zeros(0, dtype=np.int64))
        return Chunk(energy, radius, shower_index, columns, _stacked(blocks))

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


def _stacked(rows: list[Row]) -> Columns:
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]} if rows else {}


def power_law(rng: np.random.Generator, n: int, particle: ParticleConfig) -> Array:
    """Energies in TeV drawn from the particle's power law."""
    low, high, power = particle.energy_min, particle.energy_max, particle.spectral_index + 1
    u = rng.random(n)
    if abs(power) < 1e-9:
        return np.asarray(low * (high / low) ** u)
    return np.asarray((low**power + u * (high**power - low**power)) ** (1 / power))


def write_chunk(path: Path, chunk: Chunk) -> None:
    """Write a chunk to an NPZ file, atomically."""
    values = {item.name: getattr(chunk, item.name) for item in fields(Chunk) if item.name not in GROUPS}
    for group, prefix in GROUPS.items():
        values |= {f"{prefix}{key}": value for key, value in getattr(chunk, group).items()}
    with atomic_path(path) as partial:
        np.savez(partial, **values)


def read_chunk(path: Path) -> Chunk:
    """Read what :func:`write_chunk` wrote."""
    with np.load(path) as content:
        groups = {
            group: {key.removeprefix(prefix): content[key] for key in content.files if key.startswith(prefix)}
            for group, prefix in GROUPS.items()
        }
        return Chunk(content["energy"], content["core_distance"], content["shower"], **groups)
