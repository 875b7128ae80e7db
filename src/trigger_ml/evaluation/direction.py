"""Direction reconstruction, on the sphere: separations, containment, bias of both coordinates.

The model gives camera offsets: longitude and latitude in degrees in the frame whose origin is the pointing
(ctapipe's TelescopeFrame: longitude along azimuth, latitude along altitude). They are turned into sky
coordinates by astropy's spherical functions, which hold at azimuth 0/360 and at the zenith.
"""

import numpy as np
from astropy.coordinates import angular_separation, offset_by, position_angle
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from trigger_ml.core.documents.details import Cells, Containment
from trigger_ml.evaluation.uncertainty import Resamples, intervals

__all__ = [
    "camera_offsets",
    "circular_difference",
    "containment",
    "density",
    "direction_metrics",
    "sky_direction",
]

FloatArray = NDArray[np.float64]

# probability content of one standard deviation, the containment that "68 %" stands for
ONE_SIGMA = float(chi2.cdf(1, 1))


def _radians(*columns: ArrayLike) -> list[FloatArray]:
    return [np.asarray(column, dtype=np.float64) for column in columns]


def camera_offsets(
    alt: ArrayLike, az: ArrayLike, pointing_alt: ArrayLike, pointing_az: ArrayLike
) -> FloatArray:
    """Offsets of sky directions from the pointing.

    Parameters
    ----------
    alt, az, pointing_alt, pointing_az : array_like of float, shape (events,)
        Radians.

    Returns
    -------
    numpy.ndarray of float64, shape (events, 2)
        Longitude and latitude in degrees: what a ``direction`` model learns.
    """
    alt_, az_, alt0, az0 = _radians(alt, az, pointing_alt, pointing_az)
    angle = np.asarray(position_angle(az0, alt0, az_, alt_), dtype=np.float64)
    lon, lat = offset_by(0.0, 0.0, angle, angular_separation(az0, alt0, az_, alt_))
    return np.stack([lon.wrap_at("180d").deg, lat.deg], axis=1)


def sky_direction(
    offsets: ArrayLike, pointing_alt: ArrayLike, pointing_az: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Sky directions of camera offsets: the inverse of `camera_offsets`.

    Returns
    -------
    alt, az : numpy.ndarray of float64, shape (events,)
        Radians; azimuth in [0, 2 pi).
    """
    lon, lat = np.deg2rad(np.asarray(offsets, dtype=np.float64)).T
    alt0, az0 = _radians(pointing_alt, pointing_az)
    angle = np.asarray(position_angle(0.0, 0.0, lon, lat), dtype=np.float64)
    az, alt = offset_by(az0, alt0, angle, angular_separation(0.0, 0.0, lon, lat))
    return np.asarray(alt.rad, dtype=np.float64), np.asarray(az.rad, dtype=np.float64)


def circular_difference(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """Difference of angles in radians, in [-pi, pi)."""
    first_, second_ = _radians(first, second)
    return (first_ - second_ + np.pi) % (2 * np.pi) - np.pi


def separation(alt: ArrayLike, az: ArrayLike, true_alt: ArrayLike, true_az: ArrayLike) -> FloatArray:
    """Angle in degrees between directions given in radians."""
    alt_, az_, alt0, az0 = _radians(alt, az, true_alt, true_az)
    return np.rad2deg(np.asarray(angular_separation(az_, alt_, az0, alt0), dtype=np.float64))


def direction_metrics(
    resamples: Resamples,
    alt: FloatArray,
    az: FloatArray,
    true_alt: FloatArray,
    true_az: FloatArray,
    bins: NDArray[np.int64],
    n_bins: int,
) -> dict[str, FloatArray]:
    """All figures of merit of the direction, in degrees.

    Parameters
    ----------
    resamples : Resamples
    alt, az, true_alt, true_az : numpy.ndarray of float64, shape (events,)
        Radians.
    bins : numpy.ndarray of int64, shape (events,)
    n_bins : int

    Returns
    -------
    dict of str to numpy.ndarray of float64, shape (n_bins, 1 + resamples)
        ``angular_resolution`` (68.27 % containment of the separation), ``mean_separation``,
        ``rms_separation``, ``azimuth_mae`` (circular), ``altitude_mae``, and bias and standard deviation
        of both coordinates.
    """
    angle = separation(alt, az, true_alt, true_az)
    d_az = np.rad2deg(circular_difference(az, true_az))
    d_alt = np.rad2deg(alt - true_alt)
    columns = [np.ones(len(angle)), angle, angle**2]
    for d in (d_az, d_alt):
        columns += [np.abs(d), d, d**2]
    n, *sums = resamples.sums(np.stack(columns, axis=1), bins, n_bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, square, az_abs, az_mean, az_square, alt_abs, alt_mean, alt_square = (s / n for s in sums)
        return {
            "angular_resolution": resamples.quantiles(angle, (ONE_SIGMA,), bins, n_bins)[0],
            "mean_separation": mean,
            "rms_separation": np.sqrt(square),
            "azimuth_mae": az_abs,
            "altitude_mae": alt_abs,
            "azimuth_bias": az_mean,
            "altitude_bias": alt_mean,
            "azimuth_std": np.sqrt(np.maximum(az_square - az_mean**2, 0.0)),
            "altitude_std": np.sqrt(np.maximum(alt_square - alt_mean**2, 0.0)),
        }


def containment(
    resamples: Resamples, angle: FloatArray, limit: float, confidence: float, points: int = 60
) -> Containment:
    """Fraction of events within an angle, for angles up to a limit.

    Parameters
    ----------
    angle : numpy.ndarray of float64, shape (events,)
        Degrees.
    limit : float
        Degrees.
    """
    edges = np.linspace(0, limit, points + 1)
    cell = np.minimum(np.searchsorted(edges, angle, side="left"), points + 1).astype(np.int64)
    content = resamples.sums(np.ones((len(angle), 1)), cell, points + 2)[0]
    fraction = np.cumsum(content, axis=0)[1:-1] / content.sum(axis=0)
    rows = intervals(fraction, confidence)
    return Containment(tuple(edges[1:].tolist()), tuple(row.estimate() for row in rows))


def density(offsets: FloatArray, limit: float, cells: int = 60) -> Cells:
    """Events in cells of camera latitude (rows) and longitude (columns) around the pointing, in degrees."""
    edges = np.linspace(-limit, limit, cells + 1)
    events = np.histogram2d(offsets[:, 1], offsets[:, 0], [edges, edges])[0].astype(int)
    rows = tuple(map(tuple, events.tolist()))
    return Cells(tuple(edges.tolist()), rows, int(len(offsets) - events.sum()))
