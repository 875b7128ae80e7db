import numpy as np
import pytest
from ctapipe.containers import EventType

from trigger_ml.core.config import InputConfig
from trigger_ml.core.errors import InputError
from trigger_ml.events.noise import LEAST_EVENTS, REFERENCE, PixelNoise, noise_of_images, threshold_factor
from trigger_ml.events.pedestals import measured_noise
from trigger_ml.events.quantize import charge_rule


@pytest.fixture
def rng():
    return np.random.default_rng(17)


@pytest.fixture
def night(rng):
    """Noise of known mean and spread in 60 pixels, 400 images."""
    mean, spread = rng.uniform(1, 4, 60), rng.uniform(1, 2, 60)
    return mean, spread, rng.normal(mean, spread, (400, 60)).astype(np.float32)


def test_noise_is_found_under_showers(night, rng):
    mean, spread, images = night
    # every image holds a shower somewhere, as triggered events do
    for image, start in zip(images, rng.integers(0, 55, 400), strict=True):
        image[start : start + 5] += rng.exponential(60, 5)
    noise = noise_of_images([images[:150], images[150:]], "showers", judged=True)
    # a twelfth of a pixel's charges is light, and what is near the noise stays in
    np.testing.assert_allclose(noise.mean[0], mean, atol=0.45)
    np.testing.assert_allclose(noise.spread[0], spread, rtol=0.35)
    assert abs(noise.level[0] - np.median(mean)) < 0.1
    assert noise.source == "showers, 400 images"


def test_few_images_share_one_number(night):
    _, _, images = night
    noise = noise_of_images([images[: LEAST_EVENTS - 1]], "showers", judged=True)
    assert len(np.unique(noise.mean)) == len(np.unique(noise.spread)) == 1
    assert noise.mean[0, 0] == pytest.approx(images[: LEAST_EVENTS - 1].mean(), abs=0.3)
    assert noise.source.endswith("all pixels together")


def test_pixels_that_say_nothing_are_dead(night):
    _, _, images = night
    images[:, 3] = np.nan
    images[:, 8] = 0.25
    # one bad value is an accident, not a dead pixel
    images[5, 20] = np.inf
    noise = noise_of_images([images], "showers", judged=True)
    assert np.flatnonzero(noise.dead[0]).tolist() == [3, 8]
    assert noise.dead_fraction[0] == 2 / 60
    assert np.isfinite(noise.mean).all()


def test_one_image_kills_no_pixel(night):
    noise = noise_of_images([night[2][:1]], "showers", judged=True)
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


@pytest.mark.parametrize("windows", [16, 28, 200])
@pytest.mark.parametrize("judged", [False, True])
def test_noise_passes_as_often_whatever_windows_it_was_measured_in(rng, windows, judged):
    """Counted in drawn noise: three spreads of 64 windows, and the factor times three of fewer or more."""

    def passing(n, own, factor):
        measured = rng.standard_normal((n, 400_000 // n * 10)).astype(np.float32)
        tried = measured if own else rng.standard_normal(measured.shape)
        noise = noise_of_images([measured], "drawn", judged=own)
        return np.mean(tried > noise.mean + 3 * factor * noise.spread)

    expected = passing(REFERENCE, False, threshold_factor(REFERENCE, 3, judged=False))
    # of eight thousand that pass
    factor = threshold_factor(windows, 3, judged=judged)
    assert passing(windows, judged, factor) == pytest.approx(expected, rel=0.08)
    # and without the factor it would not
    assert abs(passing(windows, judged, 1) / expected - 1) > 0.1


@pytest.mark.parametrize(("windows", "lit"), [(16, 2), (20, 2), (28, 3), (40, 4)])
def test_light_in_a_few_of_few_images_is_no_noise(rng, windows, lit):
    """A pixel near the centre of the camera is lit in several of a few dozen events."""
    images = rng.normal(2, 1, (windows, 500)).astype(np.float32)
    images[:lit] += 30
    noise = noise_of_images([images], "showers", judged=True)
    assert noise.spread.mean() == pytest.approx(1, abs=0.04)
    assert noise.mean.mean() == pytest.approx(2, abs=0.04)


def test_the_factor_is_one_for_the_trainings_own_windows_and_where_nothing_is_known():
    assert threshold_factor(REFERENCE, 3.0, judged=False) == 1
    assert threshold_factor(2, 3.0, judged=True) == threshold_factor(500, 0.0, judged=True) == 1


def test_each_block_has_the_factor_of_its_windows():
    shape = (3, 4)
    noise = PixelNoise(
        np.zeros(shape, np.float32), np.full(shape, 2, np.float32), np.zeros(shape, bool), "a test",
        np.array([64, 64, 28]), np.array([False, True, True]),
    )  # fmt: skip
    config = InputConfig(pedestal="pixel", threshold=3.0, charge_lsb=0.001)
    least = charge_rule(config, noise, 4).least
    expected = [6000 * threshold_factor(n, 3, judged=own) for n, own in ((64, False), (64, True), (28, True))]
    np.testing.assert_allclose(least, np.ceil(expected)[:, np.newaxis] * np.ones(4), atol=1)
    assert least[0, 0] == 6000
    assert least[2, 0] < least[1, 0] < least[0, 0]


def test_the_spread_of_a_noise_with_a_tail_is_not_clipped_away(rng):
    """The charge of the highest of several peaks: what it holds beyond three spreads is noise, too."""
    images = rng.gamma(8, 1, (3000, 40)).astype(np.float32)
    spread = noise_of_images([images], "night sky", judged=False).spread[0]
    # the skewness is 0.7; clipped at three spreads it would be 7 % too small
    assert spread.mean() == pytest.approx(np.sqrt(8), rel=0.02)


def test_showers_judged_by_their_own_noise_are_known_to_be(make_events):
    showers, clocked = make_events(40), make_events(40)
    clocked.event_type[:20] = EventType.SKY_PEDESTAL.value
    for events, windows, judged in ((showers, 40, True), (clocked, 20, False)):
        noise = measured_noise([events], "a file").noise
        assert (noise.windows.tolist(), noise.judged.tolist()) == ([windows], [judged])
