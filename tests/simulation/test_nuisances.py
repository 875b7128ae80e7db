import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chisquare, kstest

from trigger_ml.core.config import NuisancesConfig, SimulationConfig
from trigger_ml.instrument import sst1m
from trigger_ml.simulation import clocked, electronics, optics
from trigger_ml.simulation.nuisances import NAMES, Nuisances, block_generator, disturb, draw, roughness

WIDE = NuisancesConfig(
    night_sky=(0.03, 0.25),
    gain=(0.9, 1.1),
    gain_spread=(0.0, 0.1),
    throughput=(0.8, 1.05),
    point_spread=(0.0, 0.1),
    dead_pixels=(0.0, 0.05),
    noisy_pixels=(0.0, 0.03),
    pedestal_offset=(0.1, 1.0),
)
NOMINAL = Nuisances(0.1, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
N_SAMPLES = 50


def changed(**values):
    return Nuisances(**NOMINAL.to_dict() | values)


def under(telescope, seed=5, **values):
    return disturb(telescope.nominal, changed(**values), NuisancesConfig(), np.random.default_rng(seed))


def shares(config, seed, n):
    """Place of each block in the ranges, shape (n, nuisances)."""
    rows = []
    for block in range(n):
        values = draw(config, seed, block).to_dict()
        rows.append(
            [
                np.log(values[name] / low) / np.log(high / low)
                if name == "night_sky"
                else (values[name] - low) / (high - low)
                for name, (low, high) in ((name, getattr(WIDE, name)) for name in NAMES)
            ]
        )
    return np.array(rows)


def test_few_blocks_cover_every_range_evenly():
    points = shares(SimulationConfig(nuisances=WIDE), seed=1, n=64)
    assert np.all((points >= 0) & (points <= 1))
    for column in points.T:
        # a random draw would leave about six of sixteen bins of four without one, or with eight
        assert np.all(np.bincount((column * 16).astype(int), minlength=16) == 4)
    # jointly as well: a quarter of the blocks in each quarter of every pair
    for i in range(len(NAMES)):
        for j in range(i):
            quarter = (points[:, i] > 0.5).astype(int) * 2 + (points[:, j] > 0.5)
            assert chisquare(np.bincount(quarter, minlength=4)).pvalue > 0.05


def test_any_number_of_blocks_is_uniform():
    points = shares(SimulationConfig(nuisances=WIDE), seed=2, n=117)
    for column in points.T:
        # nearer to uniform than independent draws are on average (0.08 for 117)
        assert kstest(column, "uniform").statistic < 0.05


def test_seeds_differ_and_order_does_not_matter():
    config = SimulationConfig(nuisances=WIDE)
    backwards = [draw(config, 1, block) for block in (9, 4, 0)]
    assert backwards == [draw(config, 1, block) for block in (9, 4, 0)]
    assert draw(config, 1, 4) == backwards[1]
    assert draw(config, 1, 4) != draw(config, 2, 4)


def test_a_single_number_is_fixed_and_the_default_is_nominal():
    config = SimulationConfig(nsb_rate=0.07, nuisances={"gain": 1.05})
    assert draw(config, 1, 7) == Nuisances(0.07, 1.05, 0.0, 1.0, 0.0, 0.0, 0.0, sst1m.BASELINE_ERROR)
    assert SimulationConfig().nuisances.nominal
    assert not config.nuisances.nominal


@pytest.mark.parametrize(
    "values", [{"gain": [1.1, 0.9]}, {"night_sky": 0}, {"dead_pixels": [0, 0.9]}, {"throughput": [1, 1.2]}]
)
def test_impossible_ranges_are_refused(values):
    with pytest.raises(ValidationError):
        NuisancesConfig(**values)


def flash(telescope, parts, rng, per_pixel=200):
    """Mean charge of every pixel over flashes of light that all of them get."""
    n = len(parts.gain)
    charges = []
    sky = electronics.night_sky(rng, parts.pulse, parts.rate, 1 << 16)
    for _ in range(8):
        pixel = np.repeat(np.arange(n), rng.poisson(per_pixel, n))
        pixel = pixel[rng.random(len(pixel)) * 1.2 < parts.efficiency[pixel]]
        waveform, _ = electronics.read_out(
            rng, pixel, np.full(len(pixel), 60.0), sky, parts.pulse, parts.gain, parts.noise,
            parts.baseline_error, parts.baseline_shift, N_SAMPLES,
        )  # fmt: skip
        charges.append(electronics.extract(waveform, parts.calibration, parts.correction)[0])
    return np.mean(charges, axis=0)


def test_gain_and_throughput_scale_the_light_by_what_they_say(telescope, rng):
    plain = flash(telescope, under(telescope)[0], rng)
    gain = flash(telescope, under(telescope, gain=1.1)[0], rng)
    dim = flash(telescope, under(telescope, throughput=0.8)[0], rng)
    # 8 flashes of 167 photo-electrons in 1296 pixels: better than 0.1 %
    assert gain.mean() / plain.mean() == pytest.approx(1.1, abs=0.01)
    assert dim.mean() / plain.mean() == pytest.approx(0.8, abs=0.015)


def test_gain_spread_is_that_of_the_pixels(telescope, rng):
    parts, _ = under(telescope, gain_spread=0.1)
    ratio = parts.gain / telescope.nominal.gain
    assert ratio.std() == pytest.approx(0.1, rel=0.08)
    charge = flash(telescope, parts, rng)
    expected = ratio * parts.efficiency
    assert np.corrcoef(charge, expected)[0, 1] > 0.9


def test_dead_pixels_are_dark_and_flagged(telescope, rng):
    parts, dead = under(telescope, dead_pixels=0.03, noisy_pixels=0.02, pedestal_offset=1.0)
    assert dead.sum() in (38, 39)
    charge = flash(telescope, parts, rng)
    assert np.all(charge[dead] == 0)
    assert np.all(charge[~dead] > 50)
    sky = electronics.night_sky(rng, parts.pulse, parts.rate, 1 << 16)
    pedestal = clocked.measure_pedestal(rng, parts, sky, N_SAMPLES)
    np.testing.assert_array_equal(pedestal.dead, dead)
    assert np.all(pedestal.std[dead] == 0)


def test_noisy_pixels_have_the_noise_factor(telescope):
    parts, dead = under(telescope, dead_pixels=0.05, noisy_pixels=0.02)
    factor = parts.noise[~dead] / telescope.nominal.noise[~dead]
    noisy = factor > 1
    assert noisy.sum() in (25, 26)
    assert factor[noisy].min() >= 3
    assert factor[noisy].max() <= 10
    np.testing.assert_array_equal(factor[~noisy], 1)


def test_baseline_error_is_measured_by_the_camera(telescope, rng):
    parts, _ = under(telescope, pedestal_offset=1.0)
    assert parts.baseline_error.std() == pytest.approx(1.0, rel=0.08)
    sky = electronics.night_sky(rng, parts.pulse, parts.rate, 1 << 18)
    pedestal = clocked.measure_pedestal(rng, parts, sky, N_SAMPLES)
    # too much subtracted leaves the baseline below zero
    expected = -parts.baseline_error * parts.calibration
    residual = pedestal.baseline_mean - expected
    assert np.corrcoef(pedestal.baseline_mean, expected)[0, 1] > 0.95
    assert abs(residual.mean()) < 0.1 * expected.std()


@pytest.mark.parametrize("rate", [0.03, 0.25])
def test_fast_clocked_windows_are_those_of_the_read_out(telescope, rate):
    """Pedestals take their electronic noise from a recording: moments agree with windows that draw it."""
    rng = np.random.default_rng(8)
    parts, _ = under(telescope, night_sky=rate, noisy_pixels=0.1)
    sky = electronics.night_sky(rng, parts.pulse, parts.rate, 1 << 20)
    pedestal = clocked.measure_pedestal(rng, parts, sky, N_SAMPLES, 150)
    charges, waveforms = [], []
    for _ in range(150):
        waveform, true_image = clocked.window(rng, parts, sky, N_SAMPLES)
        assert true_image.sum() == 0
        charges.append(electronics.extract(waveform, parts.calibration, parts.correction)[0])
        waveforms.append(waveform * parts.calibration[:, np.newaxis])
    charges = np.array(charges)
    mean_error = charges.std(axis=0) / np.sqrt(75)
    # 1296 pixels: the deviations are those of chance, and their mean is none
    pull = (pedestal.mean - charges.mean(axis=0)) / mean_error
    assert pull.std() == pytest.approx(1, abs=0.1)
    assert abs(pull.mean()) < 0.15
    assert np.median(pedestal.std / charges.std(axis=0)) == pytest.approx(1, abs=0.02)
    samples = np.array(waveforms)
    assert np.median(pedestal.baseline_std / samples.std(axis=(0, 2))) == pytest.approx(1, abs=0.02)
    assert pedestal.baseline_mean.mean() == pytest.approx(samples.mean(), abs=0.01)


def test_more_night_sky_is_more_noise(telescope, rng):
    spreads = []
    for rate in (0.04, 0.16):
        parts, _ = under(telescope, night_sky=rate)
        sky = electronics.night_sky(rng, parts.pulse, parts.rate, 1 << 18)
        spreads.append(np.median(clocked.measure_pedestal(rng, parts, sky, N_SAMPLES).baseline_std))
    # nearly the root of four, less the electronic noise that both have
    assert 1.5 < spreads[1] / spreads[0] < 2.0


def test_point_spread_blurs_by_as_much_as_it_says(telescope):
    """Parallel light on the axis: variances add."""
    rng = np.random.default_rng(4)
    mirror = telescope.optics
    n = 40_000
    photons = np.zeros((n, 5))
    photons[:, 3:5] = rng.uniform(-1.8, 1.8, (n, 2))

    def spread(blur):
        _, _, position = optics.trace(
            rng, photons, n, mirror.facets, mirror.normals, mirror.focal_lengths, mirror.pixels,
            mirror.neighbours, mirror.raster, roughness(blur),
        )  # fmt: skip
        x = position[np.isfinite(position[:, 0])]
        return np.degrees(np.std(x, axis=0).mean() / sst1m.FOCAL_LENGTH)

    plain, blurred = spread(0.0), spread(0.1)
    assert np.sqrt(blurred**2 - plain**2) == pytest.approx(0.1, rel=0.05)


def test_blocks_are_the_same_for_every_particle():
    one, two = block_generator(3, 8, 1), block_generator(3, 8, 1)
    assert one.random() == two.random()
    assert block_generator(3, 8, 2).random() != block_generator(3, 9, 1).random()
