from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trigger_ml.core.config import InputConfig
from trigger_ml.core.fixed_point import input_values
from trigger_ml.events.noise import PixelNoise
from trigger_ml.events.quantize import charge_rule, quantize, to_counts
from trigger_ml.instrument.camera import axial_grid
from trigger_ml.instrument.digicam import digicam_geometry


def by_hand(value: float, lsb: Fraction, bits: int) -> int:
    """Round half to even, then clip, in rational arithmetic."""
    return min(max(round(Fraction(value) / lsb), 0), 2**bits - 1)


@given(
    charges=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    shift=st.integers(-4, 4),
    bits=st.integers(1, 16),
)
@settings(max_examples=60)
def test_equals_rational_arithmetic(charges, shift, bits):
    lsb = Fraction(2) ** shift
    ours = quantize(np.array(charges, dtype=np.float32), float(lsb), bits)
    assert ours.dtype == (np.uint8 if bits <= 8 else np.uint16)
    assert ours.tolist() == [by_hand(charge, lsb, bits) for charge in charges]


def test_known_charges():
    charges = np.array([-3, 0.24, 0.25, 0.26, 0.74, 0.75, 10.0, 127.5, 5000], dtype=np.float32)
    # 0.25 is half a count and goes to the even 0; 0.75 is one and a half and goes to 2
    assert quantize(charges, 0.5, 8).tolist() == [0, 0, 0, 1, 1, 2, 20, 255, 255]


def test_counts_lie_on_the_grid_channel_by_channel(make_events):
    events = make_events(3)
    grid = axial_grid(digicam_geometry())
    config = InputConfig(
        channels=("peak_time", "image"), bits=10, charge_lsb=0.5, time_lsb=0.25, pedestal="none"
    )
    counts = to_counts(events, config, grid)
    assert counts.shape == (3, 48, 48, 2)
    assert counts.dtype == np.uint16
    for event, pixel in ((0, 0), (1, 700), (2, 1295)):
        cell = counts[event, grid.rows[pixel], grid.columns[pixel]]
        time, charge = events.peak_time[event, pixel], events.image[event, pixel]
        assert cell[0] == by_hand(float(time), Fraction(1, 4), 10)
        assert cell[1] == by_hand(float(charge), Fraction(1, 2), 10)
    assert not counts[:, ~grid.mask].any()


def test_bilinear_counts_interpolate_charges(make_events, digicam_bilinear):
    events = make_events(2)
    counts = to_counts(events, InputConfig(mapping="bilinear", pedestal="none"), digicam_bilinear)
    assert counts.shape == (2, *digicam_bilinear.shape, 1)
    expected = np.clip(np.rint(digicam_bilinear.to_grid(events.image) * 2), 0, 255)
    np.testing.assert_array_equal(counts[..., 0], expected)


def test_missing_channel_is_told(make_events):
    events = replace(make_events(1), peak_time=None)
    with pytest.raises(ValueError, match="the events have no peak_time"):
        to_counts(
            events, InputConfig(channels=("peak_time",), pedestal="none"), axial_grid(digicam_geometry())
        )


def noise_of(mean, spread, dead=None):
    mean, spread = np.atleast_2d(np.float32(mean)), np.atleast_2d(np.float32(spread))
    dead = np.zeros(mean.shape, dtype=bool) if dead is None else np.atleast_2d(dead)
    return PixelNoise(mean, spread, dead, "a test")


def test_the_pedestal_is_taken_off_and_less_than_the_threshold_is_nothing(make_events):
    """Against a definition pixel by pixel in rational numbers."""
    events = make_events(5)
    rng = np.random.default_rng(3)
    mean, spread = rng.uniform(0, 4, 1296), rng.uniform(0.2, 2, 1296)
    dead = rng.random(1296) < 0.05
    config = InputConfig(pedestal="pixel", threshold=2.5, threshold_charge=1.2, charge_lsb=0.5)
    grid = axial_grid(digicam_geometry())
    rule = charge_rule(config, noise_of(mean, spread, dead), 1296)
    counts = grid.to_pixels(to_counts(events, config, grid, rule)[..., 0])
    lit = 0
    for event in range(5):
        for pixel in range(0, 1296, 7):
            count = round(Fraction(float(events.image[event, pixel])) * 2)
            count -= round(Fraction(float(np.float32(mean[pixel]))) * 2)
            least = max(2.5 * float(np.float32(spread[pixel])), 1.2) / 0.5
            expected = min(count, 255) if count >= least and not dead[pixel] else 0
            assert counts[event, pixel] == expected, (event, pixel)
            lit += expected > 0
    assert lit > 20


def test_each_block_of_events_has_its_own_noise(make_events):
    events = replace(make_events(4), block=np.array([0, 1, 1, 0]))
    flat = replace(events, image=np.full_like(events.image, 10.0))
    config = InputConfig(threshold=3)
    rule = charge_rule(config, noise_of([[2.0] * 1296, [4.0] * 1296], [[1.0] * 1296, [2.5] * 1296]), 1296)
    grid = axial_grid(digicam_geometry())
    counts = grid.to_pixels(to_counts(flat, config, grid, rule)[..., 0])
    # 8 photo-electrons above a pedestal of 2; 6 above 4, where noise reaches up to 7.5
    assert counts[0].tolist() == counts[3].tolist() == [16] * 1296
    assert not counts[1:3].any()


def test_events_of_no_block_are_refused_where_blocks_differ(make_events):
    config, grid = InputConfig(), axial_grid(digicam_geometry())
    rule = charge_rule(config, noise_of(np.ones((2, 1296)), np.ones((2, 1296))), 1296)
    with pytest.raises(ValueError, match="without a block"):
        to_counts(make_events(2), config, grid, rule)


def test_without_noise_the_pedestal_cannot_be_taken_off(make_events):
    with pytest.raises(ValueError, match="the noise of 1296 pixels is needed"):
        to_counts(make_events(2), InputConfig(), axial_grid(digicam_geometry()))


def test_pixels_that_do_not_count_have_no_time(make_events, digicam_bilinear):
    events = make_events(3)
    config = InputConfig(channels=("image", "peak_time"))
    grid = axial_grid(digicam_geometry())
    rule = charge_rule(config, noise_of(np.full(1296, 1.0), np.full(1296, 2.0)), 1296)
    counts = to_counts(events, config, grid, rule)
    dark = counts[..., 0] == 0
    assert not counts[..., 1][dark].any()
    assert counts[..., 1][~dark].any()
    # interpolated, light spreads to neighbours: no more than that
    smooth = to_counts(events, config.model_copy(update={"mapping": "bilinear"}), digicam_bilinear, rule)
    assert 0 < np.count_nonzero(smooth[..., 0]) < 20 * np.count_nonzero(counts[..., 0])


@given(bits=st.integers(1, 16))
def test_values_are_exact(bits):
    counts = np.arange(2**bits).astype(np.uint16)
    exact = input_values(counts, bits)
    assert exact.dtype == np.float32
    assert exact.max() < 1
    np.testing.assert_array_equal(exact.astype(np.float64) * 2**bits, counts)
