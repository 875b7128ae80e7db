import astropy.units as u
import numpy as np
import pytest
from ctapipe.coordinates import TelescopeFrame
from ctapipe.image import hillas_parameters, leakage_parameters, tailcuts_clean
from ctapipe.image.toymodel import Gaussian

from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.instrument.digicam import digicam_geometry


@pytest.fixture(scope="module")
def images():
    """Toy showers, one of them at the edge, one too faint to survive the cleaning."""
    geometry = digicam_geometry()
    rng = np.random.default_rng(4)
    made = []
    for _ in range(12):
        model = Gaussian(
            x=rng.uniform(-0.4, 0.4) * u.m,
            y=rng.uniform(-0.4, 0.4) * u.m,
            length=rng.uniform(0.03, 0.06) * u.m,
            width=rng.uniform(0.01, 0.02) * u.m,
            psi=rng.uniform(0, 180) * u.deg,
        )
        made.append(model.generate_image(geometry, intensity=800, nsb_level_pe=3, rng=rng)[0])
    made.append(rng.normal(0, 1, 1296))
    return np.array(made, dtype=np.float32)


def test_cleaning_agrees_with_ctapipe(images):
    geometry = digicam_geometry()
    ours = ImageParameters(geometry).clean(images, picture=8, boundary=4)
    for mask, image in zip(ours, images, strict=True):
        expected = tailcuts_clean(geometry, image, 8, 4, min_number_picture_neighbors=2)
        np.testing.assert_array_equal(mask, expected)
    assert ours[:12].any(axis=1).all()
    assert not ours[12].any()


def test_hillas_parameters_agree_with_ctapipe(images):
    geometry = digicam_geometry()
    sky = geometry.transform_to(TelescopeFrame())
    parameters = ImageParameters(geometry)
    mask = parameters.clean(images)
    ours = parameters.compute(images, mask)
    for row in range(12):
        expected = hillas_parameters(sky[mask[row]], images[row][mask[row]])
        for name in ("intensity", "skewness", "kurtosis"):
            assert ours[f"hillas_{name}"][row] == pytest.approx(expected[name], rel=1e-6)
        for name in ("fov_lon", "fov_lat", "r", "phi", "length", "width", "psi"):
            value = expected[name].to_value(u.deg)
            assert ours[f"hillas_{name}"][row] == pytest.approx(value, rel=1e-6, abs=1e-8)
        leakage = leakage_parameters(geometry, images[row], mask[row])
        for name in ("pixels_width_1", "pixels_width_2", "intensity_width_1", "intensity_width_2"):
            assert ours[f"leakage_{name}"][row] == pytest.approx(leakage[name], rel=1e-5)
        assert ours["morphology_n_pixels"][row] == mask[row].sum()


def test_nothing_left_gives_nan(images):
    parameters = ImageParameters(digicam_geometry())
    ours = parameters.compute(images[12:], parameters.clean(images[12:]))
    assert ours["morphology_n_pixels"][0] == 0
    assert all(np.isnan(column[0]) for name, column in ours.items() if name != "morphology_n_pixels")


def test_line_of_pixels_has_no_width():
    geometry = digicam_geometry()
    image = np.zeros((1, 1296), dtype=np.float32)
    row = np.isclose(geometry.pix_x.value, geometry.pix_x.value[600])
    near = np.flatnonzero(row)[10:15]
    image[0, near] = [10, 20, 40, 20, 12]
    parameters = ImageParameters(geometry)
    ours = parameters.compute(image, image > 0)
    assert ours["hillas_width"][0] == 0
    assert ours["hillas_length"][0] > 0
