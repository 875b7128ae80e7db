import numpy as np
import pytest
from ctapipe.image import tailcuts_clean

from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.events.light import cleaned_charge, level_and_spread
from trigger_ml.instrument.digicam import digicam_geometry


@pytest.fixture(scope="module")
def camera():
    return digicam_geometry()


def shower(camera, light):
    """An elliptical image at the centre."""
    x, y = camera.pix_x.to_value("m"), camera.pix_y.to_value("m")
    image = np.exp(-0.5 * ((x / 0.08) ** 2 + (y / 0.03) ** 2))
    return light * image / image.sum()


def noisy(camera, light, level, spread, n=200):
    rng = np.random.default_rng(3)
    return (shower(camera, light) + rng.normal(level, spread, (n, camera.n_pixels))).astype(np.float32)


@pytest.mark.parametrize(("level", "spread"), [(0.0, 1.0), (5.0, 1.0), (2.0, 3.0)])
def test_it_is_ctapipes_cleaning_at_the_thresholds_of_the_image(camera, level, spread):
    images = noisy(camera, 800, level, spread, 30)
    found = cleaned_charge(images, ImageParameters(camera))
    for image, size in zip(images, found, strict=True):
        low, middle = np.percentile(image[::3], [15.87, 50])
        above, sigma = image - middle, middle - low
        lit = tailcuts_clean(
            camera,
            above,
            picture_thresh=max(8, 4 * sigma),
            boundary_thresh=max(4, 2 * sigma),
            keep_isolated_pixels=False,
            min_number_picture_neighbors=2,
        )
        # percentiles between two pixels are interpolated there: a pixel at a threshold may differ
        assert size == pytest.approx(above[lit].sum(), rel=0.05, abs=10)


def test_a_pedestal_adds_no_light(camera):
    parameters = ImageParameters(camera)
    dark, lifted = (cleaned_charge(noisy(camera, 800, level, 1.0), parameters) for level in (0.0, 20.0))
    np.testing.assert_allclose(lifted, dark, atol=0.01)
    assert dark.mean() == pytest.approx(800, rel=0.25)


@pytest.mark.parametrize("spread", [1.0, 2.0, 4.0])
def test_night_sky_alone_is_no_light(camera, spread):
    sizes = cleaned_charge(noisy(camera, 0, 3.0, spread, 400), ImageParameters(camera))
    assert (sizes > 0).mean() < 0.02


def test_an_images_own_noise_is_that_of_its_dark_pixels():
    rng = np.random.default_rng(3)
    images = rng.normal(4.0, 2.0, (50, 1296)).astype(np.float32)
    images[:, :60] += 300
    level, spread = level_and_spread(images)
    assert level.mean() == pytest.approx(4.0, abs=0.15)
    assert spread.mean() == pytest.approx(2.0, rel=0.08)


def test_nothing_is_nothing(camera):
    assert cleaned_charge(np.empty((0, 1296), dtype=np.float32), ImageParameters(camera)).shape == (0,)
