"""Directions and rotations shared by the transport and the telescope (compiled)."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.simulation.atmosphere import LOOKUP_LOW, LOOKUP_SCALE, LOOKUP_SIZE

Array = NDArray[np.float64]


def sky_direction(alt: float, az: float) -> Array:
    """Unit vector to a point of the sky in ctapipe's ground frame (x north, y west, z up); radians."""
    return np.array([math.cos(alt) * math.cos(az), -math.cos(alt) * math.sin(az), math.sin(alt)])


def camera_axes(alt: float, az: float) -> Array:
    """Unit vectors of increasing altitude and azimuth and of the pointing itself, shape (3, 3), as rows."""
    return np.array(
        [
            [-math.sin(alt) * math.cos(az), math.sin(alt) * math.sin(az), math.cos(alt)],
            [-math.sin(az), -math.cos(az), 0.0],
            sky_direction(alt, az),
        ]
    )


@njit(cache=True, fastmath=True)
def deflect(ux: float, uy: float, uz: float, a: float, b: float) -> tuple[float, float, float]:
    """Turn a unit vector by the tangents ``a`` and ``b`` along two directions perpendicular to it."""
    if abs(uz) < 0.99:
        norm = 1.0 / math.sqrt(ux * ux + uy * uy)
        ex, ey, ez = -uy * norm, ux * norm, 0.0
    else:
        norm = 1.0 / math.sqrt(uy * uy + uz * uz)
        ex, ey, ez = 0.0, uz * norm, -uy * norm
    fx, fy, fz = uy * ez - uz * ey, uz * ex - ux * ez, ux * ey - uy * ex
    vx, vy, vz = ux + a * ex + b * fx, uy + a * ey + b * fy, uz + a * ez + b * fz
    norm = 1.0 / math.sqrt(vx * vx + vy * vy + vz * vz)
    return vx * norm, vy * norm, vz * norm


@njit(cache=True, fastmath=True)
def air(table: Array, depth: float) -> tuple[float, float]:
    """Height (m) and n - 1 at a vertical depth (g/cm2), from ``Atmosphere.lookup``."""
    position = (math.log(depth) - LOOKUP_LOW) * LOOKUP_SCALE
    index = min(max(int(position), 0), LOOKUP_SIZE - 2)
    part = position - index
    return (
        table[index, 0] + part * (table[index + 1, 0] - table[index, 0]),
        table[index, 1] + part * (table[index + 1, 1] - table[index, 1]),
    )


@njit(cache=True)
def grown[T: np.generic](rows: NDArray[T]) -> NDArray[T]:
    """A copy of a table with twice the rows, the new ones unset."""
    larger = np.empty((2 * rows.shape[0], rows.shape[1]), rows.dtype)
    larger[: rows.shape[0]] = rows
    return larger
