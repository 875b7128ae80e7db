"""The camera's own trigger: sums of patches of three pixels over clusters of seven patches (compiled)."""

from dataclasses import dataclass

import numpy as np
from ctapipe.instrument import CameraGeometry
from numba import njit
from numpy.typing import NDArray

PATCH_MAX = 255
"""A patch's sum is clipped to 8 bits."""
CLUSTER_SIZE = 7
"""Patches of a cluster that is not at the edge."""


@dataclass(frozen=True, eq=False)
class Patches:
    """Which pixels form a patch and which patches a cluster.

    Parameters
    ----------
    patch_of_pixel : numpy.ndarray of int64, shape (pixels,)
    cluster : numpy.ndarray of int64, shape (patches, 7)
        The patch itself and its neighbours; -1 where there is none.
    """

    patch_of_pixel: NDArray[np.int64]
    cluster: NDArray[np.int64]


def build_patches(geometry: CameraGeometry) -> Patches:
    """DigiCam's 432 patches of three pixels that touch each other.

    Patches repeat on a lattice coarser than the pixels' by the square root of three. The first patch is the
    pixel of the largest x with its two neighbours of the next row; patches are numbered along rows of equal
    x.
    """
    x, y = geometry.pix_x.to_value("m"), geometry.pix_y.to_value("m")
    pitch = float(np.min(np.hypot(x[1:] - x[0], y[1:] - y[0])))
    height = pitch * np.sqrt(3) / 2
    apex = int(np.lexsort((-y, -x))[0])
    # centres in rows one pixel row apart; within a row every third half pitch
    row = np.rint((x[apex] - x) / height).astype(int)
    column = np.rint((y[apex] - y) / (pitch / 2)).astype(int)
    # a patch: apex at (row, column), the others at (row + 1, column -/+ 1); apices step by (1, 3) and (1, -3)
    is_apex = (column - 3 * row) % 6 == 0
    is_left = (column + 1 - 3 * (row - 1)) % 6 == 0
    apex_row = np.where(is_apex, row, row - 1)
    apex_column = np.where(is_apex, column, np.where(is_left, column + 1, column - 1))
    keys = np.stack([apex_row, apex_column], axis=1)
    centres, patch = np.unique(keys, axis=0, return_inverse=True)
    position = np.stack([centres[:, 0] * height, centres[:, 1] * pitch / 2], axis=1)
    distance = np.hypot(*(position[:, np.newaxis] - position).transpose(2, 0, 1))
    near = distance < 1.05 * np.sqrt(3) * pitch
    cluster = np.full((len(centres), 7), -1)
    for i, row_mask in enumerate(near):
        members = np.flatnonzero(row_mask)
        cluster[i, : len(members)] = members
    return Patches(patch.ravel().astype(np.int64), cluster.astype(np.int64))


@njit(cache=True)
def patch_sums(
    waveform: NDArray[np.float32], patch_of_pixel: NDArray[np.int64], n_patches: int, first: int, last: int
) -> NDArray[np.float64]:
    """Clipped sum of every patch in the samples [first, last), ADC counts, shape (patches, last - first)."""
    sums = np.zeros((n_patches, last - first))
    for p in range(waveform.shape[0]):
        for k in range(first, last):
            sums[patch_of_pixel[p], k - first] += waveform[p, k]
    for patch in range(n_patches):
        for k in range(last - first):
            sums[patch, k] = min(max(np.floor(sums[patch, k]), 0.0), PATCH_MAX)
    return sums


@njit(cache=True)
def cluster_peak(
    waveform: NDArray[np.float32],
    patch_of_pixel: NDArray[np.int64],
    cluster: NDArray[np.int64],
    first: int,
    last: int,
) -> float:
    """Largest cluster sum of a camera.

    Parameters
    ----------
    waveform : numpy.ndarray of float32, shape (pixels, samples)
        ADC counts above the baseline.
    patch_of_pixel, cluster
        Fields of :class:`Patches`.
    first, last : int
        Samples [first, last) to look at.

    Returns
    -------
    float
        ADC counts: patches are clipped to [0, 255] as the hardware does.
    """
    n_patches = cluster.shape[0]
    sums = np.zeros((n_patches, last - first))
    for p in range(waveform.shape[0]):
        for k in range(first, last):
            sums[patch_of_pixel[p], k - first] += waveform[p, k]
    best = 0.0
    for patch in range(n_patches):
        for k in range(last - first):
            sums[patch, k] = min(max(np.floor(sums[patch, k]), 0.0), PATCH_MAX)
    for patch in range(n_patches):
        for k in range(last - first):
            total = 0.0
            for j in range(7):
                if cluster[patch, j] >= 0:
                    total += sums[cluster[patch, j], k]
            best = max(best, total)
    return best
