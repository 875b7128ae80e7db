"""Layers with weights: sums of products, plus a bias."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import FixedPoint, IntArray, shift
from trigger_ml.firmware.ir.bounds import Bounds, affine_bounds, affine_reach
from trigger_ml.firmware.ir.ops.base import Node, Shape
from trigger_ml.firmware.ir.ops.window import NO_PADDING, Padding, SlidingNode, Window

__all__ = ["Affine", "Conv2D", "Dense"]


@dataclass(frozen=True, eq=False)
class Affine(Node):
    """Base of the layers with weights: integers ``kernel`` and ``bias`` with their types."""

    kernel: IntArray
    kernel_type: FixedPoint
    bias: IntArray
    bias_type: FixedPoint

    def accumulator_fraction(self, source: int) -> int:
        """Fraction bits of the exact sum, given those of the input."""
        return max(source + self.kernel_type.fraction, self.bias_type.fraction)

    def accumulator_places(self, source: int) -> int:
        """Bits by which the exact sum is finer than a product, given the fraction bits of the input."""
        return self.accumulator_fraction(source) - source - self.kernel_type.fraction

    def aligned_bias(self, source: int) -> IntArray:
        """Bias in units of the accumulator's last bit."""
        return shift(self.bias, self.accumulator_fraction(source) - self.bias_type.fraction)

    @property
    def sparsity(self) -> float:
        """Fraction of the kernel's weights that are zero."""
        return float(np.mean(self.kernel == 0))

    @property
    def taps(self) -> IntArray:
        """Weights as (positions, channels_in, channels_out)."""
        return self.kernel.reshape(-1, *self.kernel.shape[-2:])

    @property
    def matrix(self) -> IntArray:
        """Weights as (positions * channels_in, channels_out): what one window is multiplied with."""
        taps = self.taps
        return taps.reshape(-1, taps.shape[-1])

    @property
    def separate(self) -> bool:
        """Whether the output's channels share no input."""
        return False

    @abstractmethod
    def fits(self, source: Shape) -> bool:
        """Whether kernel and bias have the shapes that the input and each other ask for."""

    def _with_bias(self, total: IntArray, source: int) -> IntArray:
        return shift(total, self.accumulator_places(source)) + self.aligned_bias(source)

    def _source(self, bounds: Bounds) -> Bounds:
        """What is multiplied with the weights."""
        return bounds

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        source = self._source(inputs[0])
        fraction = source.fraction
        return affine_bounds(
            source,
            self.taps,
            self.aligned_bias(fraction),
            self.kernel_type.fraction,
            self.accumulator_fraction(fraction),
        )

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        fraction = inputs[0].fraction
        products = np.ldexp(affine_reach(self.taps, inputs[0]), self.accumulator_places(fraction))
        return int(np.ceil((products + np.abs(self.aligned_bias(fraction))).max()))

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        columns = self.matrix[:, channels]
        used = np.flatnonzero((columns != 0).any(axis=1))
        types = self.kernel_type, self.bias_type
        node = Dense(self.name, self.inputs, columns[used], types[0], self.bias[channels], types[1])
        return node, [used]


@dataclass(frozen=True, eq=False)
class Conv2D(Affine, SlidingNode):
    """Convolution (correlation), zero padded.

    ``kernel`` is (height, width, channels_in, channels_out); a depthwise kernel is
    (height, width, channels, 1). ``padding`` is ((top, bottom), (left, right)).
    """

    op = "conv2d"
    strides: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING
    depthwise: bool = False

    @property
    @override
    def sliding(self) -> Window:
        height, width = self.kernel.shape[:2]
        return Window((height, width), self.strides, self.padding)

    @property
    @override
    def padded(self) -> bool:
        return True

    @property
    @override
    def separate(self) -> bool:
        return self.depthwise

    def full_kernel(self) -> IntArray:
        """Kernel as an ordinary convolution's, also when it is depthwise."""
        if not self.depthwise:
            return self.kernel
        height, width, channels, _ = self.kernel.shape
        full = np.zeros((height, width, channels, channels), dtype=np.int64)
        index = np.arange(channels)
        full[:, :, index, index] = self.kernel[..., 0]
        return full

    @property
    @override
    def taps(self) -> IntArray:
        kernel = self.full_kernel()
        return kernel.reshape(-1, *kernel.shape[-2:])

    @override
    def fits(self, source: Shape) -> bool:
        if self.kernel.ndim != 4 or len(source) != 3:
            return False
        *_, incoming, outgoing = self.kernel.shape
        if self.depthwise:
            return incoming == source[-1] and outgoing == 1 and self.bias.shape == (incoming,)
        return incoming == source[-1] and self.bias.shape == (outgoing,)

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        return (
            *self.sliding.shape(inputs[0]),
            self.kernel.shape[2] if self.depthwise else self.kernel.shape[3],
        )

    @override
    def _source(self, bounds: Bounds) -> Bounds:
        return bounds.with_zero()

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        x = np.pad(values[0], ((0, 0), *self.padding, (0, 0)))
        kernel = self.full_kernel()
        height, width = kernel.shape[:2]
        rows = (x.shape[1] - height) // self.strides[0] + 1
        columns = (x.shape[2] - width) // self.strides[1] + 1
        total = np.zeros((len(x), rows, columns, kernel.shape[3]), dtype=np.int64)
        for i in range(height):
            for j in range(width):
                if not kernel[i, j].any():
                    continue
                last_row, last_column = i + (rows - 1) * self.strides[0], j + (columns - 1) * self.strides[1]
                tap = x[:, i : last_row + 1 : self.strides[0], j : last_column + 1 : self.strides[1]]
                total += tap @ kernel[i, j]
        return self._with_bias(total, fractions[0])

    @override
    def reads(self, varying: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray((self.full_kernel()[..., wanted] != 0).any(axis=-1))

    @override
    def alone(self) -> Node:
        return replace(self, padding=NO_PADDING, strides=(1, 1))


@dataclass(frozen=True, eq=False)
class Dense(Affine):
    """Matrix product on a flat vector; ``kernel`` is (features_in, features_out)."""

    op = "dense"

    @override
    def fits(self, source: Shape) -> bool:
        if self.kernel.ndim != 2 or len(source) != 1:
            return False
        return self.kernel.shape[0] == source[0] and self.bias.shape == self.kernel.shape[1:]

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        return (self.kernel.shape[1],)

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        return self._with_bias(values[0] @ self.kernel, fractions[0])
