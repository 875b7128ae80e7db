import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from ctapipe.instrument import CameraGeometry, SubarrayDescription

from trigger_ml.instrument import sst1m
from trigger_ml.instrument.camera import axial_grid
from trigger_ml.instrument.digicam import digicam_geometry, pulse_shape, sst1m_subarray


def test_agrees_with_the_published_array_description(shared_data):
    """Every pixel number has the place that the SST-1M collaboration's own description gives it."""
    array = SubarrayDescription.from_hdf(shared_data / "digicam-geometry/sst1m_array.h5")
    official, built = array.tel[21].camera.geometry, digicam_geometry()
    assert built.n_pixels == official.n_pixels == 1296
    for axis in ("pix_x", "pix_y"):
        difference = getattr(built, axis) - getattr(official, axis)
        assert np.abs(difference).max() < 10 * u.um
    assert built.pix_rotation == official.pix_rotation
    np.testing.assert_allclose(built.pix_area.value, official.pix_area.value, rtol=0.01)


def test_pixel_numbers_are_the_software_numbers(shared_data):
    """The camera's configuration table has the same numbers, with x = -y, y = -x (millimetres)."""
    table = np.loadtxt(shared_data / "digicam-geometry/camera_config.cfg")
    number, x, y = table[:, 8].astype(int), table[:, 9], table[:, 10]
    built = digicam_geometry()
    np.testing.assert_allclose(built.pix_x.to_value(u.mm)[number], -y, atol=0.02)
    np.testing.assert_allclose(built.pix_y.to_value(u.mm)[number], -x, atol=0.02)


def test_older_simulation_lies_on_the_same_grid(shared_data):
    """prod3's DigiCam has another scale and another numbering, but its images look the same."""
    old = CameraGeometry.from_table(
        Table.read(shared_data / "digicam-geometry/DigiCam.camgeom.fits.gz", hdu=1)
    )
    built = digicam_geometry()
    ours, theirs = axial_grid(built), axial_grid(old)
    assert ours.same_layout(theirs)
    assert not np.array_equal(ours.columns, theirs.columns)
    # each cell's pixel is at the same place, up to the scale
    place = theirs.to_pixels(ours.to_grid(built.pix_x.value[np.newaxis]))[0]
    scale = old.pix_x.value.std() / built.pix_x.value.std()
    np.testing.assert_allclose(place * scale, old.pix_x.value, atol=1e-3)


def test_outline_repeats_every_120_degrees():
    built = digicam_geometry()
    place = built.pix_x.value + 1j * built.pix_y.value
    turned = place * np.exp(2j * np.pi / 3)
    distance = np.abs(turned[:, np.newaxis] - place).min(axis=1)
    assert distance.max() < 1e-9


def test_pulse_has_unit_height_and_its_width():
    time, height = pulse_shape(step=0.1)
    assert height.max() == pytest.approx(1)
    assert time[height.argmax()] == pytest.approx(sst1m.PULSE_PEAK)
    above = time[height > 0.5]
    assert 13 < above[-1] - above[0] < 15


def test_subarray_survives_a_file(tmp_path):
    subarray = sst1m_subarray([(0, 0, 0), (71.0, -30.0, 2.0)])
    subarray.to_hdf(tmp_path / "array.h5")
    again = SubarrayDescription.from_hdf(tmp_path / "array.h5")
    assert again == subarray
    assert str(again.tel[2]) == "SST_1M_DigiCam"
    np.testing.assert_allclose(again.positions[2].to_value(u.m), [71, -30, 2])
