"""Maxima and averages over windows and over whole maps."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.ops.base import Node, Shape, channel_index
from trigger_ml.firmware.ir.ops.window import NO_PADDING, Padding, SlidingNode, Window

__all__ = ["AveragePool2D", "GlobalAveragePool", "GlobalMaxPool", "GlobalPool", "MaxPool2D", "Pool2D"]


@dataclass(frozen=True)
class Pool2D(SlidingNode):
    """Base of what is pooled over a window."""

    window: tuple[int, int]
    strides: tuple[int, int]

    @property
    @override
    def sliding(self) -> Window:
        return Window(self.window, self.strides)

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        return (*self.sliding.shape(inputs[0]), inputs[0][2])

    @override
    def reads(self, varying: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.broadcast_to(varying, (*self.window, len(varying)))

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        return self, [channel_index(channels, positions, widths[0])]


@dataclass(frozen=True)
class MaxPool2D(Pool2D):
    """Maximum over a window.

    ``padding`` is ((top, bottom), (left, right)), less than the window. What a window holds beyond the map's
    edge is left out, or counts as zero where ``zeros`` says so.
    """

    op = "max_pool2d"
    padding: Padding = field(default=NO_PADDING, metadata={"since": 3})
    zeros: bool = field(default=False, metadata={"since": 3})

    @property
    @override
    def sliding(self) -> Window:
        return Window(self.window, self.strides, self.padding)

    @property
    @override
    def padded(self) -> bool:
        return self.padding != NO_PADDING

    @override
    def outside(self, bounds: Bounds) -> int:
        # no value is smaller, so that it is never the maximum of a window that holds a cell of the map
        return 0 if self.zeros else int(bounds.low.min())

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        return inputs[0].with_zero() if self.zeros and self.padded else inputs[0]

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        lowest = 0 if self.zeros else int(np.iinfo(np.int64).min)
        x = np.pad(values[0], ((0, 0), *self.padding, (0, 0)), constant_values=lowest)
        return np.asarray(self.sliding.views(x).max(axis=(-2, -1)))

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        return result.magnitude

    @override
    def alone(self) -> Node:
        return replace(self, padding=NO_PADDING, strides=(1, 1))


@dataclass(frozen=True)
class AveragePool2D(Pool2D):
    """Sum over a window divided by ``2**divisor_log2``, which is exact: the last bit becomes finer."""

    op = "average_pool2d"
    divisor_log2: int

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        total = inputs[0].summed(self.sliding.cells)
        return Bounds(total.low, total.high, total.fraction + self.divisor_log2)

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        return np.asarray(self.sliding.views(values[0]).sum(axis=(-2, -1)))

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        return inputs[0].magnitude * self.sliding.cells


@dataclass(frozen=True)
class GlobalPool(Node):
    """Base of what is pooled over all positions: a vector of channels."""

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        return inputs[0][2:]

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        return self, [channel_index(channels, positions, widths[0])]

    @override
    def positions(self, shapes: list[Shape]) -> int:
        return shapes[0][0] * shapes[0][1]


@dataclass(frozen=True)
class GlobalMaxPool(GlobalPool):
    """Maximum over all positions."""

    op = "global_max_pool"
    since = 3

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        return inputs[0]

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        return np.asarray(values[0].max(axis=(1, 2)))

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        return result.magnitude


@dataclass(frozen=True)
class GlobalAveragePool(GlobalPool):
    """Sum over all positions divided by ``2**divisor_log2``, which is exact."""

    op = "global_average_pool"
    divisor_log2: int

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        total = inputs[0].summed(self.positions(shapes))
        return Bounds(total.low, total.high, total.fraction + self.divisor_log2)

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        return np.asarray(values[0].sum(axis=(1, 2)))

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        return inputs[0].magnitude * self.positions(shapes)
