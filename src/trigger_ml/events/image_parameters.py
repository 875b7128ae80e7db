"""Image cleaning and Hillas parameters of many images at once."""

from functools import cached_property

import astropy.units as u
import numpy as np
from ctapipe.coordinates import TelescopeFrame
from ctapipe.instrument import CameraGeometry
from numpy.typing import NDArray

PICTURE_THRESHOLD = 8.0
"""Photo-electrons; with `BOUNDARY_THRESHOLD` the tail cuts of the SST-1M collaboration's analysis."""
BOUNDARY_THRESHOLD = 4.0
"""Photo-electrons."""

ANGLES = ("fov_lon", "fov_lat", "r", "length", "width", "phi", "psi")
"""Hillas columns in degrees."""


def neighbour_table(geometry: CameraGeometry) -> NDArray[np.intp]:
    """Neighbours of each pixel, shape (pixels, most neighbours), filled up with the number of pixels."""
    lists = geometry.neighbors
    result = np.full((len(lists), max(map(len, lists))), len(lists), dtype=np.intp)
    for pixel, own in enumerate(lists):
        result[pixel, : len(own)] = own
    return result


class ImageParameters:
    """Tail-cut cleaning and Hillas parameters, vectorized over images.

    The same definitions as ctapipe's ``tailcuts_clean`` (with at least two picture neighbours, no isolated
    pixels), ``hillas_parameters`` and ``leakage_parameters``, which take one image at a time.

    Parameters
    ----------
    geometry : ctapipe.instrument.CameraGeometry
        In the camera frame, with a focal length.
    """

    def __init__(self, geometry: CameraGeometry) -> None:
        self._geometry = geometry
        sky = geometry.transform_to(TelescopeFrame())
        self._x = sky.pix_x.to_value(u.deg)
        self._y = sky.pix_y.to_value(u.deg)

    @cached_property
    def _borders(self) -> dict[int, NDArray[np.bool_]]:
        return {width: self._geometry.get_border_pixel_mask(width) for width in (1, 2)}

    @cached_property
    def _around(self) -> NDArray[np.intp]:
        return neighbour_table(self._geometry)

    def clean(
        self,
        images: NDArray[np.float32],
        picture: float | NDArray[np.floating] = PICTURE_THRESHOLD,
        boundary: float | NDArray[np.floating] = BOUNDARY_THRESHOLD,
    ) -> NDArray[np.bool_]:
        """Pixels that survive the tail cuts.

        Parameters
        ----------
        images : numpy.ndarray, shape (n, pixels)
            Photo-electrons.
        picture, boundary : float or numpy.ndarray, shape (n, 1)
            Thresholds in photo-electrons, one for all images or one for each.

        Returns
        -------
        numpy.ndarray of bool, shape (n, pixels)
        """
        # few pixels are bright: their neighbours are looked up one by one, the others are never touched
        n, n_pixels = images.shape
        bright = np.zeros((n, n_pixels + 1), dtype=bool)  # the last column is the neighbour that is not there
        np.greater_equal(images, boundary, out=bright[:, :-1])
        event, pixel = np.nonzero(bright)
        least = picture if np.ndim(picture) == 0 else np.asarray(picture)[event, 0]
        around = self._around[pixel]
        above = images[event, pixel] >= least
        in_picture = np.zeros_like(bright)
        in_picture[event[above], pixel[above]] = True
        above[above] = in_picture[event[above, np.newaxis], around[above]].sum(axis=1) >= 2
        in_picture[:] = False
        in_picture[event[above], pixel[above]] = True
        event_column = event[:, np.newaxis]
        kept = in_picture[event_column, around].any(axis=1)
        kept |= above & bright[event_column, around].any(axis=1)
        bright[event, pixel] = kept
        return bright[:, :-1]

    def compute(self, images: NDArray[np.float32], mask: NDArray[np.bool_]) -> dict[str, NDArray[np.number]]:
        """Parameters of the cleaned images, as ctapipe names them.

        Parameters
        ----------
        images : numpy.ndarray, shape (n, pixels)
            Photo-electrons.
        mask : numpy.ndarray of bool, shape (n, pixels)
            Result of `clean`.

        Returns
        -------
        dict of str to numpy.ndarray, shape (n,)
            ``hillas_*`` (angles in degrees in the telescope frame), ``leakage_*``, ``morphology_n_pixels``.
            NaN (and 0 pixels) where nothing survived the cleaning.
        """
        charge = np.where(mask, images, 0).astype(np.float64)
        n_pixels = mask.sum(axis=1)
        size = np.where(n_pixels > 0, charge.sum(axis=1), np.nan)
        x, y = charge @ self._x / size, charge @ self._y / size
        # second moments about the origin would cancel badly far from it: take them about the image's centre
        moments: dict[tuple[int, int], NDArray[np.float64]] = {}
        dx, dy = self._x - x[:, np.newaxis], self._y - y[:, np.newaxis]
        for power in ((2, 0), (1, 1), (0, 2)):
            moments[power] = np.einsum("np,np,np->n", charge, dx ** power[0], dy ** power[1]) / size
        xx, xy, yy = moments[2, 0], moments[1, 1], moments[0, 2]
        mean, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        length = np.sqrt(mean + half)
        # rounding leaves tiny negative or positive widths for images that are a line of pixels
        squared_width = mean - half
        width = np.sqrt(np.where(squared_width > 1e-12 * mean, squared_width, 0.0) + 0 * size)
        psi = np.arctan2(2 * xy, xx - yy) / 2
        along = dx * np.cos(psi)[:, np.newaxis] + dy * np.sin(psi)[:, np.newaxis]
        with np.errstate(invalid="ignore", divide="ignore"):
            third = np.einsum("np,np->n", charge, along**3) / size / length**3
            fourth = np.einsum("np,np->n", charge, along**4) / size / length**4
            parameters = {
                "hillas_intensity": size,
                "hillas_skewness": third,
                "hillas_kurtosis": fourth,
                "hillas_fov_lon": x,
                "hillas_fov_lat": y,
                "hillas_r": np.hypot(x, y),
                "hillas_phi": np.rad2deg(np.arctan2(y, x)),
                "hillas_length": length,
                "hillas_width": width,
                "hillas_psi": np.rad2deg(np.where(length > 0, psi, np.nan)),
            }
            for border, inside in self._borders.items():
                parameters[f"leakage_pixels_width_{border}"] = (mask & inside).sum(axis=1) / np.where(
                    n_pixels > 0, n_pixels, np.nan
                )
                parameters[f"leakage_intensity_width_{border}"] = charge[:, inside].sum(axis=1) / size
        return parameters | {"morphology_n_pixels": n_pixels}
