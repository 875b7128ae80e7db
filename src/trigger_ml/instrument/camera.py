"""From a camera's pixels to a rectangular grid without interpolation, and back."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from ctapipe.instrument import CameraGeometry
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError

HEXAGONAL_NEIGHBOURS = ((-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0))
"""(row, column) steps to the six neighbours of a hexagonal pixel: 3x3 without two opposite corners."""
SQUARE_NEIGHBOURS = ((-1, 0), (0, -1), (0, 1), (1, 0))
"""(row, column) steps to the four neighbours of a square pixel."""


def _hexagonal_symmetries() -> list[NDArray[np.int64]]:
    """The twelve matrices on (row, column) that map `HEXAGONAL_NEIGHBOURS` onto itself, identity first."""
    turn = np.array([[1, 1], [-1, 0]])
    turns = [np.linalg.matrix_power(turn, n) for n in range(6)]
    return turns + [matrix @ np.array([[0, 1], [1, 0]]) for matrix in turns]


@dataclass(frozen=True, eq=False)
class AxialGrid:
    """Which cell of a rectangular grid each pixel of a camera has.

    Parameters
    ----------
    camera : str
        Name of the camera.
    shape : tuple of int
        (H, W) of the grid.
    rows, columns : numpy.ndarray of int64, shape (pixels,)
        Cell of each pixel; no two pixels share one.
    """

    camera: str
    shape: tuple[int, int]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    @property
    def n_pixels(self) -> int:
        """Number of the camera's pixels."""
        return len(self.rows)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Cells that hold a pixel, shape (H, W)."""
        mask = np.zeros(self.shape, dtype=bool)
        mask[self.rows, self.columns] = True
        return mask

    @cached_property
    def pixel_of_cell(self) -> NDArray[np.int64]:
        """Pixel of each cell of the flattened grid, shape (H * W,); ``n_pixels`` where there is none."""
        pixels = np.full(self.shape, self.n_pixels, dtype=np.int64)
        pixels[self.rows, self.columns] = np.arange(self.n_pixels)
        return pixels.ravel()

    def to_grid[T: np.generic](self, pixels: NDArray[T]) -> NDArray[T]:
        """Images on the grid; cells without a pixel are zero.

        Parameters
        ----------
        pixels : numpy.ndarray, shape (n, pixels)

        Returns
        -------
        numpy.ndarray of the same dtype, shape (n, H, W)
        """
        self.check(pixels)
        padded = np.concatenate([pixels, np.zeros((len(pixels), 1), pixels.dtype)], axis=1)
        return padded[:, self.pixel_of_cell].reshape(-1, *self.shape)

    def check(self, pixels: NDArray[np.generic]) -> None:
        """Refuse images of another camera.

        Raises
        ------
        ValueError
            If their shape is not (n, pixels).
        """
        self._check(pixels.shape[1:] == (self.n_pixels,), pixels.shape, f"(n, {self.n_pixels})")

    def to_pixels[T: np.generic](self, grid: NDArray[T]) -> NDArray[T]:
        """Images in the camera's pixel order: the inverse of `to_grid`.

        Parameters
        ----------
        grid : numpy.ndarray, shape (n, H, W)

        Returns
        -------
        numpy.ndarray of the same dtype, shape (n, pixels)
        """
        self._check(grid.shape[1:] == self.shape, grid.shape, f"(n, {self.shape[0]}, {self.shape[1]})")
        return np.asarray(grid[:, self.rows, self.columns])

    @cached_property
    def symmetries(self) -> NDArray[np.int64]:
        """Rotations and reflections that carry the camera into itself, as permutations of the cells.

        A hexagonal lattice has twelve; a camera has those of them that also carry its outline into itself
        (DigiCam, whose centre is a corner of three pixels: three rotations). Integer arithmetic about the
        centre of the pixels: nothing is interpolated.

        Returns
        -------
        numpy.ndarray of int64, shape (n, H * W)
            For each symmetry, the flat cell from which each flat cell takes its value; the first is the
            identity. Cells without a pixel keep theirs.
        """
        cells = np.stack([self.rows, self.columns])
        # relative to the centre, in units of one over the number of pixels
        centred = cells * self.n_pixels - cells.sum(axis=1, keepdims=True)
        number = {tuple(point): pixel for pixel, point in enumerate(centred.T.tolist())}
        flat = self.rows * self.shape[1] + self.columns
        found = []
        for matrix in _hexagonal_symmetries():
            source = [number.get(tuple(point)) for point in (matrix @ centred).T.tolist()]
            if None in source:
                continue
            permutation = np.arange(self.mask.size)
            permutation[flat] = flat[np.array(source, dtype=np.int64)]
            found.append(permutation)
        return np.stack(found)

    def same_layout(self, other: "AxialGrid") -> bool:
        """Whether both have the same cells, so that images on them have the same shape and outline.

        The pixel numbering may differ: that is what the grid takes care of.
        """
        return self.shape == other.shape and bool(np.array_equal(self.mask, other.mask))

    def to_dict(self) -> dict[str, Any]:
        """Content as plain values for JSON."""
        return {
            "camera": self.camera,
            "shape": list(self.shape),
            "rows": self.rows.tolist(),
            "columns": self.columns.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        height, width = values["shape"]
        return cls(
            camera=values["camera"],
            shape=(height, width),
            rows=np.asarray(values["rows"], dtype=np.int64),
            columns=np.asarray(values["columns"], dtype=np.int64),
        )

    @staticmethod
    def _check(good: bool, shape: tuple[int, ...], expected: str) -> None:
        if not good:
            raise ValueError(f"images have shape {shape}, this camera's are {expected}")


def axial_grid(geometry: CameraGeometry) -> AxialGrid:
    """Grid of a camera with hexagonal pixels (axial coordinates) or square ones (their own rows and columns).

    The cells are those of ctapipe's `CameraGeometry.image_to_cartesian_representation`. The steps between
    neighbours are `HEXAGONAL_NEIGHBOURS` or `SQUARE_NEIGHBOURS` for every camera; a camera for which
    ctapipe's addressing gives the mirrored set has its columns turned round.

    Parameters
    ----------
    geometry : ctapipe.instrument.CameraGeometry
        In the camera frame.

    Returns
    -------
    AxialGrid

    Raises
    ------
    InputError
        If the pixels do not lie on a regular lattice: two share a cell, or neighbours are apart.
    """
    rows, columns = (
        np.asarray(axis, dtype=np.int64)
        for axis in geometry.image_index_to_cartesian_index(np.arange(geometry.n_pixels))
    )
    with warnings.catch_warnings():
        # an irregular camera is reported below, as an error
        warnings.filterwarnings("ignore", message="Neighbor matrix is not symmetric")
        first, second = geometry.neighbor_matrix_sparse.nonzero()

    def steps(columns: NDArray[np.int64]) -> set[tuple[int, int]]:
        return set(
            zip(
                (rows[second] - rows[first]).tolist(),
                (columns[second] - columns[first]).tolist(),
                strict=True,
            )
        )

    allowed = SQUARE_NEIGHBOURS if geometry.grid_type.value == "square" else HEXAGONAL_NEIGHBOURS
    if not steps(columns) <= set(allowed):
        columns = columns.max() - columns
    height, width = int(rows.max()) + 1, int(columns.max()) + 1
    cells = rows * width + columns
    if len(np.unique(cells)) != geometry.n_pixels or not steps(columns) <= set(allowed):
        raise InputError(
            f"camera {geometry.name}",
            "its pixels do not lie on a regular hexagonal or square lattice",
            "Check the pixel positions and pixel rotation that the file gives",
        )
    return AxialGrid(camera=geometry.name, shape=(height, width), rows=rows, columns=columns)
