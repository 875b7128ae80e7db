import numpy as np
import pytest
from ctapipe.image.extractor import extract_around_peak

from trigger_ml.instrument import sst1m
from trigger_ml.instrument.digicam import sst1m_subarray
from trigger_ml.simulation import electronics
from trigger_ml.simulation.electronics import build_electronics, extract, night_sky, read_out

RATE = 0.1


@pytest.fixture(scope="module")
def parts():
    return build_electronics(sst1m_subarray().tel[1].camera.readout, RATE, np.random.default_rng(2))


@pytest.fixture(scope="module")
def sky(parts):
    return night_sky(np.random.default_rng(3), parts.pulse, parts.rate, 1 << 19)


def expose(rng, parts, sky, pixel=(), time=()):
    return read_out(
        rng,
        np.array(pixel, dtype=np.int64),
        np.array(time, dtype=float),
        sky,
        parts.pulse,
        parts.gain,
        parts.noise,
        parts.baseline_error,
        parts.baseline_shift,
        50,
    )


def test_pulse_table_is_the_reference_pulse(parts):
    assert parts.pulse.max() == pytest.approx(sst1m.AMPLITUDE, rel=0.01)
    # phases are the same pulse, shifted: equal integrals
    np.testing.assert_allclose(parts.pulse.sum(axis=1), parts.pulse.sum(axis=1).mean(), rtol=0.01)


def test_one_pulse_lands_at_its_time(parts):
    trace = np.zeros(50, np.float32)
    electronics._add(trace, 61.0, 10.0, parts.pulse)
    times = 4.0 * np.arange(50)
    assert times[trace.argmax()] == pytest.approx(61.0 + parts.peak, abs=2.0)
    assert trace.max() == pytest.approx(10 * sst1m.AMPLITUDE, rel=0.05)
    # pulses at the edges are cut, not wrapped or lost
    for edge in (-30.0, 195.0):
        cut = np.zeros(50, np.float32)
        electronics._add(cut, edge, 1.0, parts.pulse)
        assert 0 < cut.sum() < parts.pulse[0].sum()


def test_night_sky_has_campbells_mean_and_variance(parts, sky):
    step = sst1m.SAMPLE
    cells = 1 / (1 - sst1m.CROSS_TALK)
    mean = parts.rate * parts.pulse.mean(axis=0).sum() * step * cells
    assert sky.mean() == pytest.approx(mean, rel=0.01)
    assert parts.baseline_shift == pytest.approx(mean, rel=1e-6)
    # a geometric number n of cells has <n^2> = (1 + p) / (1 - p)^2
    square = (1 + sst1m.CROSS_TALK) * cells**2 + sst1m.CHARGE_SPREAD**2 * cells
    variance = parts.rate * (parts.pulse**2).mean(axis=0).sum() * step * square
    assert sky.var() == pytest.approx(variance, rel=0.03)


def test_empty_events_are_noise_around_zero(parts, sky, rng):
    waveform, true_image = expose(rng, parts, sky)
    assert waveform.shape == (1296, 50)
    assert true_image.sum() == 0
    assert waveform.mean() == pytest.approx(0, abs=0.15)
    expected = np.sqrt(sky.var() + sst1m.ELECTRONIC_NOISE**2 + 1 / 12)
    assert waveform.std() == pytest.approx(expected, rel=0.05)


def test_charge_is_calibrated(parts, sky, rng):
    pixels = np.repeat(np.arange(0, 1296, 10), 200)
    waveform, true_image = expose(rng, parts, sky, pixels, np.full(len(pixels), 80.0))
    assert np.all(true_image[::10] == 200)
    image, peak_time = extract(waveform, parts.calibration, parts.correction)
    assert image[::10].mean() == pytest.approx(200, rel=0.03)
    # charge spread and calibration error, not more
    assert image[::10].std() / 200 < 0.06
    assert np.median(peak_time[::10]) == pytest.approx(80 + parts.peak, abs=3)


def test_adc_saturates(parts, sky, rng):
    waveform, _ = expose(rng, parts, sky, np.full(3000, 5), np.full(3000, 80.0))
    assert waveform[5].max() <= sst1m.MAX_ADC - sst1m.BASELINE


def test_extraction_is_ctapipes(parts, sky, rng):
    pixels = rng.integers(0, 1296, 4000)
    waveform, _ = expose(rng, parts, sky, pixels, rng.normal(80, 10, 4000))
    image, peak_time = extract(waveform, np.ones(1296), 1.0)
    charge, time = extract_around_peak(
        waveform,
        waveform.argmax(axis=1),
        electronics.WINDOW_WIDTH,
        electronics.WINDOW_SHIFT,
        sst1m.SAMPLE**-1,
    )
    np.testing.assert_allclose(image, charge, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(peak_time, time, rtol=1e-4, atol=1e-2)


def test_same_generator_same_event(parts, sky):
    one, two = (expose(np.random.default_rng(9), parts, sky)[0] for _ in range(2))
    np.testing.assert_array_equal(one, two)
