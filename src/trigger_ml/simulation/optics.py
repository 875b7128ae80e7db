"""The Davies-Cotton mirror and the pixels: from photons at the aperture to photo-electrons' pixels and
times.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ctapipe.instrument import CameraGeometry
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trigger_ml.instrument import sst1m
from trigger_ml.simulation.cherenkov import LIGHT_SPEED

Array = NDArray[np.float64]

RASTER = 0.003
"""Metres: cells of the map from positions to pixels."""
CELL_RADIUS = 0.01403
"""Metres: outer circle of a pixel's hexagonal cell."""


def facet_centres() -> Array:
    """Centres of the 18 facets on the aperture plane, shape (18, 2), metres: two rings around a missing
    one.
    """
    points = []
    for q in range(-2, 3):
        for r in range(-2, 3):
            if 0 < max(abs(q), abs(r), abs(q + r)) <= 2:
                points.append((q + r / 2, r * math.sqrt(3) / 2))
    return np.array(points) * sst1m.FACET_PITCH


@dataclass(frozen=True, eq=False)
class Optics:
    """The mirror's facets and the camera's pixels, as tables for the compiled ray tracing.

    Parameters
    ----------
    facets : numpy.ndarray, shape (18, 2)
        Centres, metres.
    normals : numpy.ndarray, shape (18, 3)
        Unit normals at the facets' centres, misaligned.
    focal_lengths : numpy.ndarray, shape (18,)
        Metres.
    pixels : numpy.ndarray, shape (pixels, 2)
        Positions in ctapipe's camera frame, metres.
    neighbours : numpy.ndarray of int64, shape (pixels, 6)
        -1 where there is none.
    raster : numpy.ndarray of int64, shape (n, n)
        Pixel near each cell of ``RASTER`` metres; -1 outside the camera.
    """

    facets: Array
    normals: Array
    focal_lengths: Array
    pixels: Array
    neighbours: NDArray[np.int64]
    raster: NDArray[np.int64]

    @cached_property
    def area(self) -> float:
        """Of the facets, m2."""
        return len(self.facets) * math.sqrt(3) / 2 * sst1m.FACET_SIZE**2

    @cached_property
    def radius(self) -> float:
        """Of a circle around all facets, metres."""
        return float(np.hypot(*self.facets.T).max() + sst1m.FACET_SIZE / math.sqrt(3))


def build_optics(geometry: CameraGeometry, rng: np.random.Generator) -> Optics:
    """The telescope's mirror and camera, with misalignments drawn once."""
    facets = facet_centres()
    f = sst1m.FOCAL_LENGTH
    height = f - np.sqrt(f**2 - (facets**2).sum(axis=1))
    normals = np.column_stack([-facets, 2 * f - height])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals[:, :2] += rng.normal(0, sst1m.ALIGNMENT, (len(facets), 2))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    focal = f + rng.normal(0, sst1m.FACET_FOCAL_SPREAD, len(facets))
    pixels = np.column_stack([geometry.pix_x.to_value("m"), geometry.pix_y.to_value("m")])
    neighbours = np.full((len(pixels), 6), -1)
    for pixel, others in enumerate(geometry.neighbors):
        neighbours[pixel, : len(others)] = list(others)
    half = int(np.ceil(np.abs(pixels).max() / RASTER)) + 6
    x, y = np.meshgrid(np.arange(-half, half + 1), np.arange(-half, half + 1), indexing="ij")
    cells = np.column_stack([x.ravel(), y.ravel()]) * RASTER
    distance, nearest = cKDTree(pixels).query(cells)
    raster = np.where(distance < sst1m.PIXEL_PITCH, nearest, -1).astype(np.int64)
    return Optics(facets, normals, focal, pixels, neighbours, raster.reshape(x.shape))


@njit(cache=True, fastmath=True)
def _facet_at(x: float, y: float, facets: Array) -> int:
    """Facet under a point of the aperture plane, or -1."""
    for i in range(facets.shape[0]):
        a, b = abs(x - facets[i, 0]), abs(y - facets[i, 1])
        if a <= 0.5 * sst1m.FACET_SIZE and 0.8660254 * b + 0.5 * a <= 0.5 * sst1m.FACET_SIZE:
            return i
    return -1


@njit(cache=True, fastmath=True)
def _pixel_at(
    x: float, y: float, pixels: Array, neighbours: NDArray[np.int64], raster: NDArray[np.int64]
) -> int:
    """Pixel whose hexagonal cell holds a point of the camera, or -1."""
    half = raster.shape[0] // 2
    i, j = math.floor(x / RASTER + 0.5) + half, math.floor(y / RASTER + 0.5) + half
    if i < 0 or j < 0 or i >= raster.shape[0] or j >= raster.shape[1]:
        return -1
    best = raster[i, j]
    if best < 0:
        return -1
    least = (x - pixels[best, 0]) ** 2 + (y - pixels[best, 1]) ** 2
    first = best
    for k in range(6):
        other = neighbours[first, k]
        if other >= 0:
            d = (x - pixels[other, 0]) ** 2 + (y - pixels[other, 1]) ** 2
            if d < least:
                best, least = other, d
    return best if least < CELL_RADIUS**2 else -1


@njit(cache=True, fastmath=True)
def trace(
    rng: np.random.Generator,
    photons: Array,
    count: int,
    facets: Array,
    normals: Array,
    focal_lengths: Array,
    pixels: Array,
    neighbours: NDArray[np.int64],
    raster: NDArray[np.int64],
    roughness: float = sst1m.ROUGHNESS,
) -> tuple[NDArray[np.int64], Array, Array]:
    """Reflect photons and find their pixels.

    Parameters
    ----------
    rng : numpy.random.Generator
    photons : numpy.ndarray, shape (capacity, PHOTON_COLUMNS)
    count : int
        Rows in use.
    facets, normals, focal_lengths, pixels, neighbours, raster
        Fields of :class:`Optics`.
    roughness : float
        Random angle of reflection, radians.

    Returns
    -------
    pixel : numpy.ndarray of int64, shape (count,)
        -1 for photons that miss a facet or the camera.
    time : numpy.ndarray, shape (count,)
        Nanoseconds, at the camera.
    position : numpy.ndarray, shape (count, 2)
        In the camera frame, metres; NaN for photons that miss the facets.
    """
    pixel = np.full(count, -1, np.int64)
    time = np.zeros(count)
    position = np.full((count, 2), np.nan)
    f = sst1m.FOCAL_LENGTH
    plane = f + sst1m.FOCUS_OFFSET
    for i in range(count):
        tx, ty, px, py = photons[i, 0], photons[i, 1], photons[i, 3], photons[i, 4]
        facet = _facet_at(px, py, facets)
        if facet < 0:
            continue
        cx, cy = facets[facet, 0], facets[facet, 1]
        cz = f - math.sqrt(f * f - cx * cx - cy * cy)
        nx, ny, nz = normals[facet, 0], normals[facet, 1], normals[facet, 2]
        # where the ray meets the facet: its plane, then the sag of the sphere
        hz = cz - (nx * (px - cx) + ny * (py - cy)) / nz
        hx, hy = px + tx * hz, py + ty * hz
        a, b = hx - cx, hy - cy
        hz = cz - (nx * a + ny * b) / nz + (a * a + b * b) / (4 * focal_lengths[facet])
        hx, hy = px + tx * hz, py + ty * hz
        radius = 2 * focal_lengths[facet]
        mx, my, mz = cx + radius * nx - hx, cy + radius * ny - hy, cz + radius * nz - hz
        norm = 1 / math.sqrt(mx * mx + my * my + mz * mz)
        mx = mx * norm + roughness * rng.standard_normal()
        my = my * norm + roughness * rng.standard_normal()
        mz *= norm
        slope = 1 / math.sqrt(1 + tx * tx + ty * ty)
        vx, vy, vz = -tx * slope, -ty * slope, -slope
        dot = 2 * (vx * mx + vy * my + vz * mz)
        wx, wy, wz = vx - dot * mx, vy - dot * my, vz - dot * mz
        flight = (plane - hz) / wz
        x, y = -(hx + flight * wx), -(hy + flight * wy)
        time[i] = photons[i, 2] + (flight - hz / slope) / LIGHT_SPEED
        position[i, 0], position[i, 1] = x, y
        pixel[i] = _pixel_at(x, y, pixels, neighbours, raster)
    return pixel, time, position
