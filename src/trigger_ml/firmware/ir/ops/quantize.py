"""Conversion to another type: the only op that loses bits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import FixedPoint, IntArray, Overflow, Rounding, requantize
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.ops.base import Node, Shape, channel_index

__all__ = ["Quantize"]


@dataclass(frozen=True)
class Quantize(Node):
    """Conversion to a narrower type; to an unsigned type with saturation it is a ReLU."""

    op = "quantize"
    dtype: FixedPoint
    rounding: Rounding = Rounding.RND_CONV
    overflow: Overflow = Overflow.SAT

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        return inputs[0]

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        one = np.ones_like(inputs[0].low)
        if self.overflow is Overflow.WRAP:
            return Bounds(self.dtype.minimum * one, self.dtype.maximum * one, self.dtype.fraction)
        low, high = (
            requantize(n, inputs[0].fraction, self.dtype, self.rounding, self.overflow)
            for n in (inputs[0].low, inputs[0].high)
        )
        return Bounds(low, high, self.dtype.fraction)

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        return requantize(values[0], fractions[0], self.dtype, self.rounding, self.overflow)

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        # Rounding.RND adds a half of the coarser last bit, which may be half a unit of the finer one
        reach = 2 * inputs[0].magnitude + 1 if self.rounding is Rounding.RND else inputs[0].magnitude
        return max(reach, result.magnitude)

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        return self, [channel_index(channels, positions, widths[0])]

    @override
    def result_type(self, bounds: Bounds) -> FixedPoint:
        return self.dtype
