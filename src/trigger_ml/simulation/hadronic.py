"""The hadronic cascade: from a hadron at the top of the atmosphere to photons, electrons and visible tracks.

Hadrons are followed in three dimensions down to ``LEAST_HADRON``. They interact with the mean free path of
Sibyll's cross sections and with interactions from the library, or decay in flight; muons are followed to the
ground with multiple scattering, ionization and the geomagnetic deflection. Photons and electrons are handed
over to ``electromagnetic.cascade``.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.simulation.atmosphere import RADIATION_LENGTH
from trigger_ml.simulation.cherenkov import TRACK_COLUMNS
from trigger_ml.simulation.electromagnetic import PARTICLE_COLUMNS, SCATTERING
from trigger_ml.simulation.geometry import air, deflect, grown
from trigger_ml.simulation.interactions import (
    ELECTRON,
    GAMMA,
    K_CHARGED,
    K_LONG,
    KAON,
    LOWEST,
    MASSES,
    MUON,
    N_ENERGIES,
    NEUTRON,
    NUCLEON,
    PER_DECADE,
    PI_MINUS,
    PI_PLUS,
    PION,
    PROTON,
)

Array = NDArray[np.float64]

LEAST_HADRON = 3000.0
"""MeV: what comes from less gives no light that matters."""
LEAST_PHOTON = 100.0
"""MeV."""
AIR_MASS = 24160.0
"""Millibarn g/cm2: mean free path times cross section (mass number 14.55)."""
# c tau in metres, by code of interactions.CODES; 0 is stable
LIFE = np.array([0.0, 0.0, 7.8045, 7.8045, 3.712, 15.34, 0.0, 0.0, 658.638])
TRACK_STEP = 15.0
"""g/cm2 of the straight pieces of muon and hadron tracks."""
MUON_LOSS = 2.2
"""MeV / (g/cm2), ionization of minimum-ionizing to 10 GeV muons in air."""


@njit(cache=True, fastmath=True)
def _free_path(projectile: int, energy: float, cross_section: Array) -> float:
    """Mean free path in g/cm2 at an energy in MeV."""
    position = min(max(math.log10(energy / LOWEST) * PER_DECADE, 0.0), N_ENERGIES - 1.001)
    index = int(position)
    part = position - index
    sigma = (1 - part) * cross_section[projectile, index] + part * cross_section[projectile, index + 1]
    return AIR_MASS / sigma


@njit(cache=True, fastmath=True)
def _two_body(
    rng: np.random.Generator, energy: float, mass: float, mass_1: float, mass_2: float
) -> tuple[float, float]:
    """Isotropic decay in two: energy of the first and its transverse momentum (MeV)."""
    e_1 = (mass * mass + mass_1 * mass_1 - mass_2 * mass_2) / (2 * mass)
    p = math.sqrt(max(e_1 * e_1 - mass_1 * mass_1, 0.0))
    cosine = 2 * rng.random() - 1
    gamma = energy / mass
    beta = math.sqrt(1 - 1 / (gamma * gamma))
    return gamma * (e_1 + beta * p * cosine), p * math.sqrt(1 - cosine * cosine)


@njit(cache=True, fastmath=True)
def _push(stack: Array, top: int, row: tuple[float, ...], ux: float, uy: float, uz: float) -> None:
    """Write a particle: code, energy, x, y, depth, delay, weight in ``row``, and its direction."""
    target = stack[top]
    target[0], target[1], target[2], target[3], target[4] = row[0], row[1], row[2], row[3], row[4]
    target[5], target[6], target[7] = ux, uy, uz
    target[8], target[9] = row[5], row[6]


@njit(cache=True, fastmath=True)
def follow(
    rng: np.random.Generator,
    start: Array,
    axis: Array,
    table: Array,
    ground_depth: float,
    field: Array,
    thinning: float,
    events: NDArray[np.int64],
    offsets: NDArray[np.int64],
    code: NDArray[np.int8],
    fraction: NDArray[np.float32],
    px: NDArray[np.float32],
    py: NDArray[np.float32],
    cross_section: Array,
) -> tuple[Array, int, Array, int, float]:
    """Follow hadrons and muons.

    Parameters
    ----------
    rng : numpy.random.Generator
    start : numpy.ndarray, shape (n, PARTICLE_COLUMNS)
        Hadrons; the first column is a code of ``interactions``.
    axis, table, ground_depth, field
        As in :func:`trigger_ml.simulation.electromagnetic.cascade`.
    thinning : float
        MeV: hadrons below are followed with probability energy / thinning, with a weight.
    events, offsets, code, fraction, px, py, cross_section
        Fields of :class:`trigger_ml.simulation.interactions.Library`.

    Returns
    -------
    light : numpy.ndarray, shape (capacity, PARTICLE_COLUMNS)
        Photons and electrons for the electromagnetic cascade.
    n_light : int
        Rows of ``light`` in use.
    tracks : numpy.ndarray, shape (capacity, TRACK_COLUMNS)
        Pieces of the tracks of muons and charged hadrons that radiate.
    n_tracks : int
    first : float
        Vertical depth of the first interaction (g/cm2); the ground's if there is none.
    """
    stack = np.empty((256, PARTICLE_COLUMNS))
    stack[: start.shape[0]] = start
    top = start.shape[0]
    light, n_light = np.empty((256, PARTICLE_COLUMNS)), 0
    tracks, n_tracks = np.empty((256, TRACK_COLUMNS)), 0
    first_depth = ground_depth
    while top > 0:
        top -= 1
        kind = int(stack[top, 0])
        energy, x, y, depth = stack[top, 1], stack[top, 2], stack[top, 3], stack[top, 4]
        ux, uy, uz = stack[top, 5], stack[top, 6], stack[top, 7]
        delay, weight = stack[top, 8], stack[top, 9]
        if uz > -0.1:
            continue
        mass = MASSES[kind]
        charge = 0.0
        if kind in (PROTON, PI_PLUS):
            charge = 1.0
        elif kind == PI_MINUS:
            charge = -1.0
        elif kind in (MUON, K_CHARGED):
            # the sign does not matter for light: take either
            charge = 1.0 if rng.random() < 0.5 else -1.0
        projectile = NUCLEON
        if kind in (PI_PLUS, PI_MINUS):
            projectile = PION
        elif kind in (K_CHARGED, K_LONG):
            projectile = KAON
        # how far to the interaction (g/cm2) and to the decay (m)
        interaction = 1e9
        if kind != MUON:
            interaction = -math.log(1 - rng.random()) * _free_path(projectile, energy, cross_section)
        decay = 1e12
        if LIFE[kind] > 0:
            decay = -math.log(1 - rng.random()) * LIFE[kind] * energy / mass
        height, refractivity = air(table, depth)
        decayed = False
        landed = False
        while True:
            step = min(TRACK_STEP, interaction)
            below = depth - step * uz
            if below >= ground_depth:
                below, landed = ground_depth, True
                step = (depth - ground_depth) / uz
            new_height, new_refractivity = air(table, below)
            length = (new_height - height) / uz
            if length > decay:
                length, decayed, landed = max(decay, 0.0), True, False
                new_height = height + length * uz
                # the depth there, by the slope of ln(depth) over the step
                below = depth * math.exp(
                    math.log(below / depth) * (new_height - height) / ((air(table, below)[0] - height) - 1e-9)
                )
                step = max((depth - below) / uz, 0.0)
                new_refractivity = air(table, below)[1]
            vx, vy, vz = ux, uy, uz
            if charge != 0:
                inverse2 = (mass / energy) ** 2
                sigma = SCATTERING * math.sqrt(step / RADIATION_LENGTH) / energy
                vx, vy, vz = deflect(ux, uy, uz, sigma * rng.standard_normal(), sigma * rng.standard_normal())
                turn = 299.79 * length / energy * charge
                vx += turn * (uy * field[2] - uz * field[1])
                vy += turn * (uz * field[0] - ux * field[2])
                vz += turn * (ux * field[1] - uy * field[0])
                norm = 1 / math.sqrt(vx * vx + vy * vy + vz * vz)
                vx, vy, vz = vx * norm, vy * norm, vz * norm
                mx, my, mz = 0.5 * (ux + vx), 0.5 * (uy + vy), 0.5 * (uz + vz)
                norm = 1 / math.sqrt(mx * mx + my * my + mz * mz)
                mx, my, mz = mx * norm, my * norm, mz * norm
                length = (new_height - height) / mz
                if inverse2 < 2 * max(refractivity, new_refractivity):
                    if n_tracks == tracks.shape[0]:
                        tracks = grown(tracks)
                    row = tracks[n_tracks]
                    row[0], row[1], row[2] = x, y, height
                    row[3], row[4], row[5] = mx, my, mz
                    row[6], row[7], row[8] = length, inverse2, 0.25 * sigma * sigma
                    row[9], row[10] = delay, weight
                    n_tracks += 1
            else:
                mx, my, mz = ux, uy, uz
            # particles are slower than light: beta = 1 - m^2 / 2 E^2
            lag = 0.5 * (mass / energy) ** 2
            delay += length * (1 + lag - (mx * axis[0] + my * axis[1] + mz * axis[2]))
            x, y, depth, height, refractivity = (
                x + length * mx,
                y + length * my,
                below,
                new_height,
                new_refractivity,
            )
            ux, uy, uz = vx, vy, vz
            interaction -= step
            decay -= length
            if charge != 0:
                energy -= MUON_LOSS * step
            if landed or decayed or interaction <= 1e-9 or energy < 1.5 * mass or uz > -0.1:
                break
            if kind == MUON and energy < 2500.0:
                break
        if landed or energy < LEAST_HADRON or kind == MUON or uz > -0.1:
            # a muon's decay electron is too soft to matter
            continue
        if top + 4 > stack.shape[0]:
            stack = grown(stack)
        if decayed:
            if kind in (PI_PLUS, PI_MINUS):
                one, p_t = _two_body(rng, energy, mass, MASSES[MUON], 0.0)
                kind_one, kind_two = MUON, -1
            elif kind == K_CHARGED and rng.random() < 0.71:
                # mu nu, and mu nu pi0 as if it were that
                one, p_t = _two_body(rng, energy, mass, MASSES[MUON], 0.0)
                kind_one, kind_two = MUON, -1
            elif kind == K_CHARGED:
                # pi pi0, and the three-pion modes as if they were that
                one, p_t = _two_body(rng, energy, mass, MASSES[PI_PLUS], 134.977)
                kind_one, kind_two = PI_PLUS, GAMMA
            else:
                # K long: pi and a light lepton (two thirds), pi and pi0 for the three-pion modes
                leptonic = rng.random() < 0.67
                one, p_t = _two_body(rng, energy, mass, MASSES[PI_PLUS], 0.0 if leptonic else 134.977)
                kind_one = PI_PLUS
                kind_two = GAMMA
                if leptonic:
                    kind_two = ELECTRON if rng.random() < 0.6 else MUON
            angle = 2 * math.pi * rng.random()
            slope = p_t / max(one, 1.0)
            vx, vy, vz = deflect(ux, uy, uz, slope * math.cos(angle), slope * math.sin(angle))
            _push(stack, top, (kind_one, one, x, y, depth, delay, weight), vx, vy, vz)
            top += 1
            other = energy - one
            if kind_two >= 0 and other > 300.0:
                slope = -p_t / other
                vx, vy, vz = deflect(ux, uy, uz, slope * math.cos(angle), slope * math.sin(angle))
                if kind_two == MUON:
                    _push(stack, top, (MUON, 0.6 * other, x, y, depth, delay, weight), vx, vy, vz)
                    top += 1
                else:
                    if n_light + 2 > light.shape[0]:
                        light = grown(light)
                    if kind_two == ELECTRON:
                        # the neutrino takes the rest
                        _push(light, n_light, (1, 0.6 * other, x, y, depth, delay, weight), vx, vy, vz)
                        n_light += 1
                    else:
                        share, q_t = _two_body(rng, max(other, 135.0), 134.977, 0.0, 0.0)
                        bend = q_t / max(share, 1.0)
                        turn_2 = 2 * math.pi * rng.random()
                        wx, wy, wz = deflect(vx, vy, vz, bend * math.cos(turn_2), bend * math.sin(turn_2))
                        _push(light, n_light, (0, share, x, y, depth, delay, weight), wx, wy, wz)
                        bend = -q_t / max(other - share, 1.0)
                        wx, wy, wz = deflect(vx, vy, vz, bend * math.cos(turn_2), bend * math.sin(turn_2))
                        _push(light, n_light + 1, (0, other - share, x, y, depth, delay, weight), wx, wy, wz)
                        n_light += 2
            continue
        first_depth = min(first_depth, depth)
        position = min(max(math.log10(energy / LOWEST) * PER_DECADE, 0.0), N_ENERGIES - 1.001)
        index = int(position)
        if rng.random() < position - index:
            index += 1
        event = events[projectile, index, 0] + int(rng.random() * events[projectile, index, 1])
        begin, end = offsets[event], offsets[event + 1]
        azimuth = 2 * math.pi * rng.random()
        cosine, sine = math.cos(azimuth), math.sin(azimuth)
        # the library holds pi+ and K+, protons: a pi- or a neutron is their mirror image
        mirrored = kind in (PI_MINUS, NEUTRON)
        for i in range(begin, end):
            secondary = energy * fraction[i]
            new = int(code[i])
            if new in (GAMMA, ELECTRON):
                if secondary < LEAST_PHOTON:
                    continue
            elif secondary < LEAST_HADRON:
                continue
            new_weight = weight
            if secondary < thinning and new != GAMMA and new != ELECTRON:
                # muons and hadrons of low energy: few are followed for many
                chance = max(secondary / thinning, 0.05)
                if rng.random() > chance:
                    continue
                new_weight = weight / chance
            a, b = px[i] / secondary, py[i] / secondary
            vx, vy, vz = deflect(ux, uy, uz, a * cosine - b * sine, a * sine + b * cosine)
            if new in (GAMMA, ELECTRON):
                if n_light == light.shape[0]:
                    light = grown(light)
                shower_kind = 0.0 if new == GAMMA else 1.0
                _push(light, n_light, (shower_kind, secondary, x, y, depth, delay, new_weight), vx, vy, vz)
                n_light += 1
                continue
            if mirrored:
                if new == PROTON:
                    new = NEUTRON
                elif new == NEUTRON:
                    new = PROTON
                elif new == PI_PLUS:
                    new = PI_MINUS
                elif new == PI_MINUS:
                    new = PI_PLUS
            if top == stack.shape[0]:
                stack = grown(stack)
            _push(stack, top, (new, secondary, x, y, depth, delay, new_weight), vx, vy, vz)
            top += 1
    return light, n_light, tracks, n_tracks, first_depth
