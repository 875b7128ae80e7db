import numpy as np
import pytest
from ctapipe.containers import EventType

from trigger_ml.core.errors import InputError
from trigger_ml.events.noise import LEAST_EVENTS, noise_of_images
from trigger_ml.events.pedestals import measured_noise


@pytest.fixture
def rng():
    return np.random.default_rng(17)


@pytest.fixture
def night(rng):
    """Noise of known mean and spread in 60 pixels, 400 images."""
    mean, spread = rng.uniform(1, 4, 60), rng.uniform(0.5, 2, 60)
    return mean, spread, rng.normal(mean, spread, (400, 60)).astype(np.float32)


def test_noise_is_found_under_showers(night, rng):
    mean, spread, images = night
    # every image holds a shower somewhere, as triggered events do
    for image, start in zip(images, rng.integers(0, 55, 400), strict=True):
        image[start : start + 5] += rng.exponential(60, 5)
    noise = noise_of_images([images[:150], images[150:]], "showers")
    # a twelfth of a pixel's charges is light, and what is near the noise stays in
    np.testing.assert_allclose(noise.mean[0], mean, atol=0.35)
    np.testing.assert_allclose(noise.spread[0], spread, rtol=0.35)
    assert abs(noise.level[0] - np.median(mean)) < 0.1
    assert noise.source == "showers, 400 images"


def test_few_images_share_one_number(night):
    _, _, images = night
    noise = noise_of_images([images[: LEAST_EVENTS - 1]], "showers")
    assert len(np.unique(noise.mean)) == len(np.unique(noise.spread)) == 1
    assert noise.mean[0, 0] == pytest.approx(images[: LEAST_EVENTS - 1].mean(), abs=0.3)
    assert noise.source.endswith("all pixels together")


def test_pixels_that_say_nothing_are_dead(night):
    _, _, images = night
    images[:, 3] = np.nan
    images[:, 8] = 0.25
    # one bad value is an accident, not a dead pixel
    images[5, 20] = np.inf
    noise = noise_of_images([images], "showers")
    assert np.flatnonzero(noise.dead[0]).tolist() == [3, 8]
    assert noise.dead_fraction[0] == 2 / 60
    assert np.isfinite(noise.mean).all()


def test_one_image_kills_no_pixel(night):
    noise = noise_of_images([night[2][:1]], "showers")
    assert not noise.dead.any()


def test_clocked_events_are_preferred(make_events):
    events = make_events(40)
    events.event_type[:LEAST_EVENTS] = EventType.SKY_PEDESTAL.value
    events.image[:LEAST_EVENTS] = np.random.default_rng(1).normal(5, 0.5, (LEAST_EVENTS, 1296))
    found = measured_noise([events], "a file")
    assert found.noise.source == f"clocked events, {LEAST_EVENTS} images"
    assert found.noise.level[0] == pytest.approx(5, abs=0.1)


def test_each_telescope_has_its_own_noise(make_events):
    events = make_events(80, tel_ids=(1, 4))
    events.image[events.tel_id == 4] += 3
    found = measured_noise([events[:30], events[30:]], "a file")
    placed = found.assign(events)
    level = found.noise.level[placed.block]
    assert level[events.tel_id == 4].mean() - level[events.tel_id == 1].mean() == pytest.approx(3, abs=0.3)


def test_a_telescope_without_noise_is_named(make_events):
    found = measured_noise([make_events(20)], "a file")
    with pytest.raises(InputError, match=r"a file: event 0 of observation 7, telescope 2: no pedestal"):
        found.assign(make_events(4, tel_ids=(2,)))


def test_a_file_without_events_has_no_noise():
    with pytest.raises(InputError, match="has no events"):
        measured_noise([], "a file")
