"""Cherenkov light: from charged tracks to the photo-electrons' photons at one telescope (compiled).

Light of electrons is taken by next-event estimation: for every track segment the mean number of
photo-electrons at the telescope is calculated and a Poisson number drawn, so that no photon is made that
misses the mirror. Within a segment the direction of the electron is a bivariate normal distribution around
the chord; smeared so, the Cherenkov cone of angle c has the density of Rice's distribution,
``exp(-(a - c)^2 / 2 s^2) I0e(a c / s^2) / (2 pi s^2)`` per steradian at the angle ``a`` from the chord.
Tracks of muons and hadrons are nearly straight: their photons are drawn along the cone itself.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.simulation.geometry import grown

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

LIGHT_SPEED = 0.299792458
"""m / ns."""
YIELD_PER_METRE = 2 * math.pi / 137.035999
"""Photons per metre, per sin^2 of the Cherenkov angle and per inverse metre of wavelength."""
TABLE_STEP = 50.0
"""Metres of height between rows of a light table."""
# Columns of a photon at the telescope: tangents of its direction on the sky along the camera axes, time (ns),
# impact on the aperture plane along the camera axes (m)
PHOTON_COLUMNS = 5
# Columns of a muon's or hadron's straight track: start x, y, height (m), direction, length (m),
# m^2 / E^2, variance of the direction (rad2, per plane), delay at the start (m), weight
TRACK_COLUMNS = 11
# metres of optical path per g/cm2: (n - 1) / density
_OPTICAL = 2.829e-4 / 1.225 * 10.0


def light_table(
    heights: Array,
    depths: Array,
    refractivity: Array,
    transmission: Array,
    wavelength: Array,
    efficiency: Array,
) -> Array:
    """Photo-electrons by height of emission, for the compiled light functions.

    Parameters
    ----------
    heights : numpy.ndarray, shape (n,)
        Metres, in steps of ``TABLE_STEP`` from 0.
    depths, refractivity : numpy.ndarray, shape (n,)
        Vertical depth (g/cm2) and n - 1.
    transmission : numpy.ndarray, shape (n, m)
        Of the atmosphere to the telescope.
    wavelength, efficiency : numpy.ndarray, shape (m,)
        Nanometres; photo-electrons per photon on the mirror.

    Returns
    -------
    numpy.ndarray, shape (n, 3)
        Photo-electrons per metre and per sin^2 of the Cherenkov angle (Frank and Tamm), depth, n - 1.
    """
    integral = np.trapezoid(transmission * efficiency / (wavelength * 1e-9) ** 2, wavelength * 1e-9, axis=1)
    return np.stack([YIELD_PER_METRE * integral, depths, refractivity], axis=1)


@njit(cache=True, fastmath=True)
def _bessel_i0e(x: float) -> float:
    """``exp(-x) I0(x)`` for x >= 0 (Abramowitz and Stegun 9.8.1 and 9.8.2)."""
    if x < 3.75:
        t = (x / 3.75) ** 2
        value = 1 + t * (
            3.5156229 + t * (3.0899424 + t * (1.2067492 + t * (0.2659732 + t * (0.0360768 + t * 0.0045813))))
        )
        return math.exp(-x) * value
    t = 3.75 / x
    value = 0.39894228 + t * (
        0.01328592
        + t
        * (
            0.00225319
            + t
            * (
                -0.00157565
                + t * (0.00916281 + t * (-0.02057706 + t * (0.02635537 + t * (-0.01647633 + t * 0.00392377))))
            )
        )
    )
    return value / math.sqrt(x)


@njit(cache=True, fastmath=True)
def expected(row: Array32, telescope: Array, table: Array, area: float) -> float:
    """Mean photo-electrons that one electron segment gives at a telescope.

    Parameters
    ----------
    row : numpy.ndarray of float32, shape (SEGMENT_COLUMNS,)
    telescope : numpy.ndarray, shape (3,)
        x, y relative to the shower's core, height above sea level; metres.
    table : numpy.ndarray
        From :func:`light_table`.
    area : float
        Mirror area in m2 (shadowing belongs to the efficiency).

    Returns
    -------
    float
    """
    dx, dy, dz = telescope[0] - row[0], telescope[1] - row[1], telescope[2] - row[2]
    distance2 = dx * dx + dy * dy + dz * dz
    along = dx * row[3] + dy * row[4] + dz * row[5]
    if along <= 0:
        return 0.0
    across2 = distance2 - along * along
    # the mirror's size smears too
    variance = row[9] + 0.25 * area / math.pi / distance2
    angle = math.sqrt(max(across2, 0.0)) / along
    off = angle - row[7]
    power = 0.5 * off * off / variance
    if power > 9.0:
        return 0.0
    index = min(max(int(row[2] / TABLE_STEP), 0), table.shape[0] - 1)
    return float(
        row[8]
        * table[index, 0]
        * area
        / distance2
        * math.exp(-power)
        * _bessel_i0e(angle * row[7] / variance)
        / (2 * math.pi * variance)
    )


@njit(cache=True, fastmath=True)
def sampled_expectation(
    segments: Array32,
    filled: int,
    stride: int,
    telescope: Array,
    axis: Array,
    table: Array,
    area: float,
    view: float,
) -> float:
    """Mean photo-electrons from within the angle ``view`` of a telescope's axis.

    Estimated from every ``stride``-th segment; the other arguments are those of :func:`electron_light`.
    """
    total = 0.0
    cosine = math.cos(view)
    for i in range(0, filled, stride):
        row = segments[i]
        dx, dy, dz = row[0] - telescope[0], row[1] - telescope[1], row[2] - telescope[2]
        along = dx * axis[0] + dy * axis[1] + dz * axis[2]
        if along > cosine * math.sqrt(dx * dx + dy * dy + dz * dz):
            total += expected(row, telescope, table, area)
    return total * stride


@njit(cache=True, fastmath=True)
def _store(
    photons: Array,
    count: int,
    point: tuple[float, float, float],
    impact: tuple[float, float],
    telescope: Array,
    camera: Array,
    axis: Array,
    table: Array,
    delay: float,
) -> None:
    """Write the photon from an emission point to an impact on the aperture plane."""
    dx = telescope[0] + impact[0] * camera[0, 0] + impact[1] * camera[1, 0] - point[0]
    dy = telescope[1] + impact[0] * camera[0, 1] + impact[1] * camera[1, 1] - point[1]
    dz = telescope[2] + impact[0] * camera[0, 2] + impact[1] * camera[1, 2] - point[2]
    distance = math.sqrt(dx * dx + dy * dy + dz * dz)
    along = -(dx * camera[2, 0] + dy * camera[2, 1] + dz * camera[2, 2])
    row = photons[count]
    row[0] = -(dx * camera[0, 0] + dy * camera[0, 1] + dz * camera[0, 2]) / along
    row[1] = -(dx * camera[1, 0] + dy * camera[1, 1] + dz * camera[1, 2]) / along
    front = point[0] * axis[0] + point[1] * axis[1] + (point[2] - telescope[2]) * axis[2]
    low = min(max(int(point[2] / TABLE_STEP), 0), table.shape[0] - 1)
    ground = min(max(int(telescope[2] / TABLE_STEP), 0), table.shape[0] - 1)
    optical = _OPTICAL * (table[ground, 1] - table[low, 1]) * distance / max(-dz, 1.0)
    row[2] = (delay + front + distance + max(optical, 0.0)) / LIGHT_SPEED
    row[3], row[4] = impact


@njit(cache=True, fastmath=True)
def electron_light(
    rng: np.random.Generator,
    segments: Array32,
    filled: int,
    telescope: Array,
    camera: Array,
    axis: Array,
    table: Array,
    area: float,
    facets: Array,
    facet_size: float,
    view: float,
    photons: Array,
    count: int,
) -> tuple[Array, int]:
    """Draw the photo-electrons of electron segments.

    Parameters
    ----------
    rng : numpy.random.Generator
    segments : numpy.ndarray of float32, shape (capacity, SEGMENT_COLUMNS)
    filled : int
    telescope : numpy.ndarray, shape (3,)
        As in :func:`expected`.
    camera : numpy.ndarray, shape (3, 3)
        From :func:`trigger_ml.simulation.geometry.camera_axes`.
    axis : numpy.ndarray, shape (3,)
        Direction of flight of the primary.
    table : numpy.ndarray
        From :func:`light_table`.
    area : float
        m2.
    facets : numpy.ndarray, shape (n_facets, 2)
        Centres of the mirror facets on the aperture plane, metres.
    facet_size : float
        Flat-to-flat size of the hexagonal facets, metres.
    view : float
        Half angle (rad) beyond which light cannot reach the camera.
    photons : numpy.ndarray, shape (capacity, PHOTON_COLUMNS)
    count : int
        Rows of ``photons`` in use.

    Returns
    -------
    photons : numpy.ndarray
        The same table, or a larger copy.
    count : int
    """
    cosine = math.cos(view)
    half = 0.5 * facet_size
    for i in range(filled):
        row = segments[i]
        dx, dy, dz = row[0] - telescope[0], row[1] - telescope[1], row[2] - telescope[2]
        along = dx * camera[2, 0] + dy * camera[2, 1] + dz * camera[2, 2]
        if along < cosine * math.sqrt(dx * dx + dy * dy + dz * dz):
            continue
        mean = expected(row, telescope, table, area)
        if mean < 1e-7:
            continue
        number = rng.poisson(mean) if mean > 0.05 else int(rng.random() < mean)
        while count + number > photons.shape[0]:
            photons = grown(photons)
        for _ in range(number):
            shift = (rng.random() - 0.5) * row[6]
            point = (row[0] + shift * row[3], row[1] + shift * row[4], row[2] + shift * row[5])
            facet = int(rng.random() * facets.shape[0])
            while True:
                a, b = (rng.random() - 0.5) * facet_size, (rng.random() - 0.5) * 1.1547005 * facet_size
                if 0.8660254 * abs(b) + 0.5 * abs(a) <= half:
                    break
            impact = (facets[facet, 0] + a, facets[facet, 1] + b)
            _store(photons, count, point, impact, telescope, camera, axis, table, row[10])
            count += 1
    return photons, count


@njit(cache=True, fastmath=True)
def track_light(
    rng: np.random.Generator,
    tracks: Array,
    filled: int,
    telescope: Array,
    camera: Array,
    axis: Array,
    table: Array,
    radius: float,
    photons: Array,
    count: int,
) -> tuple[Array, int]:
    """Draw the photo-electrons of muon and hadron tracks: photons on their cones that hit the aperture.

    Parameters
    ----------
    tracks : numpy.ndarray, shape (capacity, TRACK_COLUMNS)
    filled : int
    radius : float
        Of a circle around the mirror, metres; photons that miss the facets are lost later.
    rng, telescope, camera, axis, table, photons, count
        As in :func:`electron_light`.

    Returns
    -------
    photons : numpy.ndarray
    count : int
    """
    top = table.shape[0] - 1
    for i in range(filled):
        row = tracks[i]
        dx, dy, dz = telescope[0] - row[0], telescope[1] - row[1], telescope[2] - row[2]
        ahead = dx * row[3] + dy * row[4] + dz * row[5]
        # the part of the track that is above the aperture
        z_high, z_low = ahead, max(ahead - row[6], 0.0)
        if z_high <= 0:
            continue
        start_index = min(max(int(row[2] / TABLE_STEP), 0), top)
        end_index = min(max(int((row[2] + row[5] * row[6]) / TABLE_STEP), 0), top)
        most = 2 * table[end_index, 2] - row[7]
        least = 2 * table[start_index, 2] - row[7]
        if most <= 0:
            continue
        spread = 4 * math.sqrt(row[8])
        px, py, pz = dx - ahead * row[3], dy - ahead * row[4], dz - ahead * row[5]
        miss = math.sqrt(px * px + py * py + pz * pz)
        z_low = max(z_low, (miss - radius) / (math.sqrt(most) + spread))
        narrow = math.sqrt(max(least, 0.0)) - spread
        if narrow > 0:
            z_high = min(z_high, (miss + radius) / narrow)
        if z_high <= z_low:
            continue
        # azimuths that can hit, widened for the scattering
        reach = radius + spread * z_high
        if miss > 1.02 * reach:
            half = math.asin(reach / miss)
            ex, ey, ez = px / miss, py / miss, pz / miss
        else:
            half = math.pi
            norm = math.sqrt(row[4] * row[4] + row[5] * row[5])
            ex, ey, ez = 0.0, row[5] / norm, -row[4] / norm
        fx, fy, fz = row[4] * ez - row[5] * ey, row[5] * ex - row[3] * ez, row[3] * ey - row[4] * ex
        best = table[end_index, 0] * 1.02
        mean = row[10] * best * most * (z_high - z_low) * half / math.pi
        number = rng.poisson(mean)
        for _ in range(number):
            path = ahead - (z_low + rng.random() * (z_high - z_low))
            height = row[2] + path * row[5]
            index = min(max(int(height / TABLE_STEP), 0), top)
            sine2 = 2 * table[index, 2] - row[7]
            if rng.random() * best * most > table[index, 0] * sine2:
                continue
            sine = math.sqrt(sine2)
            angle = (2 * rng.random() - 1) * half
            a = sine * math.cos(angle) + math.sqrt(row[8]) * rng.standard_normal()
            b = sine * math.sin(angle) + math.sqrt(row[8]) * rng.standard_normal()
            ux, uy, uz = row[3] + a * ex + b * fx, row[4] + a * ey + b * fy, row[5] + a * ez + b * fz
            qx, qy, qz = row[0] + path * row[3], row[1] + path * row[4], height
            speed = ux * camera[2, 0] + uy * camera[2, 1] + uz * camera[2, 2]
            if speed >= 0:
                continue
            flight = (
                (telescope[0] - qx) * camera[2, 0]
                + (telescope[1] - qy) * camera[2, 1]
                + (telescope[2] - qz) * camera[2, 2]
            ) / speed
            if flight <= 0:
                continue
            hx, hy, hz = (
                qx + flight * ux - telescope[0],
                qy + flight * uy - telescope[1],
                qz + flight * uz - telescope[2],
            )
            impact_x = hx * camera[0, 0] + hy * camera[0, 1] + hz * camera[0, 2]
            impact_y = hx * camera[1, 0] + hy * camera[1, 1] + hz * camera[1, 2]
            if impact_x * impact_x + impact_y * impact_y > radius * radius:
                continue
            if count == photons.shape[0]:
                photons = grown(photons)
            lag = row[9] + path * (1 - (row[3] * axis[0] + row[4] * axis[1] + row[5] * axis[2]))
            _store(photons, count, (qx, qy, qz), (impact_x, impact_y), telescope, camera, axis, table, lag)
            count += 1
    return photons, count


def empty_photons(capacity: int = 4096) -> Array:
    """A table for the photons of one telescope."""
    return np.empty((capacity, PHOTON_COLUMNS))
