import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger_ml.simulation.atmosphere import (
    LOOKUP_LOW,
    LOOKUP_SCALE,
    atmosphere_above,
    density,
)


@pytest.mark.parametrize(
    ("height", "expected"),
    # table of the U.S. Standard Atmosphere 1976, kg / m3 by geometric height
    [
        (0, 1.2250),
        (5000, 0.73643),
        (11000, 0.36480),
        (20000, 0.088910),
        (32000, 0.013555),
        (50000, 0.0010269),
    ],
)
def test_density_is_the_standard_atmosphere(height, expected):
    assert density(np.array([float(height)]))[0] == pytest.approx(expected, rel=2e-3)


def test_depth_at_sea_level_is_pressure_over_gravity():
    assert float(atmosphere_above(0.0).depth(0.0)) == pytest.approx(101325 / 9.80665 / 10, rel=3e-3)


@given(st.floats(100, 60e3), st.sampled_from(["us-standard", "subtropical"]))
def test_height_undoes_depth(height, profile):
    air = atmosphere_above(2150.0, profile)
    assert float(air.height(air.depth(height))) == pytest.approx(height, abs=1e-3)


def test_subtropical_profile_agrees_with_paranal():
    # depth (g/cm2) and height (m) of the maximum of four showers of the public prod4 simulation
    heights = np.array([11797.0, 10607.0, 8123.0, 6297.0])
    depths = np.array([221.0, 264.0, 375.0, 478.0])
    air = atmosphere_above(2150.0, "subtropical")
    np.testing.assert_allclose(air.depth(heights), depths, rtol=0.015)
    assert np.all(np.abs(atmosphere_above(2150.0).depth(heights[:2]) / depths[:2] - 1) > 0.05)


def test_lookup_is_the_table_it_stands_for():
    air = atmosphere_above(2150.0)
    logs = LOOKUP_LOW + np.array([10, 700, 1900]) / LOOKUP_SCALE
    np.testing.assert_allclose(air.lookup[[10, 700, 1900], 0], air.height(np.exp(logs)))
    np.testing.assert_allclose(air.lookup[[10, 700, 1900], 1], air.refractivity(air.height(np.exp(logs))))


def test_transparency():
    air = atmosphere_above(2150.0)
    depth = air.optical_depth(np.array([2150.0, 5e3, 10e3, 20e3]), np.array([300.0, 400.0, 550.0]))
    assert np.all(depth[0] == 0)
    assert np.all(np.diff(depth, axis=0) > 0)
    # ozone and Rayleigh scattering take the blue
    assert np.all(np.diff(depth[1:], axis=1) < 0)
    # Rayleigh scattering alone, by hand: 593 g/cm2 between at 550 nm, and all of the aerosol
    slab = float(air.ground_depth - air.depth(10e3))
    assert depth[2, 2] == pytest.approx(slab / (2974 * (550 / 400) ** 4) + 0.05, rel=0.02)
