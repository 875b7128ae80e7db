"""Several maps, or vectors, as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray, shift
from trigger_ml.firmware.ir.bounds import Bounds, sum_bounds
from trigger_ml.firmware.ir.ops.base import Node, Shape, channel_index

__all__ = ["Add", "aligned"]


def aligned(values: list[IntArray], fractions: list[int]) -> list[IntArray]:
    """Integers of several types in units of the finest last bit."""
    finest = max(fractions)
    return [shift(v, finest - fraction) for v, fraction in zip(values, fractions, strict=True)]


@dataclass(frozen=True)
class Add(Node):
    """Sum of feature maps of one shape (a residual connection)."""

    op = "add"

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        return inputs[0]

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        return sum_bounds(inputs)

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        return np.asarray(np.sum(aligned(values, fractions), axis=0))

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        return int(np.sum([b.aligned(result.fraction).magnitudes for b in inputs], axis=0).max())

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        return self, [channel_index(channels, positions, width) for width in widths]
