"""Fixed-point arithmetic against exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger_ml.core.fixed_point import (
    MAX_WIDTH,
    OFF_GRID,
    FixedPoint,
    Overflow,
    Rounding,
    from_grid,
    overflow,
    quantize,
    requantize,
    round_shift,
    shift,
    to_float,
    to_integers,
)

TYPES = st.builds(FixedPoint, st.booleans(), st.integers(1, 40), st.integers(-8, 40))
INTEGERS = st.integers(-(2**45), 2**45)


def rounded(value: Fraction, rounding: Rounding) -> int:
    if rounding is Rounding.TRN:
        return math.floor(value)
    if rounding is Rounding.RND:
        return math.floor(value + Fraction(1, 2))
    return round(value)  # Python rounds a Fraction's halves to even


def brought_into_range(n: int, dtype: FixedPoint, mode: Overflow) -> int:
    low = -(2 ** (dtype.width - 1)) if dtype.signed else 0
    high = low + 2**dtype.width - 1
    if mode is Overflow.SAT:
        return min(max(n, low), high)
    return (n - low) % 2**dtype.width + low


@given(INTEGERS, st.integers(-10, 70), st.sampled_from(Rounding))
def test_round_shift(n, places, rounding):
    expected = rounded(Fraction(n) / Fraction(2) ** places, rounding)
    assert round_shift(n, places, rounding) == expected


@given(INTEGERS, st.integers(0, 10), TYPES, st.sampled_from(Rounding), st.sampled_from(Overflow))
def test_requantize(n, extra, dtype, rounding, mode):
    fraction = dtype.fraction + extra
    exact = rounded(Fraction(n, 2**extra), rounding)
    expected = brought_into_range(exact, dtype, mode)
    assert requantize(n, fraction, dtype, rounding, mode) == expected


@given(st.integers(-(2**20), 2**20), st.integers(0, 20), TYPES, st.sampled_from(Overflow))
def test_requantize_to_a_finer_last_bit_rounds_nothing(n, finer, dtype, mode):
    result = requantize(n, dtype.fraction - finer, dtype, Rounding.TRN, mode)
    assert result == brought_into_range(n * 2**finer, dtype, mode)


@given(st.floats(-1e4, 1e4, allow_subnormal=False), TYPES, st.sampled_from(Rounding))
def test_quantize_real_numbers(x, dtype, rounding):
    scaled = Fraction(x) * Fraction(2) ** dtype.fraction
    if rounding is Rounding.RND and scaled.limit_denominator(2**50) != scaled:
        return  # x + 0.5 itself rounds there
    expected = brought_into_range(rounded(scaled, rounding), dtype, Overflow.SAT)
    assert quantize(x, dtype, rounding) == expected


@given(INTEGERS, INTEGERS, st.integers(-5, 5))
def test_holding_is_the_smallest_type(a, b, fraction):
    low, high = min(a, b), max(a, b)
    dtype = FixedPoint.holding(low, high, fraction)
    assert dtype.contains(low, high)
    assert dtype.signed == (low < 0)
    if dtype.width > 1:
        assert not FixedPoint(dtype.signed, dtype.width - 1, fraction).contains(low, high)


@given(TYPES)
def test_range_of_a_type(dtype):
    assert dtype.maximum - dtype.minimum == 2**dtype.width - 1
    assert dtype.lsb == Fraction(1, 2) ** dtype.fraction
    assert FixedPoint(**dtype.to_dict()) == dtype
    inside = np.array([dtype.minimum, dtype.maximum])
    np.testing.assert_array_equal(overflow(inside, dtype, Overflow.WRAP), inside)


def test_names_are_those_of_ap_fixed():
    assert str(FixedPoint(True, 8, 5)) == "fixed<8,3>"
    assert str(FixedPoint(False, 6, 8)) == "ufixed<6,-2>"


@given(st.integers(-(2**40), 2**40), st.integers(-10, 30))
def test_real_values_and_back(n, fraction):
    value = to_float(n, fraction)
    assert Fraction(float(value)) == Fraction(n) / Fraction(2) ** fraction
    assert from_grid(value, fraction) == n
    assert to_integers(value, FixedPoint(True, 60, fraction)) == n


@pytest.mark.parametrize("value", [0.3, np.nan, np.inf, 2.0**60])
def test_what_is_not_on_the_grid_equals_no_integer(value):
    np.testing.assert_array_equal(from_grid([0.25, value], 3), [2, OFF_GRID])


@pytest.mark.parametrize("value", [0.3, 4.0, -0.25, np.nan])
def test_to_integers_refuses_what_it_would_have_to_round(value):
    with pytest.raises(ValueError, match=r"ufixed<4,2>"):
        to_integers([0.25, value], FixedPoint(False, 4, 2))


def test_shift_refuses_to_lose_bits_at_either_end():
    with pytest.raises(ValueError, match="loses bits"):
        shift(np.array([1]), -1)
    with pytest.raises(OverflowError, match="62 bits"):
        shift(np.array([3]), MAX_WIDTH - 1)
    assert shift(np.array([1]), MAX_WIDTH - 1) == 2 ** (MAX_WIDTH - 1)


@pytest.mark.parametrize("width", [0, MAX_WIDTH + 1])
def test_width_is_limited(width):
    with pytest.raises(ValueError, match="width"):
        FixedPoint(True, width, 0)
