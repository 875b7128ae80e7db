"""Where the integers come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import FixedPoint, IntArray
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.ops.base import Node, Shape

__all__ = ["Input"]


@dataclass(frozen=True)
class Input(Node):
    """The camera's counts on the grid; every integer of ``dtype`` may occur."""

    op = "input"
    dtype: FixedPoint
    size: Shape

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        return self.size

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        one = np.ones(self.size[-1], dtype=np.int64)
        return Bounds(self.dtype.minimum * one, self.dtype.maximum * one, self.dtype.fraction)

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        raise TypeError("an input is given, not computed")

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        return result.magnitude

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        raise TypeError("an input is given, not computed")

    @override
    def result_type(self, bounds: Bounds) -> FixedPoint:
        return self.dtype
