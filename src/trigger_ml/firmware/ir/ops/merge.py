"""Several maps, or vectors, as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray, shift
from trigger_ml.firmware.ir.bounds import Bounds, product_bounds, sum_bounds
from trigger_ml.firmware.ir.ops.base import Node, Shape, channel_index

__all__ = ["Add", "Concatenate", "Multiply", "aligned"]


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


@dataclass(frozen=True)
class Concatenate(Node):
    """The channels of several maps of one height and width, or of several vectors, one after the other.

    Values of different types get the finest last bit, so that one type holds them all.
    """

    op = "concatenate"
    since = 2

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        if len({shape[:-1] for shape in inputs}) > 1:
            raise ValueError(f"node {self.name!r} joins maps of different sizes: {inputs}")
        return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        finest = max(part.fraction for part in inputs)
        parts = [part.aligned(finest) for part in inputs]
        low, high = (np.concatenate(ends) for ends in ([p.low for p in parts], [p.high for p in parts]))
        return Bounds(low, high, finest)

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        return np.concatenate(aligned(values, fractions), axis=-1)

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        return result.magnitude

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        own = [channels[(channels >= s.start) & (channels < s.stop)] - s.start for s in self.alike(widths)]
        return self, [channel_index(c, positions, width) for c, width in zip(own, widths, strict=True)]

    @override
    def alike(self, widths: Sequence[int]) -> list[slice]:
        ends = np.cumsum(widths).tolist()
        return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]


@dataclass(frozen=True)
class Multiply(Node):
    """Products of a map, or a vector, with another of the same shape or with fewer values.

    The second factor may have one position for all of the first's (a vector of its channels) and one channel
    for all of its channels.
    """

    op = "multiply"
    since = 3

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        first, second = inputs
        fits = all(n in (1, m) for m, n in zip(first[::-1], second[::-1], strict=False))
        if not fits or len(second) > len(first):
            raise ValueError(f"node {self.name!r} multiplies {first} with {second}, which has not its shape")
        return first

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        return product_bounds(*inputs)

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        first, second = values
        between = (1,) * (first.ndim - second.ndim)
        return first * second.reshape(len(second), *between, *second.shape[1:])

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        return max(result.magnitude, *(b.magnitude for b in inputs))

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        own = [channels if width > 1 else np.zeros(1, dtype=np.int64) for width in widths]
        return self, [channel_index(c, positions, width) for c, width in zip(own, widths, strict=True)]

    def held(self, shapes: list[Shape]) -> bool:
        """Whether one position of the second factor is that of all positions of the first."""
        first, second = (int(np.prod(shape[:-1])) for shape in shapes)
        return second == 1 and first > 1
