import math

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, SkyCoord
from ctapipe.coordinates import CameraFrame
from hypothesis import given
from hypothesis import strategies as st

from trigger_ml.simulation.geometry import camera_axes, deflect, grown, sky_direction

angles = st.floats(-0.5, 0.5)


@given(st.floats(0.2, 1.5), st.floats(0, 6.2))
def test_camera_axes_are_orthonormal(alt, az):
    axes = camera_axes(alt, az)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    # derivatives of the direction, numerically
    step = 1e-6
    np.testing.assert_allclose((sky_direction(alt + step, az) - axes[2]) / step, axes[0], atol=1e-5)


@given(st.floats(0.1, 3.0), st.floats(0, 6.2), angles, angles)
def test_deflect_turns_by_the_angle(theta, phi, a, b):
    u0 = np.array([math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)])
    v = np.array(deflect(*u0, a, b))
    assert np.linalg.norm(v) == pytest.approx(1, abs=1e-12)
    assert float(u0 @ v) == pytest.approx(1 / math.sqrt(1 + a * a + b * b), abs=1e-9)


def test_camera_axes_are_ctapipes_camera_frame():
    alt, az = math.radians(70), math.radians(30)
    pointing = SkyCoord(alt=alt * u.rad, az=az * u.rad, frame=AltAz())
    source = SkyCoord(alt=(alt + 0.01) * u.rad, az=(az + 0.02) * u.rad, frame=AltAz())
    camera = source.transform_to(CameraFrame(focal_length=1 * u.m, telescope_pointing=pointing))
    direction = camera_axes(alt, az) @ sky_direction(alt + 0.01, az + 0.02)
    assert direction[0] / direction[2] == pytest.approx(camera.x.to_value("m"), abs=1e-5)
    assert direction[1] / direction[2] == pytest.approx(camera.y.to_value("m"), abs=1e-5)


def test_grown_keeps_rows():
    rows = np.arange(6.0).reshape(3, 2)
    larger = grown(rows)
    assert larger.shape == (6, 2)
    np.testing.assert_array_equal(larger[:3], rows)
