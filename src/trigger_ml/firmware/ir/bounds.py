"""Interval arithmetic: which integers a node of the network can give, without trying any input.

From it follow the types of exact sums, the proof that they fit, and what later stages may assume.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import MAX_WIDTH, FixedPoint, IntArray, shift

__all__ = ["EXACT_FLOAT64", "Bounds", "affine_bounds", "affine_reach", "product_bounds", "sum_bounds"]

EXACT_FLOAT64 = 1 << 53
"""From here on, float64 does not represent every integer."""


@dataclass(frozen=True)
class Bounds:
    """Interval of integers per channel, in units of ``2**-fraction``.

    Parameters
    ----------
    low, high : numpy.ndarray of int64, shape (channels,)
    fraction : int
    """

    low: IntArray
    high: IntArray
    fraction: int

    @property
    def dtype(self) -> FixedPoint:
        """Smallest type that holds every channel."""
        return FixedPoint.holding(int(self.low.min()), int(self.high.max()), self.fraction)

    def aligned(self, fraction: int) -> "Bounds":
        """The same interval in finer units."""
        if fraction < self.fraction:
            raise ValueError("cannot align bounds to a coarser last bit")
        places = fraction - self.fraction
        return Bounds(shift(self.low, places), shift(self.high, places), fraction)

    def summed(self, count: int) -> "Bounds":
        """Bounds of the sum of ``count`` values."""
        _require_int64(self.magnitude * count)
        return Bounds(self.low * count, self.high * count, self.fraction)

    @property
    def magnitude(self) -> int:
        """Largest absolute value of any channel."""
        return max(abs(int(self.low.min())), abs(int(self.high.max())))

    @property
    def magnitudes(self) -> NDArray[np.float64]:
        """Largest absolute value of each channel, shape (channels,)."""
        return np.maximum(np.abs(self.low), np.abs(self.high)).astype(np.float64)

    def with_zero(self) -> "Bounds":
        """The interval widened to hold zero (what padding feeds in)."""
        return self.with_value(0)

    def with_value(self, value: int) -> "Bounds":
        """The interval widened to hold an integer."""
        return Bounds(np.minimum(self.low, value), np.maximum(self.high, value), self.fraction)


def _require_int64(magnitude: float) -> None:
    if magnitude >= 2.0 ** (MAX_WIDTH - 1):
        raise OverflowError(f"a sum can reach {magnitude:.3g}, which needs more than {MAX_WIDTH} bits")


def affine_bounds(source: Bounds, kernel: IntArray, bias: IntArray, fraction: int, total: int) -> Bounds:
    """Bounds of a layer with weights.

    Parameters
    ----------
    source : Bounds
    kernel : numpy.ndarray of int64, shape (taps, channels_in, channels_out)
    bias : numpy.ndarray of int64, shape (channels_out,)
        In units of ``2**-total``.
    fraction : int
        Of the kernel.
    total : int
        Fraction bits of the exact sum.
    """
    largest = float((source.magnitudes @ np.abs(kernel).sum(axis=0, dtype=np.float64)).max())
    _require_int64(np.ldexp(largest, total - source.fraction - fraction) + np.abs(bias).max())
    positive, negative = np.maximum(kernel, 0).sum(axis=0), np.minimum(kernel, 0).sum(axis=0)
    high = source.high @ positive + source.low @ negative
    low = source.low @ positive + source.high @ negative
    places = total - source.fraction - fraction
    return Bounds(shift(low, places) + bias, shift(high, places) + bias, total)


def affine_reach(taps: IntArray, source: Bounds) -> NDArray[np.float64]:
    """Sum of the absolute values of all products, per output channel, in units of products.

    Parameters
    ----------
    taps : numpy.ndarray of int64, shape (taps, channels_in, channels_out)
    source : Bounds
        Of the layer's input.

    Returns
    -------
    numpy.ndarray of float64, shape (channels_out,)
        Exact below 2**53, never too small above.
    """
    reach = source.magnitudes @ np.abs(taps).sum(axis=0, dtype=np.float64)
    return np.asarray(np.where(reach < EXACT_FLOAT64, reach, np.nextafter(reach * (1 + 1e-12), np.inf)))


def product_bounds(a: Bounds, b: Bounds) -> Bounds:
    """Bounds of the products of two values; one of them may have one channel for all of the other's."""
    _require_int64(float(a.magnitude) * b.magnitude)
    ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return Bounds(np.min(ends, axis=0), np.max(ends, axis=0), a.fraction + b.fraction)


def sum_bounds(parts: Sequence[Bounds]) -> Bounds:
    """Bounds of a sum with one term of each part."""
    fraction = max(part.fraction for part in parts)
    aligned = [part.aligned(fraction) for part in parts]
    _require_int64(sum(part.magnitude for part in aligned))
    low = np.sum([part.low for part in aligned], axis=0)
    return Bounds(low, np.sum([part.high for part in aligned], axis=0), fraction)
