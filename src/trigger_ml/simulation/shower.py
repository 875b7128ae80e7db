"""One air shower: everything that radiates, ready for any number of telescopes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigger_ml.simulation import electromagnetic, hadronic
from trigger_ml.simulation.atmosphere import RADIATION_LENGTH, Atmosphere
from trigger_ml.simulation.interactions import PROTON, Library

Array = NDArray[np.float64]

TOP_DEPTH = 0.05
"""g/cm2, vertical: where primaries enter."""
MAX_WEIGHT = 25.0
"""Of a thinned particle at 1 TeV; grows with the square root of the energy above."""
NUCLEONS = {"proton": 1, "helium": 4, "oxygen": 16, "iron": 56}
"""A nucleus is so many nucleons that interact one by one (superposition)."""
PROFILE_STEP = 10.0
"""g/cm2 of vertical depth."""


@dataclass(frozen=True, eq=False)
class Shower:
    """What one primary left in the air.

    Parameters
    ----------
    segments : numpy.ndarray of float32, shape (n, SEGMENT_COLUMNS)
        Track segments of electrons, see :mod:`trigger_ml.simulation.electromagnetic`.
    tracks : numpy.ndarray, shape (m, TRACK_COLUMNS)
        Pieces of muon and hadron tracks, see :mod:`trigger_ml.simulation.cherenkov`.
    axis : numpy.ndarray, shape (3,)
        Direction of flight.
    first_height : float
        Height of the first interaction, metres above sea level.
    x_max : float
        Depth of the maximum along the axis, g/cm2.
    profile : numpy.ndarray, shape (bins,)
        Track length (g/cm2) of electrons above the cutoff in bins of ``PROFILE_STEP`` of vertical depth.
    """

    segments: NDArray[np.float32]
    tracks: Array
    axis: Array
    first_height: float
    x_max: float
    profile: Array


class ShowerMaker:
    """Makes showers above one site.

    Parameters
    ----------
    atmosphere : Atmosphere
    field : numpy.ndarray, shape (3,)
        Magnetic field in tesla (x north, y west, z up).
    thinning : float
        Fraction of the primary energy.
    library : Library or None
        Needed for hadrons.
    """

    def __init__(
        self, atmosphere: Atmosphere, field: Array, thinning: float, library: Library | None = None
    ) -> None:
        self._atmosphere = atmosphere
        self._field = field
        self._thinning = thinning
        self._library = library
        # grows to the largest shower so far and is used again
        self._buffer = np.empty((1 << 15, electromagnetic.SEGMENT_COLUMNS), np.float32)

    def make(self, rng: np.random.Generator, particle: str, energy: float, axis: Array) -> Shower:
        """Simulate one shower whose axis meets the ground at x = y = 0.

        Parameters
        ----------
        rng : numpy.random.Generator
        particle : str
            ``gamma``, ``electron`` or one of ``NUCLEONS``.
        energy : float
            TeV.
        axis : numpy.ndarray, shape (3,)
            Direction of flight.

        Returns
        -------
        Shower
            Its ``segments`` are valid until the next call.
        """
        tracks = np.empty((0, 11))
        if particle in NUCLEONS:
            if self._library is None:
                raise ValueError("hadrons need a library of interactions")
            light, tracks, first = self._hadrons(rng, particle, energy, axis)
        else:
            light, first = self._first_pair(rng, particle, energy, axis)
        profile = np.zeros(int(self._atmosphere.depth(0.0) / PROFILE_STEP) + 2)
        self._buffer, filled = electromagnetic.cascade(
            rng,
            light,
            axis,
            self._atmosphere.lookup,
            self._atmosphere.ground_depth,
            self._field,
            self._thinning * energy * 1e6,
            MAX_WEIGHT * max(1.0, math.sqrt(energy)),
            self._buffer,
            0,
            profile,
        )
        return Shower(
            segments=self._buffer[:filled],
            tracks=tracks,
            axis=axis,
            first_height=float(self._atmosphere.height(first)),
            x_max=depth_of_maximum(profile) / -float(axis[2]),
            profile=profile,
        )

    def _start(self, kind: int, energy: float, depth: float, axis: Array) -> Array:
        """A particle on the axis at a vertical depth; energy in MeV."""
        above = float(self._atmosphere.height(depth)) - self._atmosphere.observation_level
        position = axis * (above / axis[2])
        return np.array([kind, energy, position[0], position[1], depth, *axis, 0.0, 1.0])

    def _first_pair(
        self, rng: np.random.Generator, particle: str, energy: float, axis: Array
    ) -> tuple[Array, float]:
        """Start of a gamma's or electron's shower: depth of the first interaction, and what follows it."""
        mev = energy * 1e6
        slant = -float(axis[2])
        if particle == "electron":
            # bremsstrahlung above the cutoff: the first of many
            rate = 4 / 3 * (math.log(mev / electromagnetic.CUTOFF) - 0.625) / RADIATION_LENGTH
            depth = TOP_DEPTH + rng.exponential(1 / rate) * slant
            depth = min(depth, self._atmosphere.ground_depth * 0.999)
            return self._start(electromagnetic.ELECTRON, mev, depth, axis)[np.newaxis], depth
        depth = TOP_DEPTH + rng.exponential(9 / 7 * RADIATION_LENGTH) * slant
        depth = min(depth, self._atmosphere.ground_depth * 0.999)
        share = _pair_fraction(rng)
        pair = np.stack(
            [
                self._start(electromagnetic.ELECTRON, share * mev, depth, axis),
                self._start(electromagnetic.POSITRON, (1 - share) * mev, depth, axis),
            ]
        )
        return pair, depth

    def _hadrons(
        self, rng: np.random.Generator, particle: str, energy: float, axis: Array
    ) -> tuple[Array, Array, float]:
        """Photons and electrons, tracks and depth of the first interaction of a hadron's shower."""
        assert self._library is not None
        nucleons = NUCLEONS[particle]
        mev = energy * 1e6 / nucleons
        start = np.stack([self._start(PROTON, mev, TOP_DEPTH, axis)] * nucleons)
        library = self._library
        light, n_light, tracks, n_tracks, first = hadronic.follow(
            rng,
            start,
            axis,
            self._atmosphere.lookup,
            self._atmosphere.ground_depth,
            self._field,
            # hadrons and muons are few: thin them only where there are thousands
            0.1 * self._thinning * energy * 1e6 if energy > 10 else 0.0,
            library.events,
            library.offsets,
            library.code,
            library.fraction,
            library.px,
            library.py,
            library.cross_section,
        )
        return light[:n_light], tracks[:n_tracks], first


def _pair_fraction(rng: np.random.Generator) -> float:
    while True:
        x = float(rng.random())
        if rng.random() < 1 - 4 / 3 * x * (1 - x):
            return min(max(x, 1e-4), 1 - 1e-4)


def depth_of_maximum(profile: Array) -> float:
    """Vertical depth (g/cm2) of a profile's maximum: parabola through the smoothed highest bins; NaN if
    empty.
    """
    if profile.sum() <= 0:
        return math.nan
    smooth = np.convolve(profile, [0.25, 0.5, 0.25], mode="same")
    peak = int(smooth.argmax())
    reach = min(4, peak, len(smooth) - 1 - peak)
    offset = np.arange(-reach, reach + 1)
    values = smooth[peak - reach : peak + reach + 1]
    # least squares for a parabola on symmetric points
    second, fourth = float((offset**2).sum()), float((offset**4).sum())
    slope = float((offset * values).sum()) / max(second, 1.0)
    determinant = len(offset) * fourth - second**2
    curvature = (len(offset) * float((offset**2 * values).sum()) - second * float(values.sum())) / max(
        determinant, 1.0
    )
    shift = -slope / (2 * curvature) if curvature < 0 else 0.0
    return (peak + min(max(shift, -reach), reach) + 0.5) * PROFILE_STEP
