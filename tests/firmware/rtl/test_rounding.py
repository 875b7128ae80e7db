"""Every integer of an interval, through logic and through the definition."""

import numpy as np
import pytest
from alkaid.trace import FVArray
from hypothesis import given, settings
from hypothesis import strategies as st

from trigger_ml.core.fixed_point import FixedPoint, Overflow, Rounding, requantize
from trigger_ml.firmware.rtl.kernels import Source, make_kernel
from trigger_ml.firmware.rtl.rounding import HARDWARE, constant, quantize


def through_logic(low, high, places, dtype, rounding, overflow):
    """A kernel that only quantizes, made as all kernels are."""
    source = Source(np.array([low]), np.array([high]), 0)

    def body(values):
        result = quantize(np.asarray(values[0])[0], places, dtype, rounding, overflow)
        return FVArray(np.array([result], dtype=object), hwconf=HARDWARE)

    values = np.arange(low, high + 1)
    return values, make_kernel("k", [source], [(1,)], body, 1)(values[:, None]).ravel()


@settings(max_examples=200)
@given(
    low=st.integers(-600, 600),
    span=st.integers(0, 300),
    places=st.integers(-2, 6),
    dtype=st.builds(FixedPoint, signed=st.booleans(), width=st.integers(1, 9), fraction=st.just(3)),
    rounding=st.sampled_from(Rounding),
    overflow=st.sampled_from(Overflow),
)
def test_agrees_with_the_definition_on_every_integer(low, span, places, dtype, rounding, overflow):
    values, found = through_logic(low, low + span, places, dtype, rounding, overflow)
    expected = requantize(values, places + dtype.fraction, dtype, rounding, overflow)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [57.0, 158.0, -2912.0])
def test_constants_round_half_even(value):
    dtype = FixedPoint(True, 7, 4)
    result = quantize(constant(value), 4, dtype, Rounding.RND_CONV, Overflow.SAT)
    assert result.low == result.high == requantize(int(value), 8, dtype)


def test_a_tie_goes_to_the_even_neighbour():
    values, found = through_logic(0, 15, 2, FixedPoint(False, 4, 0), Rounding.RND_CONV, Overflow.SAT)
    assert dict(zip(values.tolist(), found.tolist(), strict=True)) | {2: 0, 6: 2, 10: 2, 14: 4} == dict(
        zip(values.tolist(), found.tolist(), strict=True)
    )


@pytest.mark.parametrize(
    ("low", "high", "places", "width"), [(0, 256, 1, 7), (174, 317, 4, 4), (0, 64, 2, 4), (172, 307, 3, 5)]
)
def test_saturation_of_intervals_that_end_above_a_power_of_two(low, high, places, width):
    dtype = FixedPoint(False, width, 3)
    values, found = through_logic(low, high, places, dtype, Rounding.RND, Overflow.SAT)
    np.testing.assert_array_equal(found, requantize(values, places + 3, dtype, Rounding.RND))
