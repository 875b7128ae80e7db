"""Electromagnetic cascades, sampled particle by particle in three dimensions (compiled).

Every photon, electron and positron is followed down to the energy at which electrons stop radiating Cherenkov
light at the ground. Included are pair production and bremsstrahlung with the Bethe-Heitler spectra in
complete screening (rates corrected below some GeV), Compton scattering, ionization, multiple scattering and
the geomagnetic deflection. Below the thinning energy one of the products of each interaction is followed in
place of both, with a weight (Hillas 1981), up to a largest weight.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.simulation.atmosphere import RADIATION_LENGTH
from trigger_ml.simulation.geometry import air, deflect, grown

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

ELECTRON_MASS = 0.51099895
"""MeV."""
CUTOFF = 21.0
"""MeV: electrons below give no light at sea level; photons below cannot make one that does."""
SCATTERING = 13.6
"""MeV: scale of the projected multiple scattering angle (Highland 1975 without the logarithm)."""
PHOTON, ELECTRON, POSITRON = 0, 1, 2

# Columns of a particle to be followed: kind, energy (MeV), x, y (m), vertical depth (g/cm2), direction (down:
# negative z), delay behind the light-speed front (m), weight
PARTICLE_COLUMNS = 10
# Columns of a track segment: midpoint x, y, height (m), direction, length (m), Cherenkov angle (rad),
# weight * length * sin^2 of that angle, variance of the direction within the segment (rad2, per plane),
# delay (m), energy (MeV)
SEGMENT_COLUMNS = 12

# Pair production over its high-energy limit 7 / (9 X0) in air, and radiative energy loss of electrons over E
# / X0, from the tables of NIST (XCOM, ESTAR), at ENERGY_GRID
ENERGY_GRID = np.log(np.array([10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5, 1e9]))
PAIR_RATIO = np.array([0.24, 0.377, 0.54, 0.66, 0.755, 0.845, 0.89, 0.975, 1.0, 1.0])
BREMS_RATIO = np.array([0.66, 0.73, 0.82, 0.88, 0.92, 0.945, 0.957, 0.985, 1.0, 1.0])


@njit(cache=True, fastmath=True)
def _ratio(values: Array, log_energy: float) -> float:
    i = 0
    while i < ENERGY_GRID.shape[0] - 2 and log_energy > ENERGY_GRID[i + 1]:
        i += 1
    part = (log_energy - ENERGY_GRID[i]) / (ENERGY_GRID[i + 1] - ENERGY_GRID[i])
    return float(values[i] + part * (values[i + 1] - values[i]))


@njit(cache=True, fastmath=True)
def _compton_rate(energy: float) -> float:
    """Klein-Nishina cross section per g/cm2 of air (3.006e23 electrons per gram)."""
    k = energy / ELECTRON_MASS
    log = math.log(1 + 2 * k)
    bracket = (
        (1 + k) / (k * k) * (2 * (1 + k) / (1 + 2 * k) - log / k)
        + log / (2 * k)
        - (1 + 3 * k) / (1 + 2 * k) ** 2
    )
    return 3.006e23 * 4.98934e-25 * bracket


@njit(cache=True, fastmath=True)
def _pair_share(rng: np.random.Generator) -> float:
    """Fraction of the photon's energy that one of the pair takes: 1 - 4/3 x (1 - x)."""
    while True:
        x = rng.random()
        if rng.random() < 1 - 4 / 3 * x * (1 - x):
            return x


@njit(cache=True, fastmath=True)
def _brems_share(rng: np.random.Generator, low: float) -> float:
    """Fraction y >= ``low`` of the electron's energy that the photon takes: (4/3 - 4/3 y + y^2) / y."""
    while True:
        y = low ** rng.random()
        if rng.random() < 1 - y + 0.75 * y * y:
            return y


@njit(cache=True, fastmath=True)
def _compton_share(rng: np.random.Generator, energy: float) -> float:
    """Fraction of the photon's energy that the electron takes (Klein-Nishina)."""
    low = 1 / (1 + 2 * energy / ELECTRON_MASS)
    while True:
        # e = k' / k from 1/e, then the full weight (1/e + e - sin^2) e, at most 2
        e = low ** rng.random()
        t = ELECTRON_MASS / energy * (1 / e - 1)
        if rng.random() * 2 < 1 + e * e - e * t * (2 - t):
            return 1 - e


@njit(cache=True, fastmath=True)
def _ionization(energy: float) -> float:
    """Collision loss of electrons in air, MeV / (g/cm2).

    Berger and Seltzer's formula with the density effect at a third of the density of sea level, fitted
    within 1 % by two straight lines in the logarithm of the energy.
    """
    decades = math.log10(energy / 10.0)
    return 1.98 + 0.51 * decades if energy < 60.0 else 2.377 + 0.30 * (decades - 0.778)


@njit(cache=True, fastmath=True)
def cascade(
    rng: np.random.Generator,
    start: Array,
    axis: Array,
    table: Array,
    ground_depth: float,
    field: Array,
    thinning: float,
    max_weight: float,
    segments: Array32,
    filled: int,
    profile: Array,
) -> tuple[Array32, int]:
    """Follow particles to the ground and append their track segments.

    Parameters
    ----------
    rng : numpy.random.Generator
    start : numpy.ndarray, shape (n, PARTICLE_COLUMNS)
        Photons and electrons to follow.
    axis : numpy.ndarray, shape (3,)
        Direction of flight of the primary: delays count behind the plane front along it.
    table : numpy.ndarray
        ``Atmosphere.lookup``.
    ground_depth : float
        g/cm2.
    field : numpy.ndarray, shape (3,)
        Magnetic field in tesla (x north, y west, z up).
    thinning : float
        MeV.
    max_weight : float
    segments : numpy.ndarray of float32, shape (capacity, SEGMENT_COLUMNS)
    filled : int
        Rows of ``segments`` in use.
    profile : numpy.ndarray, shape (bins,)
        Track length of charged particles above ``CUTOFF`` is added, g/cm2 along the particle in bins of
        10 g/cm2 of vertical depth.

    Returns
    -------
    segments : numpy.ndarray
        The same table, or a larger copy.
    filled : int
    """
    stack = np.empty((max(256, 2 * start.shape[0]), PARTICLE_COLUMNS))
    top = start.shape[0]
    stack[:top] = start
    low = CUTOFF
    while top > 0:
        top -= 1
        kind = stack[top, 0]
        energy, x, y, depth = stack[top, 1], stack[top, 2], stack[top, 3], stack[top, 4]
        ux, uy, uz = stack[top, 5], stack[top, 6], stack[top, 7]
        delay, weight = stack[top, 8], stack[top, 9]
        height, refractivity = air(table, depth)
        while energy > low and uz < -0.1:
            log_energy = math.log(energy)
            radiates = False
            loss = 0.0
            if kind == PHOTON:
                pair = 7 / 9 / RADIATION_LENGTH * _ratio(PAIR_RATIO, log_energy)
                compton = _compton_rate(energy) if energy < 1000.0 else 0.0
                step = -math.log(1 - rng.random()) / (pair + compton)
                scale = 0.0
            else:
                brems = _ratio(BREMS_RATIO, log_energy) / RADIATION_LENGTH
                loss = _ionization(energy) + brems * low * 4 / 3
                part = low / energy
                rate = brems * (-4 / 3 * math.log(part) - 4 / 3 * (1 - part) + 0.5 * (1 - part * part))
                longest = min(0.2 * energy / loss, 0.25 * RADIATION_LENGTH)
                step = -math.log(1 - rng.random()) / rate if rate > 0 else longest
                radiates = step < longest
                if not radiates:
                    step = longest
                scale = SCATTERING * math.sqrt(step / RADIATION_LENGTH)
            below = depth - step * uz
            landed = below > ground_depth
            if landed:
                step = (depth - ground_depth) / uz
                below = ground_depth
            vx, vy, vz = ux, uy, uz
            variance = 0.0
            middle_energy = energy
            if kind != PHOTON:
                middle_energy = energy - 0.5 * step * loss
                sigma = scale / middle_energy
                variance = 0.25 * sigma * sigma
                vx, vy, vz = deflect(ux, uy, uz, sigma * rng.standard_normal(), sigma * rng.standard_normal())
            new_height, new_refractivity = air(table, below)
            # the chord: the mean of the directions before and after
            mx, my, mz = 0.5 * (ux + vx), 0.5 * (uy + vy), 0.5 * (uz + vz)
            length = (new_height - height) / mz
            if kind != PHOTON:
                # 0.3 B L / p, with the energy in MeV
                turn = 299.79 * length / middle_energy * (1.0 if kind == POSITRON else -1.0)
                wx = turn * (uy * field[2] - uz * field[1])
                wy = turn * (uz * field[0] - ux * field[2])
                wz = turn * (ux * field[1] - uy * field[0])
                vx, vy, vz = vx + wx, vy + wy, vz + wz
                norm = 1 / math.sqrt(vx * vx + vy * vy + vz * vz)
                vx, vy, vz = vx * norm, vy * norm, vz * norm
                mx, my, mz = 0.5 * (ux + vx), 0.5 * (uy + vy), 0.5 * (uz + vz)
                length = (new_height - height) / mz
            dx, dy, dh = mx * length, my * length, mz * length
            path = length * math.sqrt(mx * mx + my * my + mz * mz)
            lag = path - (dx * axis[0] + dy * axis[1] + dh * axis[2])
            if kind != PHOTON:
                profile[min(int(0.1 * (depth - 0.5 * step * uz)), profile.shape[0] - 1)] += weight * step
                n = 0.5 * (refractivity + new_refractivity)
                inverse = ELECTRON_MASS / middle_energy
                sine2 = 2 * n - inverse * inverse
                if sine2 > 0:
                    if filled == segments.shape[0]:
                        segments = grown(segments)
                    row = segments[filled]
                    row[0], row[1], row[2] = x + 0.5 * dx, y + 0.5 * dy, height + 0.5 * dh
                    row[3], row[4], row[5] = dx / path, dy / path, dh / path
                    row[6], row[7] = path, math.sqrt(sine2)
                    row[8], row[9] = weight * path * sine2, variance
                    row[10], row[11] = delay + 0.5 * lag, middle_energy
                    filled += 1
            x, y, depth, height, refractivity = x + dx, y + dy, below, new_height, new_refractivity
            ux, uy, uz = vx, vy, vz
            delay += lag
            energy -= step * loss
            if landed:
                break
            first_kind, second_kind = ELECTRON, PHOTON
            if kind == PHOTON:
                if rng.random() * (pair + compton) < pair:
                    first = energy * _pair_share(rng)
                    second, second_kind = energy - first, POSITRON
                else:
                    first = energy * _compton_share(rng, energy)
                    second = energy - first
            elif radiates and energy > low:
                second = energy * _brems_share(rng, low / energy)
                first, first_kind = energy - second, int(kind)
            else:
                continue
            keep_first, keep_second = first > low, second > low
            weight_first = weight_second = weight
            if energy < thinning:
                if keep_first and keep_second and weight < max_weight:
                    if rng.random() * energy < first:
                        keep_second, weight_first = False, weight * energy / first
                    else:
                        keep_first, weight_second = False, weight * energy / second
            else:
                if keep_first and first < thinning:
                    keep_first = rng.random() * thinning < first
                    weight_first = weight * thinning / first
                if keep_second and second < thinning:
                    keep_second = rng.random() * thinning < second
                    weight_second = weight * thinning / second
            if keep_first and keep_second:
                if top == stack.shape[0]:
                    stack = grown(stack)
                row64 = stack[top]
                row64[0], row64[1], row64[2], row64[3], row64[4] = second_kind, second, x, y, depth
                row64[5], row64[6], row64[7], row64[8], row64[9] = ux, uy, uz, delay, weight_second
                top += 1
            if keep_first:
                kind, energy, weight = first_kind, first, weight_first
            elif keep_second:
                kind, energy, weight = second_kind, second, weight_second
            else:
                break
    return segments, filled
