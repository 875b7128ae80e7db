"""The atmosphere: density, depth, refractive index and transparency by height."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RADIATION_LENGTH = 36.62
"""Of dry air in g/cm2 (Particle Data Group)."""

# Base (geopotential km), temperature (K), lapse rate (K/km) of each layer. "us-standard" is the U.S. Standard
# Atmosphere 1976. "subtropical" has a warm ground and a high, cold tropopause: within 1.2 % of the depths of
# maximum and their heights (6 to 12 km) that the public prod4 simulation of Paranal gives for its eleven
# showers.
PROFILES = {
    "us-standard": np.array(
        [
            (0.0, 288.15, -6.5),
            (11.0, 216.65, 0.0),
            (20.0, 216.65, 1.0),
            (32.0, 228.65, 2.8),
            (47.0, 270.65, 0.0),
            (51.0, 270.65, -2.8),
            (71.0, 214.65, -2.0),
        ]
    ),
    "subtropical": np.array(
        [
            (0.0, 298.0, -6.3),
            (16.0, 197.2, 2.2),
            (48.0, 267.6, 0.0),
            (51.0, 267.6, -2.8),
            (71.0, 211.6, -2.0),
        ]
    ),
}
_PRESSURE_0 = 101325.0  # Pa
_GAS = 287.0529  # J / (kg K), dry air
_HYDROSTATIC = 34.16319  # K / km: g0 M / R
_EARTH = 6356.766  # km
_TOP = 100e3  # m

# Refractivity n - 1 of air at 15 degrees C, 101325 Pa and 400 nm (Edlen's dispersion formula)
_REFRACTIVITY_0 = 2.829e-4


def density(height: Array, profile: str = "us-standard") -> Array:
    """Density of a hydrostatic atmosphere of layers with constant lapse rates.

    Parameters
    ----------
    height : numpy.ndarray
        Metres above sea level, 0 to 100 km (above 86 km the last layer is continued).
    profile : str
        A key of ``PROFILES``.

    Returns
    -------
    numpy.ndarray
        kg / m3.
    """
    layers = PROFILES[profile]
    geopotential = _EARTH * (height / 1e3) / (_EARTH + height / 1e3)
    base = np.clip(np.searchsorted(layers[:, 0], geopotential, side="right") - 1, 0, None)
    pressures = [_PRESSURE_0]
    for (low, temperature, lapse), high in zip(layers, layers[1:, 0], strict=False):
        pressures.append(pressures[-1] * _pressure_ratio(high - low, temperature, lapse))
    above = geopotential - layers[base, 0]
    start, lapse = layers[base, 1], layers[base, 2]
    local = np.maximum(start + lapse * above, 150.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = (start / local) ** (_HYDROSTATIC / lapse)
    ratio = np.where(lapse == 0, np.exp(-_HYDROSTATIC * above / start), power)
    return np.asarray(np.take(pressures, base) * ratio / (_GAS * local))


def _pressure_ratio(thickness: float, temperature: float, lapse: float) -> float:
    if lapse == 0:
        return float(np.exp(-_HYDROSTATIC * thickness / temperature))
    return float((temperature / (temperature + lapse * thickness)) ** (_HYDROSTATIC / lapse))


# Ozone: absorption cross section (1e-20 cm2) in the Hartley and Huggins bands, rounded from the compilations
# of Gorshelev et al. (2014), and a mid-latitude profile of the number density (1e12 / cm3)
_OZONE_WAVELENGTH = np.array([240, 250, 260, 270, 280, 290, 300, 310, 320, 330, 340, 350], dtype=float)
_OZONE_CROSS_SECTION = np.array([830, 1120, 1080, 790, 395, 140, 39, 10.0, 2.8, 0.7, 0.15, 0.0])
_OZONE_HEIGHT = np.array([0, 10, 14, 18, 22, 26, 30, 35, 40, 50, 60], dtype=float) * 1e3
_OZONE_DENSITY = np.array([0.7, 0.9, 1.8, 3.5, 4.8, 4.0, 2.6, 1.3, 0.5, 0.06, 0.0])


@dataclass(frozen=True, eq=False)
class Atmosphere:
    """Tables of the atmosphere above one observation level.

    Parameters
    ----------
    observation_level : float
        Height of the telescope's ground in metres above sea level.
    profile : str
        A key of ``PROFILES``.
    aerosol_optical_depth : float
        Vertical, above the observation level, at 550 nm (a clean site above 2 km: 0.03 to 0.06).
    aerosol_scale : float
        Scale height of the aerosol above the observation level, metres.

    Notes
    -----
    Flat layers: zenith angles up to about 60 degrees.
    """

    observation_level: float
    profile: str = "us-standard"
    aerosol_optical_depth: float = 0.05
    aerosol_scale: float = 1500.0

    @cached_property
    def height_grid(self) -> Array:
        """Heights from sea level to 100 km in steps of 20 m."""
        return np.arange(0.0, _TOP + 1, 20.0)

    @cached_property
    def depth_grid(self) -> Array:
        """Vertical depth in g/cm2 above each height of ``height_grid``."""
        rho = density(self.height_grid, self.profile)
        slabs = 0.5 * (rho[1:] + rho[:-1]) * np.diff(self.height_grid) * 0.1
        # what lies above the table, from the scale height at its top
        rest = rho[-1] * 6000.0 * 0.1
        return np.concatenate([np.cumsum(slabs[::-1])[::-1], [0.0]]) + rest

    def depth(self, height: Array | float) -> Array:
        """Vertical depth in g/cm2 above a height in metres."""
        return np.exp(np.interp(height, self.height_grid, np.log(self.depth_grid)))

    def height(self, depth: Array | float) -> Array:
        """Height in metres of a vertical depth in g/cm2."""
        return np.interp(-np.log(depth), -np.log(self.depth_grid), self.height_grid)

    def refractivity(self, height: Array | float) -> Array:
        """N - 1 at 400 nm, proportional to the density."""
        return np.asarray(_REFRACTIVITY_0 * density(np.asarray(height, dtype=float), self.profile) / 1.225)

    @cached_property
    def ground_depth(self) -> float:
        """Vertical depth of the observation level in g/cm2."""
        return float(self.depth(self.observation_level))

    def optical_depth(self, height: Array, wavelength: Array) -> Array:
        """Vertical optical depth between heights and the observation level.

        Rayleigh scattering with a mean free path of 2974 g/cm2 at 400 nm, proportional to wavelength^4
        (Baltrusaitis et al. 1985); aerosol with an Angstrom exponent of 1.3; ozone.

        Parameters
        ----------
        height : numpy.ndarray, shape (n,)
            Metres.
        wavelength : numpy.ndarray, shape (m,)
            Nanometres.

        Returns
        -------
        numpy.ndarray, shape (n, m)
        """
        slab = np.clip(self.ground_depth - self.depth(height), 0, None)[:, None]
        rayleigh = slab / (2974.0 * (wavelength / 400.0) ** 4)
        above = np.clip(height - self.observation_level, 0, None)[:, None]
        aerosol = (
            self.aerosol_optical_depth * (550.0 / wavelength) ** 1.3 * -np.expm1(-above / self.aerosol_scale)
        )
        columns = np.concatenate(
            [[0.0], np.cumsum(0.5 * (_OZONE_DENSITY[1:] + _OZONE_DENSITY[:-1]) * np.diff(_OZONE_HEIGHT))]
        )
        column = np.interp(height, _OZONE_HEIGHT, columns) - np.interp(
            self.observation_level, _OZONE_HEIGHT, columns
        )
        # 1e12 / cm3 * m = 1e14 / cm2; cross sections in 1e-20 cm2
        cross = np.interp(wavelength, _OZONE_WAVELENGTH, _OZONE_CROSS_SECTION, right=0.0)
        ozone = np.clip(column, 0, None)[:, None] * 1e14 * cross * 1e-20
        return np.asarray(rayleigh + aerosol + ozone)

    @cached_property
    def lookup(self) -> Array:
        """Table for the compiled transport, one row for each step of ln(depth).

        Returns
        -------
        numpy.ndarray, shape (LOOKUP_SIZE, 2)
            Height in metres and n - 1, at ``ln(depth)`` from ``LOOKUP_LOW`` in steps of ``1 / LOOKUP_SCALE``.
        """
        logs = LOOKUP_LOW + np.arange(LOOKUP_SIZE) / LOOKUP_SCALE
        heights = self.height(np.exp(logs))
        return np.stack([heights, self.refractivity(heights)], axis=1)


LOOKUP_LOW = np.log(2e-3)
LOOKUP_SCALE = 150.0
LOOKUP_SIZE = 2000


@lru_cache(maxsize=8)
def atmosphere_above(observation_level: float, profile: str = "us-standard") -> Atmosphere:
    """The atmosphere above a site; one object for each height and profile."""
    return Atmosphere(observation_level, profile)
