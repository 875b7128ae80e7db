"""The fixed-point network: what the firmware computes, free of any framework or vendor.

A :class:`Network` is a list of nodes in topological order. Each node produces integers whose value is
``n * 2**-fraction``. Nodes that sum (convolution, dense, add, pooling) are exact: their type is derived
from the interval of values that can occur, so they never round or overflow. Only :class:`Quantize`
loses bits, and says how. The file format is described in ``docs/network-format.md``.

Feature maps are (height, width, channels); all arrays of events have a leading event axis.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint, IntArray, Overflow, Rounding, requantize, shift
from trigger_ml.firmware.ir.bounds import Bounds, affine_bounds, sum_bounds

FORMAT_VERSION = 1

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """Base of all nodes.

    Parameters
    ----------
    name : str
        Unique in the network; that of the model's layer it came from.
    inputs : tuple of str
        Names of the nodes whose output this node reads.
    """

    op: ClassVar[str]
    name: str
    inputs: tuple[str, ...]

    def shape(self, inputs: list[Shape]) -> Shape:
        """Shape of one event's output, from those of the inputs."""
        return inputs[0]

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        """Values that the output can take, from those of the inputs."""
        raise NotImplementedError


@dataclass(frozen=True)
class Input(Node):
    """The camera's counts on the grid; every integer of ``dtype`` may occur."""

    op = "input"
    dtype: FixedPoint
    size: Shape

    def shape(self, inputs: list[Shape]) -> Shape:  # noqa: D102
        return self.size

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:  # noqa: D102
        one = np.ones(self.size[-1], dtype=np.int64)
        return Bounds(self.dtype.minimum * one, self.dtype.maximum * one, self.dtype.fraction)


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

    def aligned_bias(self, source: int) -> IntArray:
        """Bias in units of the accumulator's last bit."""
        return shift(self.bias, self.accumulator_fraction(source) - self.bias_type.fraction)

    @property
    def sparsity(self) -> float:
        """Fraction of the kernel's weights that are zero."""
        return float(np.mean(self.kernel == 0))

    def _taps(self) -> IntArray:
        """Kernel as (taps, channels_in, channels_out)."""
        return self.kernel.reshape(-1, *self.kernel.shape[-2:])

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:  # noqa: D102
        source = inputs[0].with_zero()
        return affine_bounds(
            source,
            self._taps(),
            self.aligned_bias(source.fraction),
            self.kernel_type.fraction,
            self.accumulator_fraction(source.fraction),
        )


def window_shape(size: Shape, window: Shape, strides: Shape, padding: tuple[Shape, Shape]) -> Shape:
    """Height and width of a sliding window's output."""
    padded = [n + before + after for n, (before, after) in zip(size, padding, strict=True)]
    return tuple((n - k) // s + 1 for n, k, s in zip(padded, window, strides, strict=True))


@dataclass(frozen=True, eq=False)
class Conv2D(Affine):
    """Convolution (correlation), zero padded.

    ``kernel`` is (height, width, channels_in, channels_out); a depthwise kernel is
    (height, width, channels, 1). ``padding`` is ((top, bottom), (left, right)).
    """

    op = "conv2d"
    strides: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    depthwise: bool = False

    def shape(self, inputs: list[Shape]) -> Shape:  # noqa: D102
        size = window_shape(inputs[0][:2], self.kernel.shape[:2], self.strides, self.padding)
        return (*size, self.kernel.shape[2] if self.depthwise else self.kernel.shape[3])

    def full_kernel(self) -> IntArray:
        """Kernel as an ordinary convolution's, also when it is depthwise."""
        if not self.depthwise:
            return self.kernel
        height, width, channels, _ = self.kernel.shape
        full = np.zeros((height, width, channels, channels), dtype=np.int64)
        index = np.arange(channels)
        full[:, :, index, index] = self.kernel[..., 0]
        return full

    def _taps(self) -> IntArray:
        kernel = self.full_kernel()
        return kernel.reshape(-1, *kernel.shape[-2:])


@dataclass(frozen=True, eq=False)
class Dense(Affine):
    """Matrix product on a flat vector; ``kernel`` is (features_in, features_out)."""

    op = "dense"

    def shape(self, inputs: list[Shape]) -> Shape:  # noqa: D102
        return (self.kernel.shape[1],)

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:  # noqa: D102
        # a dense layer has no padding, so the bounds need not hold zero
        source = inputs[0]
        total = self.accumulator_fraction(source.fraction)
        bias = self.aligned_bias(source.fraction)
        return affine_bounds(source, self._taps(), bias, self.kernel_type.fraction, total)


@dataclass(frozen=True)
class Quantize(Node):
    """Conversion to a narrower type; to an unsigned type with saturation it is a ReLU."""

    op = "quantize"
    dtype: FixedPoint
    rounding: Rounding = Rounding.RND_CONV
    overflow: Overflow = Overflow.SAT

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:  # noqa: D102
        one = np.ones_like(inputs[0].low)
        if self.overflow is Overflow.WRAP:
            return Bounds(self.dtype.minimum * one, self.dtype.maximum * one, self.dtype.fraction)
        low, high = (
            requantize(n, inputs[0].fraction, self.dtype, self.rounding, self.overflow)
            for n in (inputs[0].low, inputs[0].high)
        )
        return Bounds(low, high, self.dtype.fraction)


@dataclass(frozen=True)
class Add(Node):
    """Sum of feature maps of one shape (a residual connection)."""

    op = "add"

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:  # noqa: D102
        return sum_bounds(inputs)


@dataclass(frozen=True)
class MaxPool2D(Node):
    """Maximum over a window; only whole windows, no padding."""

    op = "max_pool2d"
    window: tuple[int, int]
    strides: tuple[int, int]

    def shape(self, inputs: list[Shape]) -> Shape:  # noqa: D102
        size = window_shape(inputs[0][:2], self.window, self.strides, ((0, 0), (0, 0)))
        return (*size, inputs[0][2])

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:  # noqa: D102
        return inputs[0]


@dataclass(frozen=True)
class AveragePool2D(Node):
    """Sum over a window divided by ``2**divisor_log2``, which is exact: the last bit becomes finer."""

    op = "average_pool2d"
    window: tuple[int, int]
    strides: tuple[int, int]
    divisor_log2: int

    def shape(self, inputs: list[Shape]) -> Shape:  # noqa: D102
        size = window_shape(inputs[0][:2], self.window, self.strides, ((0, 0), (0, 0)))
        return (*size, inputs[0][2])

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:  # noqa: D102
        total = inputs[0].summed(self.window[0] * self.window[1])
        return Bounds(total.low, total.high, total.fraction + self.divisor_log2)


@dataclass(frozen=True)
class GlobalAveragePool(Node):
    """Sum over all positions divided by ``2**divisor_log2``, which is exact."""

    op = "global_average_pool"
    divisor_log2: int

    def shape(self, inputs: list[Shape]) -> Shape:  # noqa: D102
        return inputs[0][2:]

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:  # noqa: D102
        total = inputs[0].summed(shapes[0][0] * shapes[0][1])
        return Bounds(total.low, total.high, total.fraction + self.divisor_log2)


@dataclass(frozen=True)
class Flatten(Node):
    """Feature map to vector, in (height, width, channel) order."""

    op = "flatten"

    def shape(self, inputs: list[Shape]) -> Shape:  # noqa: D102
        return (int(np.prod(inputs[0])),)

    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:  # noqa: D102
        positions = shapes[0][0] * shapes[0][1]
        return Bounds(
            np.tile(inputs[0].low, positions), np.tile(inputs[0].high, positions), inputs[0].fraction
        )


NODE_TYPES: dict[str, type[Node]] = {
    cls.op: cls
    for cls in (Input, Conv2D, Dense, Quantize, Add, MaxPool2D, AveragePool2D, GlobalAveragePool, Flatten)
}


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes in topological order, the first one the input.

    Parameters
    ----------
    nodes : tuple of Node
    outputs : tuple of str
        Names of the nodes whose integers leave the firmware (logits, not probabilities).
    metadata : mapping
        JSON values that a user of the network needs: task, camera, grid, how charge becomes counts.
        See ``docs/network-format.md`` for the keys.

    Raises
    ------
    ValueError
        If names are not unique, or a node reads one that does not come before it.
    MappingError
        If a layer's output is empty, as that of a window larger than its map.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for node in self.nodes:
            missing = [name for name in node.inputs if name not in seen]
            if missing:
                raise ValueError(f"node {node.name!r} reads {missing} before they are computed")
            if node.name in seen:
                raise ValueError(f"two nodes are named {node.name!r}")
            seen.add(node.name)
        if not isinstance(self.nodes[0], Input) or any(isinstance(n, Input) for n in self.nodes[1:]):
            raise ValueError("the first node, and no other, must be the input")
        if unknown := set(self.outputs) - seen:
            raise ValueError(f"outputs {sorted(unknown)} are not nodes of the network")
        for node in self.nodes:
            if min(self.shapes[node.name], default=1) < 1:
                raise MappingError(
                    f"layer {node.name} ({node.op})",
                    f"its output {self.shapes[node.name]} is empty",
                    "Use a smaller window or 'same' padding, fewer strides before it, or a larger input",
                )

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    @property
    def input(self) -> Input:
        """The input node."""
        first = self.nodes[0]
        assert isinstance(first, Input)
        return first

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every node's output for one event."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            shapes[node.name] = node.shape([shapes[name] for name in node.inputs])
        return shapes

    @cached_property
    def bounds(self) -> dict[str, Bounds]:
        """Interval of every node's output, per channel.

        Raises
        ------
        OverflowError
            Naming the node whose sums do not fit into 62 bits.
        """
        bounds: dict[str, Bounds] = {}
        for node in self.nodes:
            sources = [bounds[name] for name in node.inputs]
            try:
                bounds[node.name] = node.bounds(sources, [self.shapes[name] for name in node.inputs])
            except OverflowError as error:
                raise OverflowError(f"{node.name}: {error}") from None
        return bounds

    @cached_property
    def types(self) -> dict[str, FixedPoint]:
        """Type of every node's output: the declared one, or the smallest that holds the exact result."""
        return {
            node.name: node.dtype if isinstance(node, Input | Quantize) else self.bounds[node.name].dtype
            for node in self.nodes
        }

    def consumers(self, name: str) -> list[Node]:
        """Nodes that read the output of ``name``."""
        return [node for node in self.nodes if name in node.inputs]
