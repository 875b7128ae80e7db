"""Conditions that differ between blocks of showers: night sky, gains, optics, pixels.

A block is a part of a chunk. Its conditions depend on the seed and its number only, not on the particle: no
model can tell particles by a pattern of dead pixels, and gammas, hadrons and the night sky alone have the
same conditions.
"""

import math
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from trigger_ml.core.config import NuisancesConfig, SimulationConfig
from trigger_ml.instrument import sst1m
from trigger_ml.simulation.electronics import Electronics

# told apart from the generators of showers, whose second number is a particle code
_STREAM = 7_000_000


@dataclass(frozen=True)
class Nuisances:
    """Conditions of one block; units as in :class:`~trigger_ml.core.config.NuisancesConfig`."""

    night_sky: float
    gain: float
    gain_spread: float
    throughput: float
    point_spread: float
    dead_pixels: float
    noisy_pixels: float
    pedestal_offset: float

    def to_dict(self) -> dict[str, float]:
        """Name and value of each."""
        return asdict(self)


NAMES = tuple(item.name for item in fields(Nuisances))


def ranges(config: SimulationConfig) -> dict[str, tuple[float, float]]:
    """Range of each nuisance in the order of ``NAMES``."""
    found = {name: getattr(config.nuisances, name) for name in NAMES}
    if found["night_sky"] is None:
        found["night_sky"] = (config.nsb_rate, config.nsb_rate)
    return found


@lru_cache(maxsize=4)
def _sequence(seed: int) -> qmc.Sobol:
    return qmc.Sobol(len(NAMES), scramble=True, rng=seed)


def draw(config: SimulationConfig, seed: int, block: int) -> Nuisances:
    """Conditions of a block.

    Point ``block`` of a Sobol sequence scrambled by the seed: any first blocks cover all ranges evenly, also
    jointly. Ranges are uniform, that of the night sky in its logarithm.

    Parameters
    ----------
    config : SimulationConfig
    seed : int
    block : int

    Returns
    -------
    Nuisances
    """
    sequence = _sequence(seed)
    sequence.reset()
    if block:
        sequence.fast_forward(block)
    point = sequence.random(1)[0]
    values = {}
    for share, (name, (low, high)) in zip(point.tolist(), ranges(config).items(), strict=True):
        if low == high:
            values[name] = low
        elif name == "night_sky":
            values[name] = low * (high / low) ** share
        else:
            values[name] = low + (high - low) * share
    return Nuisances(**values)


def block_generator(seed: int, block: int, tel_id: int) -> np.random.Generator:
    """Random numbers of a block's pixels and night sky in one telescope."""
    return np.random.default_rng([seed, _STREAM, block, tel_id])


def disturb(
    parts: Electronics, nuisances: Nuisances, config: NuisancesConfig, rng: np.random.Generator
) -> tuple[Electronics, NDArray[np.bool_]]:
    """The camera under a block's conditions.

    Parameters
    ----------
    parts : Electronics
        Of the nominal camera.
    nuisances : Nuisances
    config : NuisancesConfig
        Of the noise of noisy pixels.
    rng : numpy.random.Generator

    Returns
    -------
    electronics : Electronics
        Its calibration is the nominal one: it does not know.
    dead : numpy.ndarray of bool, shape (pixels,)
        A dead pixel's sensor gives no photo-electrons and its samples are constant.
    """
    n = len(parts.gain)
    order = rng.permutation(n)
    # rounded at random, so that a part below one pixel is right in the mean
    counts = [int(part * n + rng.random()) for part in (nuisances.dead_pixels, nuisances.noisy_pixels)]
    dead = np.zeros(n, dtype=bool)
    dead[order[: counts[0]]] = True
    noise = parts.noise.copy()
    noisy = order[counts[0] : sum(counts)]
    noise[noisy] *= rng.uniform(*config.noise_factor, len(noisy))
    gain = parts.gain * nuisances.gain * np.maximum(1 + nuisances.gain_spread * rng.standard_normal(n), 0.1)
    offset = nuisances.pedestal_offset * rng.standard_normal(n)
    disturbed = replace(
        parts,
        gain=np.where(dead, 0.0, gain),
        noise=np.where(dead, 0.0, noise),
        efficiency=np.where(dead, 0.0, parts.efficiency * nuisances.throughput),
        baseline_error=np.where(dead, 0.0, offset),
        rate=nuisances.night_sky + sst1m.DARK_RATE,
    )
    return disturbed, dead


def roughness(point_spread: float) -> float:
    """Random angle of reflection in radians that blurs images by ``point_spread`` degrees.

    Parameters
    ----------
    point_spread : float
        Degrees, standard deviation along each axis, beside the nominal blur.
    """
    # a mirror that is turned by an angle turns the light by twice as much
    return math.hypot(sst1m.ROUGHNESS, math.radians(point_spread) / 2)
