"""CTLearn's interpolated image map, for off-line comparison with the exact grid."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from ctapipe.instrument import CameraGeometry
from dl1_data_handler.image_mapper import BilinearMapper
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

BLOCK = 16


@dataclass(frozen=True, eq=False)
class BilinearMap:
    """Pixels to a square image by bilinear interpolation; not invertible, and no firmware can do it cheaply.

    Parameters
    ----------
    camera : str
        Name of the camera.
    shape : tuple of int
        (H, W) of the image.
    table : scipy.sparse.csr_matrix of float32, shape (pixels, H * W)
        Weight of each pixel in each cell.
    """

    camera: str
    shape: tuple[int, int]
    table: csr_matrix

    @property
    def n_pixels(self) -> int:
        """Number of the camera's pixels."""
        return int(self.table.shape[0])

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Cells that some pixel contributes to, shape (H, W)."""
        return np.asarray(np.asarray(self.table.sum(axis=0)).reshape(self.shape) > 0)

    def to_grid(self, pixels: NDArray[np.floating]) -> NDArray[np.float32]:
        """Interpolated images.

        Parameters
        ----------
        pixels : numpy.ndarray, shape (n, pixels)

        Returns
        -------
        numpy.ndarray of float32, shape (n, H, W)
        """
        pixels = np.asarray(pixels, dtype=np.float32)
        images = np.empty((len(pixels), self.table.shape[1]), dtype=np.float32)
        # the product comes transposed; blocks that fit the cache make turning it back four times faster
        for start in range(0, len(pixels), BLOCK):
            images[start : start + BLOCK] = pixels[start : start + BLOCK] @ self.table
        return images.reshape(-1, *self.shape)

    def same_layout(self, other: "BilinearMap") -> bool:
        """Whether images of both have the same shape and outline."""
        return self.shape == other.shape and bool(np.array_equal(self.mask, other.mask))

    def to_dict(self) -> dict[str, object]:
        """What JSON metadata tells about the map (its weights follow from the camera)."""
        return {"camera": self.camera, "shape": list(self.shape), "mapping": "bilinear"}


def bilinear_map(geometry: CameraGeometry) -> BilinearMap:
    """The map that dl1-data-handler's ``BilinearMapper``, CTLearn's default, makes for a camera.

    Parameters
    ----------
    geometry : ctapipe.instrument.CameraGeometry
        In the camera frame; left as it is (the mapper itself turns the one it is given).
    """
    mapper = BilinearMapper(geometry=deepcopy(geometry))
    return BilinearMap(
        camera=geometry.name,
        shape=(mapper.image_shape, mapper.image_shape),
        table=csr_matrix(mapper.mapping_table),
    )
