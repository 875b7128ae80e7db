"""What boosted trees are given of each image: Hillas parameters at two cleaning levels, and the dark pixels.

Cleaning follows the noise of each image, so that the parameters mean the same under any night sky: charges
count from the image's median, and thresholds are at least so many times the spread of its pixels.
"""

from dataclasses import dataclass

import numpy as np
from ctapipe.instrument import CameraGeometry
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from trigger_ml.core.config import EventsConfig
from trigger_ml.events.again import read_again
from trigger_ml.events.dataset import Dataset
from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.events.light import level_and_spread

__all__ = ["LEVELS", "Level", "RivalParameters", "read_parameters"]

FloatArray = NDArray[np.floating]
Numbers = NDArray[np.number]
Columns = dict[str, NDArray[np.float32]]

CHUNK = 512
DARK_SIGMA = 2.5


@dataclass(frozen=True)
class Level:
    """Tail cuts that rise with the noise.

    Parameters
    ----------
    name : str
    picture, boundary : float
        Least thresholds in photo-electrons.
    picture_sigma, boundary_sigma : float
        Least thresholds in units of the image's noise.
    """

    name: str
    picture: float
    boundary: float
    picture_sigma: float
    boundary_sigma: float

    def thresholds(self, noise: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Picture and boundary threshold of each image, shape (n, 1)."""
        column = noise[:, np.newaxis]
        return (
            np.maximum(self.picture, self.picture_sigma * column),
            np.maximum(self.boundary, self.boundary_sigma * column),
        )


LEVELS = (Level("high", 8.0, 4.0, 5.0, 2.5), Level("low", 5.0, 3.0, 3.5, 2.0))


class RivalParameters:
    """Parameters of many images of one camera.

    Parameters
    ----------
    geometry : ctapipe.instrument.CameraGeometry
        In the camera frame, with a focal length.
    """

    def __init__(self, geometry: CameraGeometry) -> None:
        self._parameters = ImageParameters(geometry)
        matrix = csr_matrix(geometry.neighbor_matrix_sparse, dtype=np.int8)
        pairs = coo_matrix(matrix)
        once = pairs.row < pairs.col
        self._pairs = pairs.row[once], pairs.col[once]
        self._neighbours = matrix

    def compute(self, images: NDArray[np.float32]) -> Columns:
        """All parameters.

        Parameters
        ----------
        images : numpy.ndarray of float32, shape (n, pixels)
            Photo-electrons; the median of an image may lie anywhere.

        Returns
        -------
        dict of str to numpy.ndarray of float32, shape (n,)
            NaN where a cleaning left nothing.
        """
        parts = [self._chunk(images[i : i + CHUNK]) for i in range(0, max(len(images), 1), CHUNK)]
        return {name: np.concatenate([part[name] for part in parts]).astype(np.float32) for name in parts[0]}

    def _chunk(self, images: NDArray[np.float32]) -> dict[str, Numbers]:
        dark, noise = level_and_spread(images)
        charge = images - dark[:, np.newaxis]
        found: dict[str, Numbers] = {"noise": noise, "total": charge.sum(axis=1)}
        for level in LEVELS:
            lit = self._parameters.clean(charge, *level.thresholds(noise))
            columns = {**self._shape(charge, lit), **self._dark(charge, lit, noise)}
            found |= {f"{name}_{level.name}": column for name, column in columns.items()}
        return found

    def _shape(self, charge: FloatArray, lit: NDArray[np.bool_]) -> dict[str, Numbers]:
        hillas = self._parameters.compute(np.asarray(charge, dtype=np.float32), lit)
        size, length, width = (hillas[f"hillas_{name}"] for name in ("intensity", "length", "width"))
        cleaned = np.where(lit, charge, 0.0)
        brightest = -np.partition(-cleaned, 2, axis=1)[:, :3]
        islands, main = self._islands(cleaned, lit)
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "size": np.log10(size),
                "length": length,
                "width": width,
                "elongation": width / length,
                "density": np.log10(size / np.where(length * width > 0, length * width, np.nan)),
                "skewness": np.abs(hillas["hillas_skewness"]),
                "kurtosis": hillas["hillas_kurtosis"],
                "r": hillas["hillas_r"],
                "turn": np.abs(np.cos(np.deg2rad(hillas["hillas_psi"] - hillas["hillas_phi"]))),
                "leakage_pixels": hillas["leakage_pixels_width_2"],
                "leakage_intensity": hillas["leakage_intensity_width_2"],
                "n_pixels": hillas["morphology_n_pixels"],
                "brightest": brightest[:, 0] / size,
                "brightest_three": brightest.sum(axis=1) / size,
                "islands": islands,
                "main_island": main / size,
            }

    def _dark(self, charge: FloatArray, lit: NDArray[np.bool_], noise: FloatArray) -> dict[str, Numbers]:
        """Sums over pixels that did not survive: of all, and of those around the image."""
        first = lit | self._touched(lit)
        second = first | self._touched(first)
        dark = ~lit
        bright = dark & (charge > DARK_SIGMA * noise[:, np.newaxis])
        return {
            "dark_sum": np.where(dark, charge, 0.0).sum(axis=1),
            "dark_bright": np.where(bright, charge, 0.0).sum(axis=1),
            "dark_pixels": bright.sum(axis=1),
            "halo_first": np.where(first & dark, charge, 0.0).sum(axis=1),
            "halo_second": np.where(second & ~first, charge, 0.0).sum(axis=1),
        }

    def _touched(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray((self._neighbours @ mask.T.astype(np.int8)).T > 0)

    def _islands(
        self, cleaned: FloatArray, lit: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Groups of touching pixels, and the charge of the brightest group, shape (n,) each."""
        number = np.cumsum(lit, axis=None).reshape(lit.shape) - 1
        nodes = int(lit.sum())
        rows, pairs = np.nonzero(lit[:, self._pairs[0]] & lit[:, self._pairs[1]])
        one, other = (number[rows, side[pairs]] for side in self._pairs)
        graph = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(nodes, nodes))
        count, group = connected_components(graph, directed=False)
        image = np.nonzero(lit)[0]
        charge = np.bincount(group, weights=cleaned[lit], minlength=count)
        owner = np.zeros(count, dtype=np.int64)
        owner[group] = image
        brightest = np.zeros(len(lit))
        np.maximum.at(brightest, owner, charge)
        return np.bincount(owner, minlength=len(lit)), brightest


def read_parameters(dataset: Dataset, config: EventsConfig) -> Columns:
    """Parameters of a dataset's events from the images in its files, dead pixels treated as for networks.

    Parameters
    ----------
    dataset : Dataset
    config : EventsConfig
        With which it was loaded.

    Returns
    -------
    dict of str to numpy.ndarray of float32, shape (len(dataset),)

    Raises
    ------
    InputError
        If a file cannot be read again, or lacks the image of an event.
    """
    found: Columns = {}
    rival, file = None, None
    for rows, table, geometry, feed in read_again(dataset, config):
        if rival is None or feed is not file:
            # one for each file: its camera may be turned
            rival, file = RivalParameters(geometry), feed
        for name, column in rival.compute(table.image).items():
            target = found.setdefault(name, np.full(len(dataset), np.nan, dtype=np.float32))
            target[rows] = column
    return found
