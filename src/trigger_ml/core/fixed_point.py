"""Fixed-point arithmetic: types, rounding, overflow. The firmware's arithmetic is defined here, once.

A fixed-point number is an integer ``n`` with a type; its value is ``n * 2**-fraction``. All functions
work on the integers (int64), so that no floating point takes part in the definition of a result. The
rounding and overflow modes carry the names of the ``ap_fixed`` library used by HLS compilers.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]

# int64 keeps one bit for the sign; products and sums are checked against this before they are formed
MAX_WIDTH = 62

OFF_GRID = int(np.iinfo(np.int64).min)
"""Stands for a real number that is no multiple of the last bit; see :func:`from_grid`."""


class Rounding(StrEnum):
    """How bits below the last one kept are dropped."""

    TRN = "TRN"
    """Truncate: towards minus infinity."""
    RND = "RND"
    """To nearest, halves towards plus infinity."""
    RND_CONV = "RND_CONV"
    """To nearest, halves to even (what ``tf.round`` and ONNX ``Round`` do)."""


class Overflow(StrEnum):
    """What happens to values outside the range of a type."""

    SAT = "SAT"
    """Saturate at the nearest end of the range."""
    WRAP = "WRAP"
    """Keep the low bits (two's complement)."""


class FixedPointFields(TypedDict):
    """A type as JSON."""

    signed: bool
    width: int
    fraction: int


@dataclass(frozen=True, order=True)
class FixedPoint:
    """A fixed-point type.

    Parameters
    ----------
    signed : bool
        Two's complement if true.
    width : int
        Number of bits, sign included; 1 to 62.
    fraction : int
        Weight of the last bit is ``2**-fraction``; may be negative or larger than ``width``.
    """

    signed: bool
    width: int
    fraction: int

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise ValueError(f"width of {self.width} bits is outside 1 to {MAX_WIDTH}")

    @property
    def minimum(self) -> int:
        """Smallest integer of the type."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """Largest integer of the type."""
        return (1 << (self.width - int(self.signed))) - 1

    @property
    def lsb(self) -> float:
        """Value of the last bit."""
        return 2.0**-self.fraction

    @property
    def integer(self) -> int:
        """Integer bits as ``ap_fixed`` counts them: ``width - fraction``, sign included."""
        return self.width - self.fraction

    def __str__(self) -> str:
        """Name as in ``ap_fixed``: ``ufixed<width,integer>`` or ``fixed<width,integer>``."""
        return f"{'' if self.signed else 'u'}fixed<{self.width},{self.integer}>"

    def to_dict(self) -> FixedPointFields:
        """Plain dictionary for JSON."""
        return {"signed": self.signed, "width": self.width, "fraction": self.fraction}

    def contains(self, low: int, high: int) -> bool:
        """Whether the closed interval of integers ``[low, high]`` is representable."""
        return self.minimum <= low and high <= self.maximum

    @classmethod
    def parse(cls, text: str) -> "FixedPoint":
        """Type of a name: ``fixed<16,6>``, ``ufixed<8,0>``, ``int<9>`` or ``uint<8>``, also after ``ap_``.

        Raises
        ------
        ValueError
            If the text is no such name.
        """
        found = re.fullmatch(r"(?:ap_)?(u?)(fixed|int)<\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?>", text.strip())
        if found is None or (found[2] == "fixed") != (found[4] is not None):
            raise ValueError(f"{text!r} is no type such as fixed<16,6>, ufixed<8,0> or uint<8>")
        width = int(found[3])
        return cls(not found[1], width, 0 if found[4] is None else width - int(found[4]))

    @classmethod
    def holding(cls, low: int, high: int, fraction: int) -> "FixedPoint":
        """Smallest type with the given last bit that represents every integer in ``[low, high]``."""
        if low > high:
            raise ValueError(f"empty interval [{low}, {high}]")
        if low >= 0:
            return cls(False, max(1, int(high).bit_length()), fraction)
        bits = max((-int(low) - 1).bit_length(), int(high).bit_length() if high > 0 else 0) + 1
        return cls(True, bits, fraction)


def shift(values: IntArray, places: int) -> IntArray:
    """Multiply integers by ``2**places`` for ``places >= 0``, which is exact.

    Raises
    ------
    ValueError
        If ``places`` is negative.
    OverflowError
        If a result needs more than ``MAX_WIDTH`` bits.
    """
    if places < 0:
        raise ValueError("a negative shift loses bits: use requantize, which says how they are rounded")
    if places == 0 or values.size == 0:
        return values
    largest = max(abs(int(values.min())), abs(int(values.max())))
    if largest.bit_length() + places > MAX_WIDTH:
        raise OverflowError(f"{largest} * 2**{places} needs more than {MAX_WIDTH} bits")
    return values << np.int64(places)


def round_shift(values: ArrayLike, places: int, rounding: Rounding) -> IntArray:
    """Divide integers by ``2**places`` and round to an integer.

    Parameters
    ----------
    values : array_like of int64
    places : int
        Negative values multiply, which is exact.
    rounding : Rounding

    Returns
    -------
    numpy.ndarray of int64, same shape
    """
    n = np.asarray(values, dtype=np.int64)
    if places <= 0:
        return shift(n, -places)
    if places > MAX_WIDTH:
        # every integer of a type is below a quarter of 2**places, and shifts by 64 or more are undefined
        return np.where(n < 0, np.int64(-1 if rounding is Rounding.TRN else 0), np.int64(0))
    if rounding is Rounding.TRN:
        return n >> np.int64(places)
    half = np.int64(1) << np.int64(places - 1)
    if rounding is Rounding.RND:
        return (n + half) >> np.int64(places)
    quotient = n >> np.int64(places)
    remainder = n - (quotient << np.int64(places))
    up = (remainder > half) | ((remainder == half) & ((quotient & 1) == 1))
    return np.asarray(quotient + up)


def overflow(values: ArrayLike, dtype: FixedPoint, mode: Overflow) -> IntArray:
    """Bring integers (already in units of the type's last bit) into the type's range."""
    n = np.asarray(values, dtype=np.int64)
    if mode is Overflow.SAT:
        return np.clip(n, dtype.minimum, dtype.maximum)
    modulus_mask = np.int64((1 << dtype.width) - 1)
    low = n & modulus_mask
    return np.where(low > dtype.maximum, low - (np.int64(1) << np.int64(dtype.width)), low)


def requantize(
    values: ArrayLike,
    fraction: int,
    dtype: FixedPoint,
    rounding: Rounding = Rounding.RND_CONV,
    mode: Overflow = Overflow.SAT,
) -> IntArray:
    """Convert integers in units of ``2**-fraction`` to the type ``dtype``.

    Rounding comes before saturation, as in ``ap_fixed`` and QKeras. A saturating conversion to an
    unsigned type is a ReLU.

    Parameters
    ----------
    values : array_like of int64
    fraction : int
        Fraction bits of ``values``.
    dtype : FixedPoint
        Type of the result.
    rounding : Rounding
    mode : Overflow

    Returns
    -------
    numpy.ndarray of int64
        Integers in units of ``2**-dtype.fraction``.
    """
    return overflow(round_shift(values, fraction - dtype.fraction, rounding), dtype, mode)


def quantize(values: ArrayLike, dtype: FixedPoint, rounding: Rounding = Rounding.RND_CONV) -> IntArray:
    """Round real numbers to the type, saturating; returns the integers."""
    x = np.ldexp(np.asarray(values, dtype=np.float64), dtype.fraction)
    if rounding is Rounding.TRN:
        n = np.floor(x)
    elif rounding is Rounding.RND:
        n = np.floor(x + 0.5)
    else:
        n = np.rint(x)
    return np.asarray(np.clip(n, dtype.minimum, dtype.maximum), dtype=np.int64)


def to_integers(values: ArrayLike, dtype: FixedPoint) -> IntArray:
    """Integers of real numbers that are already on the type's grid.

    Raises
    ------
    ValueError
        If a value is not representable: nothing is rounded here.
    """
    x = np.ldexp(np.asarray(values, dtype=np.float64), dtype.fraction)
    n = np.rint(x)
    bad = ~np.isfinite(x) | (n != x) | (n < dtype.minimum) | (n > dtype.maximum)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"value {np.asarray(values)[where]!r} at {where} is not representable in {dtype}")
    return n.astype(np.int64)


def from_grid(values: ArrayLike, fraction: int) -> IntArray:
    """Integers of real numbers that should be multiples of ``2**-fraction``.

    Where one is not (or is not finite, or beyond 2**53), the result is ``OFF_GRID``, which equals no
    integer of any type: unlike :func:`to_integers` this never fails, and never hides a difference.
    """
    x = np.ldexp(np.asarray(values, dtype=np.float64), fraction)
    good = np.isfinite(x) & (np.rint(x) == x) & (np.abs(x) <= 2.0**53)
    return np.where(good, np.where(good, x, 0).astype(np.int64), np.int64(OFF_GRID))


def input_scale(bits: int) -> np.float32:
    """What a float model's input is multiplied with: all bits of an input's counts are fraction bits."""
    return np.float32(2.0**-bits)


def input_values(counts: NDArray[np.integer], bits: int) -> NDArray[np.float32]:
    """A float model's input for counts of so many bits: in [0, 1) and exact in float32 up to 24 bits."""
    return np.asarray(counts.astype(np.float32) * input_scale(bits))


def to_float(values: ArrayLike, fraction: int) -> NDArray[np.float64]:
    """Real values of integers in units of ``2**-fraction`` (exact below 2**53)."""
    return np.ldexp(np.asarray(values, dtype=np.float64), -fraction)
