from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trigger_ml.core.config import InputConfig
from trigger_ml.events.camera import axial_grid
from trigger_ml.events.digicam import digicam_geometry
from trigger_ml.events.quantize import quantize, to_counts, values


def by_hand(value: float, lsb: Fraction, bits: int) -> int:
    """Round half to even, then clip, in rational arithmetic."""
    return min(max(round(Fraction(value) / lsb), 0), 2**bits - 1)


@given(
    charges=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    shift=st.integers(-4, 4),
    bits=st.integers(1, 16),
)
@settings(max_examples=60, deadline=None)
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
    config = InputConfig(channels=("peak_time", "image"), bits=10, charge_lsb=0.5, time_lsb=0.25)
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
    counts = to_counts(events, InputConfig(mapping="bilinear"), digicam_bilinear)
    assert counts.shape == (2, *digicam_bilinear.shape, 1)
    expected = np.clip(np.rint(digicam_bilinear.to_grid(events.image) * 2), 0, 255)
    np.testing.assert_array_equal(counts[..., 0], expected)


def test_missing_channel_is_told(make_events):
    from dataclasses import replace

    events = replace(make_events(1), peak_time=None)
    with pytest.raises(ValueError, match="the events have no peak_time"):
        to_counts(events, InputConfig(channels=("peak_time",)), axial_grid(digicam_geometry()))


@given(bits=st.integers(1, 16))
def test_values_are_exact(bits):
    counts = np.arange(2**bits).astype(np.uint16)
    exact = values(counts, bits)
    assert exact.dtype == np.float32
    assert exact.max() < 1
    np.testing.assert_array_equal(exact.astype(np.float64) * 2**bits, counts)
