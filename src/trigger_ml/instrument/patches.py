"""A camera's patches of three pixels and its clusters of patches: what its trigger electronics can add up."""

from dataclasses import dataclass

import numpy as np
from ctapipe.instrument import CameraGeometry
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError

__all__ = ["Patches", "clusters", "patches_of_three", "triplets"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

OFF_LATTICE = 0.1
"""Part of a step of the lattice by which a pixel may lie beside its point."""


@dataclass(frozen=True, eq=False)
class Patches:
    """Which pixels form a patch and which patches a cluster.

    Parameters
    ----------
    patch_of_pixel : numpy.ndarray of int64, shape (pixels,)
        From 0 on, without a gap.
    cluster : numpy.ndarray of int64, shape (patches, 7)
        The patch itself and its neighbours, in rising order; -1 where there is none.
    cluster_19 : numpy.ndarray of int64, shape (patches, 19)
        The same with the neighbours' neighbours.

    Raises
    ------
    InputError
        If the arrays do not fit each other.
    """

    patch_of_pixel: Indices
    cluster: Indices
    cluster_19: Indices

    def __post_init__(self) -> None:
        n = len(self.cluster)
        if not np.array_equal(np.unique(self.patch_of_pixel), np.arange(n)):
            raise _wrong(f"`patch_of_pixel` does not give every patch from 0 to {n - 1} a pixel")
        for name, size, members in (("cluster", 7, self.cluster), ("cluster_19", 19, self.cluster_19)):
            if members.shape != (n, size):
                raise _wrong(f"`{name}` has shape {members.shape}, not ({n}, {size})")
            if members.min(initial=-1) < -1 or members.max(initial=-1) >= n:
                raise _wrong(f"`{name}` names a patch that is not there")
            if not (members == np.arange(n)[:, np.newaxis]).any(axis=1).all():
                raise _wrong(f"`{name}` lacks a patch in its own cluster")

    def __len__(self) -> int:
        """Number of patches."""
        return len(self.cluster)


def _wrong(why: str) -> InputError:
    return InputError("a camera's patches", why, "Correct what makes the camera's description")


def patches_of_three(x: Array, y: Array) -> tuple[Indices, Array]:
    """Group the pixels of a hexagonal lattice by three that touch each other.

    The lattice must have rows of equal x. Patches repeat on a lattice coarser than the pixels' by the square
    root of three. The first patch is the pixel of the largest x (of several: of the largest y) with its two
    neighbours of the next row; patches are numbered along rows of equal x. A patch at the edge may have fewer
    pixels.

    Parameters
    ----------
    x, y : numpy.ndarray, shape (pixels,)
        Centres of the pixels, metres.

    Returns
    -------
    patch_of_pixel : numpy.ndarray of int64, shape (pixels,)
    position : numpy.ndarray, shape (patches, 2)
        Of each patch's first pixel (its place on the lattice, where the camera has no such pixel), from that
        of the first patch in the direction of falling x and y, in units of the pixels' pitch.

    Raises
    ------
    InputError
        If the pixels do not lie on such a lattice.
    """
    pitch = float(np.min(np.hypot(x[1:] - x[0], y[1:] - y[0])))
    apex = int(np.lexsort((-y, -x))[0])
    # rows are one pixel row apart; within a row pixels are at every second half pitch
    along, across = (x[apex] - x) / (pitch * np.sqrt(3) / 2), (y[apex] - y) / (pitch / 2)
    row, column = np.rint(along).astype(int), np.rint(across).astype(int)
    beside = max(np.abs(along - row).max(), np.abs(across - column).max())
    if beside > OFF_LATTICE or np.any((row + column) % 2):
        raise _wrong("the pixels do not lie on a hexagonal lattice with rows of equal x")
    # a patch: apex at (row, column), the others at (row + 1, column -/+ 1); apices step by (1, 3) and (1, -3)
    is_apex = (column - 3 * row) % 6 == 0
    is_left = (column + 1 - 3 * (row - 1)) % 6 == 0
    apex_row = np.where(is_apex, row, row - 1)
    apex_column = np.where(is_apex, column, np.where(is_left, column + 1, column - 1))
    keys = np.stack([apex_row, apex_column], axis=1)
    centres, patch = np.unique(keys, axis=0, return_inverse=True)
    return patch.ravel().astype(np.int64), centres * (np.sqrt(3) / 2, 0.5)


def clusters(position: Array, spacing: float, rings: int) -> Indices:
    """Each patch with those around it.

    Parameters
    ----------
    position : numpy.ndarray, shape (patches, 2)
        On a hexagonal lattice.
    spacing : float
        Between neighbours, in the unit of the positions.
    rings : {1, 2}
        Rings of patches around each.

    Returns
    -------
    numpy.ndarray of int64, shape (patches, 7) or (patches, 19)
        In rising order; -1 where there is no patch.
    """
    distance = np.hypot(*(position[:, np.newaxis] - position).transpose(2, 0, 1))
    found = np.full((len(position), 1 + 3 * rings * (rings + 1)), -1, dtype=np.int64)
    # the next ring begins at 1.73 (of one) and 2.65 (of two) spacings
    for i, near in enumerate(distance < (rings + 0.05) * spacing):
        members = np.flatnonzero(near)
        found[i, : len(members)] = members
    return found


def triplets(geometry: CameraGeometry) -> Patches:
    """Patches of three pixels with their clusters, of a camera whose pixel rows have equal x.

    For DigiCam these are the 432 patches of its trigger, in the numbers of its software.

    Parameters
    ----------
    geometry : ctapipe.instrument.CameraGeometry
        Hexagonal pixels, in the camera frame.

    Raises
    ------
    InputError
        If the pixels lie otherwise.
    """
    patch, position = patches_of_three(geometry.pix_x.to_value("m"), geometry.pix_y.to_value("m"))
    spacing = float(np.sqrt(3))
    return Patches(patch, clusters(position, spacing, 1), clusters(position, spacing, 2))
