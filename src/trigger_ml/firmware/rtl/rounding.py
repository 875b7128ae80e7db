"""Rounding, saturation, products and tables as logic on alkaid's variables, in integer units.

alkaid 0.8.2 has ``RND_CONV`` too, but gives wrong results for some narrow intervals and for constants;
``tests/firmware/rtl/test_rounding.py`` compares what is here with the definition, integer by integer.
"""

import numpy as np
from alkaid.trace import FVariable, HWConfig

from trigger_ml.core.fixed_point import FixedPoint, IntArray, Overflow, Rounding, requantize

__all__ = ["HARDWARE", "constant", "product", "quantize", "tabulated"]

# an adder costs one latency unit whatever its width: registers are placed by adder levels
HARDWARE = HWConfig(1, -1, -1)


def constant(value: float) -> FVariable:
    """A variable that holds one number."""
    return FVariable.from_const(float(value), HARDWARE)


def _is_constant(value: FVariable) -> bool:
    return bool(value.low == value.high)


def _bits(value: FVariable, low: int, high: int) -> FVariable:
    """The bits of weight ``2**low`` to ``2**(high-1)`` as an unsigned number."""
    if _is_constant(value):
        return constant((int(value.low) >> low << low) & ((1 << high) - 1))
    return value.quantize(0, high, -low)


def _floor(value: FVariable, places: int) -> FVariable:
    """``value`` without its bits below ``2**places``."""
    if _is_constant(value):
        return constant(int(value.low) >> places << places)
    signed, integer, _ = value.kif
    return value.quantize(signed, max(integer, places), -places)


def _any(value: FVariable) -> FVariable:
    """One if any bit is set."""
    if _is_constant(value):
        return constant(value.low != 0)
    return value.unary_bit_op("any")


def _round_half_even(value: FVariable, places: int) -> FVariable:
    """Multiple of ``2**places`` nearest to ``value``."""
    raised = value + 2.0 ** (places - 1)
    # raised by a half, a tie has no bits below: there the last bit kept becomes zero
    no_tie = _any(_bits(raised, 0, places))
    last = _bits(raised, places, places + 1)
    even = _floor(raised, places + 1)
    if _is_constant(last) or _is_constant(no_tie):
        kept = last * no_tie.low if _is_constant(no_tie) else no_tie * last.low
    else:
        kept = last & (no_tie * 2.0**places)
    return even + kept


def _saturate(value: FVariable, dtype: FixedPoint, places: int) -> FVariable:
    unit = 2.0**places
    top = places + dtype.width - int(dtype.signed)
    if _is_constant(value):
        return constant(min(max(value.low, dtype.minimum * unit), dtype.maximum * unit))
    if dtype.signed:
        return value.max_of(dtype.minimum * unit).min_of(dtype.maximum * unit)
    if value.high <= 0:
        return constant(0)
    positive = value.relu() if value.low < 0 else value
    if positive.high <= dtype.maximum * unit:
        return positive
    _, integer, _ = positive.kif
    return _any(_bits(positive, top, integer)).msb_mux(
        constant(dtype.maximum * unit), _bits(positive, places, top)
    )


def quantize(
    value: FVariable, places: int, dtype: FixedPoint, rounding: Rounding, overflow: Overflow
) -> FVariable:
    """``requantize`` of the fixed-point module.

    Parameters
    ----------
    value : FVariable
        Integers.
    places : int
        Bits that are dropped below the point (negative: that are gained).
    dtype : FixedPoint
        Of the result.
    rounding : Rounding
    overflow : Overflow

    Returns
    -------
    FVariable
        Integers in units of the type's last bit.
    """
    if _is_constant(value):
        return constant(
            float(requantize(round(value.low), places + dtype.fraction, dtype, rounding, overflow))
        )
    if places <= 0:
        value, places = value * 2.0**-places, 0
    elif rounding is Rounding.RND_CONV:
        value = _round_half_even(value, places)
    else:
        value = _floor(value + 2.0 ** (places - 1) if rounding is Rounding.RND else value, places)
    if overflow is Overflow.SAT:
        value = _saturate(value, dtype, places)
    if not _is_constant(value):
        top = places + dtype.width - int(dtype.signed)
        # the type's own bits; a no-op after saturation
        value = value.quantize(int(dtype.signed), top, -places)
    else:
        value = constant(
            float(
                requantize(
                    round(value.low),
                    0,
                    FixedPoint(dtype.signed, dtype.width + places, 0),
                    Rounding.TRN,
                    overflow,
                )
            )
        )
    return value * 2.0**-places


def product(a: FVariable, b: FVariable) -> FVariable:
    """Product of two integers: the wider one wherever a bit of the narrower one is set, added pair by pair."""
    if _is_constant(a) or _is_constant(b):
        return a * b
    wide, narrow = (a, b) if sum(a.kif) >= sum(b.kif) else (b, a)
    signed, integer, fraction = narrow.kif
    terms = []
    for place in range(-fraction, integer):
        bit = _bits(narrow, place, place + 1)
        terms.append(bit.msb_mux(wide, constant(0)) * 2.0**place)
    if signed:
        terms.append(-(narrow.msb().msb_mux(wide, constant(0)) * 2.0**integer))
    while len(terms) > 1:
        pairs = [x + y for x, y in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + ([terms[-1]] if len(terms) % 2 else [])
    return terms[0]


def tabulated(value: FVariable, table: IntArray, low: int) -> FVariable:
    """The table's entry ``table[n - low]`` of an integer ``n``; beyond its ends it does not matter which."""
    if _is_constant(value):
        return constant(float(table[min(max(int(value.low) - low, 0), len(table) - 1)]))
    first, last, step = (int(n) for n in (value.low, value.high, value.step))
    places = np.clip(np.arange(first, last + 1, step) - low, 0, len(table) - 1)
    found = table[places].astype(np.float64)
    if len(found) == 1 or bool(np.all(found == found[0])):
        return constant(float(found[0]))
    return value.lookup(found)
