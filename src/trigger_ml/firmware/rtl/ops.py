"""Every op in hardware: as logic for one position, as a module of a streaming pipeline, and unrolled."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from alkaid.trace import FVariable, FVArray

from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import (
    Add,
    Affine,
    AveragePool2D,
    Concatenate,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    Input,
    MaxPool2D,
    Node,
    Quantize,
    Shape,
    SlidingNode,
)
from trigger_ml.firmware.ir.registry import Registry
from trigger_ml.firmware.rtl.dataflow import (
    FlattenModule,
    InputModule,
    Module,
    PointModule,
    Stream,
    SumModule,
    WindowModule,
    output_lanes,
)
from trigger_ml.firmware.rtl.limits import convolution_limits, flat_limits, no_limits, weight_limits
from trigger_ml.firmware.rtl.rounding import HARDWARE, constant, quantize

__all__ = [
    "ARITHMETIC",
    "STREAMING",
    "UNROLLED",
    "Arithmetic",
    "Placing",
    "Site",
    "Unrolling",
    "apply",
]

# --- logic for one position -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Arithmetic:
    """An op as logic.

    Parameters
    ----------
    apply : callable
        From the node, its inputs (FVArray) and their fraction bits to one position of the output.
    by_cell : bool
        Whether an input is (positions, channels); otherwise it is flat.
    check : callable
        From network and node; raises MappingError where no logic can be made.
    """

    apply: Callable[[Any, list[Any], list[int]], Any]
    by_cell: bool = False
    check: Callable[[Network, Any], None] = no_limits

    def layout(self, integers: int, positions: int) -> tuple[int, ...]:
        """Shape in which ``apply`` wants so many integers of some positions."""
        return (positions, integers // positions) if self.by_cell else (integers,)


def _affine(node: Affine, values: list[Any], fractions: list[int]) -> Any:
    """``(x @ weights) << places + bias`` on integers."""
    x, places = values[0], node.accumulator_places(fractions[0])
    variables = np.asarray(x)
    fixed = np.array([v.low == v.high for v in variables])
    matrix = node.matrix.astype(np.float64) * 2.0**places
    total = node.aligned_bias(fractions[0]).astype(np.float64)
    # alkaid's solver takes no constants
    if fixed.any():
        total = total + np.array([v.low for v in variables[fixed]]) @ matrix[fixed]
    if not matrix[~fixed].any():
        return total
    return x[~fixed] @ matrix[~fixed] + total


def _quantize(node: Quantize, values: list[Any], fractions: list[int]) -> FVArray:
    variables = [v if isinstance(v, FVariable) else constant(v) for v in np.asarray(values[0]).ravel()]
    places = fractions[0] - node.dtype.fraction
    results = [quantize(v, places, node.dtype, node.rounding, node.overflow) for v in variables]
    return FVArray(np.array(results, dtype=object), hwconf=HARDWARE)


def _aligned(values: list[Any], fractions: list[int]) -> list[Any]:
    """Inputs in units of the finest last bit."""
    finest = max(fractions)
    return [value * 2.0 ** (finest - fraction) for value, fraction in zip(values, fractions, strict=True)]


def _add(node: Add, values: list[Any], fractions: list[int]) -> Any:
    first, *others = _aligned(values, fractions)
    for other in others:
        first = first + other
    return first


def _concatenate(node: Concatenate, values: list[Any], fractions: list[int]) -> FVArray:
    """Wires alone. Where only some channels are looked at, an input may have none."""
    finest = max(fractions)
    parts = [v * 2.0 ** (finest - f) for v, f in zip(values, fractions, strict=True) if v.size]
    return _array(np.concatenate([np.asarray(part) for part in parts], axis=-1))


def _tree(x: FVArray, combine: Callable[[Any, Any], Any]) -> FVArray:
    """Combine the first axis pair by pair, so that the tree is shallow."""
    rows = list(np.asarray(x))
    while len(rows) > 1:
        pairs = [
            [combine(a, b) for a, b in zip(*rows[i : i + 2], strict=True)] for i in range(0, len(rows) - 1, 2)
        ]
        rows = pairs + ([rows[-1]] if len(rows) % 2 else [])
    return FVArray(np.array(rows[0], dtype=object), hwconf=HARDWARE)


def _maximum(node: MaxPool2D, values: list[Any], fractions: list[int]) -> FVArray:
    return _tree(values[0], lambda a, b: a.max_of(b))


def _sum(node: Node, values: list[Any], fractions: list[int]) -> FVArray:
    return _tree(values[0], operator.add)


def _pass(node: Node, values: list[Any], fractions: list[int]) -> Any:
    return values[0]


ARITHMETIC = Registry[Arithmetic](
    "RTL arithmetic",
    {
        Input: Arithmetic(_pass),
        Conv2D: Arithmetic(_affine, check=convolution_limits),
        Dense: Arithmetic(_affine, check=weight_limits),
        Quantize: Arithmetic(_quantize),
        Add: Arithmetic(_add),
        Concatenate: Arithmetic(_concatenate),
        MaxPool2D: Arithmetic(_maximum, by_cell=True),
        AveragePool2D: Arithmetic(_sum, by_cell=True),
        GlobalAveragePool: Arithmetic(_sum, by_cell=True),
        Flatten: Arithmetic(_pass, check=flat_limits),
    },
)


def apply(node: Node, values: list[Any], fractions: list[int]) -> Any:
    """One node on one position.

    Parameters
    ----------
    node : Node
    values : list of FVArray
        See :meth:`Arithmetic.layout`.
    fractions : list of int
        Of each input.

    Returns
    -------
    FVArray, or numpy.ndarray where the output does not depend on the input
    """
    return ARITHMETIC.of(node).apply(node, values, fractions)


# --- modules of a streaming pipeline --------------------------------------------------------------------


class Site(Protocol):
    """What an op may ask of the pipeline that it is put into."""

    @property
    def network(self) -> Network:
        """The whole network."""

    @property
    def lanes(self) -> int:
        """Positions per beat of the input."""

    @property
    def budget(self) -> float:
        """Clocks for a frame."""

    def driver_of(self, name: str) -> str:
        """Module that drives a node's stream."""

    def stream(self, name: str) -> Stream:
        """Stream of a node."""

    def output(self, node: Node, lanes: int) -> Stream:
        """Stream of a node that is to be made."""

    def narrow(self, name: str, lanes: int, reader: str) -> str:
        """Driver of a node's stream with so many positions per beat."""

    def depth(self, nodes: tuple[Node, ...], taps: int = 1, padded: bool = False) -> int:
        """Registers of the nodes' logic."""


@dataclass(frozen=True)
class Placing:
    """An op in a streaming pipeline.

    Parameters
    ----------
    place : callable
        From the site, the node, the module's name and all nodes that it computes (the node, and a quantizer
        behind it) to the module.
    fuses : bool
        Whether a quantizer behind the node can be computed in the same module.
    """

    place: Callable[[Site, Any, str, tuple[Node, ...]], Module]
    fuses: bool = True


def _enter(site: Site, node: Input, name: str, nodes: tuple[Node, ...]) -> Module:
    return InputModule(name, nodes, (), site.output(node, site.lanes))


def _at_points(site: Site, node: Node, name: str, nodes: tuple[Node, ...]) -> Module:
    """A kernel on single positions; several streams meet with as many lanes as the narrowest has."""
    lanes = min(site.stream(i).lanes for i in node.inputs)
    inputs = tuple(site.narrow(i, lanes, name) for i in node.inputs)
    return PointModule(name, nodes, inputs, site.output(nodes[-1], lanes), site.depth(nodes))


def _in_windows(site: Site, node: SlidingNode, name: str, nodes: tuple[Node, ...]) -> Module:
    window, source = node.sliding, site.stream(node.inputs[0])
    if window.pointwise:
        return _at_points(site, node, name, nodes)
    lanes = output_lanes(source, window.strides[1], site.network.shapes[node.name][0], site.budget)
    registers = site.depth(nodes, window.cells, True)
    return WindowModule(
        name, nodes, (site.driver_of(node.inputs[0]),), site.output(nodes[-1], lanes), source,
        window.size, window.strides, window.padding, registers,
    )  # fmt: skip


def _summed(site: Site, node: GlobalAveragePool, name: str, nodes: tuple[Node, ...]) -> Module:
    source = site.stream(node.inputs[0])
    registers = site.depth(nodes, source.lanes, True) if source.lanes > 1 else 0
    inputs = (site.driver_of(node.inputs[0]),)
    return SumModule(name, nodes, inputs, site.output(node, 1), source, registers)


def _collected(site: Site, node: Flatten, name: str, nodes: tuple[Node, ...]) -> Module:
    source = site.stream(node.inputs[0])
    # only the positions move: the source's type is kept, also where its values need fewer bits
    output = replace(site.output(node, 1), dtype=source.dtype)
    return FlattenModule(name, nodes, (site.driver_of(node.inputs[0]),), output, source)


STREAMING = Registry[Placing](
    "RTL, streaming",
    {
        Input: Placing(_enter, fuses=False),
        Conv2D: Placing(_in_windows),
        Dense: Placing(_at_points),
        Quantize: Placing(_at_points),
        Add: Placing(_at_points),
        Concatenate: Placing(_at_points),
        MaxPool2D: Placing(_in_windows),
        AveragePool2D: Placing(_in_windows),
        GlobalAveragePool: Placing(_summed, fuses=False),
        Flatten: Placing(_collected, fuses=False),
    },
)


# --- one block of logic ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unrolling:
    """An op on a whole frame at once.

    Parameters
    ----------
    unroll : callable
        From the node, its inputs (FVArray of their shapes) and their fraction bits to its output.
    wires : bool
        Whether it takes no time.
    """

    unroll: Callable[[Any, list[FVArray], list[int]], FVArray]
    wires: bool = False


def _array(values: Any) -> FVArray:
    variables = np.vectorize(lambda v: v if hasattr(v, "kif") else constant(v), otypes=[object])(
        np.asarray(values)
    )
    return FVArray(variables, {"binary_lut": False}, hwconf=HARDWARE)


def _each_window(node: SlidingNode, inputs: list[FVArray], fractions: list[int]) -> FVArray:
    x, window, logic = inputs[0], node.sliding, ARITHMETIC.of(node)
    (top, bottom), (left, right) = window.padding
    height, width, channels = x.shape
    padded = np.empty((top + height + bottom, left + width + right, channels), dtype=object)
    padded.fill(constant(0))
    padded[top : top + height, left : left + width] = np.asarray(x)

    def one(row: int, column: int) -> Any:
        cells = padded[row : row + window.size[0], column : column + window.size[1]]
        return np.asarray(
            apply(node, [_array(cells.reshape(logic.layout(cells.size, window.cells)))], fractions)
        )

    rows = range(0, padded.shape[0] - window.size[0] + 1, window.strides[0])
    columns = range(0, padded.shape[1] - window.size[1] + 1, window.strides[1])
    return _array([[one(row, column) for column in columns] for row in rows])


def _whole_map(node: GlobalAveragePool, inputs: list[FVArray], fractions: list[int]) -> FVArray:
    x = inputs[0]
    return _array(apply(node, [x.reshape(-1, x.shape[-1])], fractions))


def _flat(node: Node, inputs: list[FVArray], fractions: list[int]) -> FVArray:
    return _array(np.asarray(apply(node, [x.reshape(-1) for x in inputs], fractions)).reshape(-1))


def _elementwise(node: Node, inputs: list[FVArray], fractions: list[int]) -> FVArray:
    return _flat(node, inputs, fractions).reshape(inputs[0].shape)


def _reshaped(shape: Callable[[Any], Shape]) -> Callable[[Any, list[FVArray], list[int]], FVArray]:
    return lambda node, inputs, fractions: inputs[0].reshape(shape(node))


UNROLLED = Registry[Unrolling](
    "RTL, unrolled",
    {
        Input: Unrolling(_reshaped(lambda node: node.size), wires=True),
        Conv2D: Unrolling(_each_window),
        Dense: Unrolling(_flat),
        Quantize: Unrolling(_elementwise),
        Add: Unrolling(_elementwise),
        Concatenate: Unrolling(_concatenate, wires=True),
        MaxPool2D: Unrolling(_each_window),
        AveragePool2D: Unrolling(_each_window),
        GlobalAveragePool: Unrolling(_whole_map),
        Flatten: Unrolling(_reshaped(lambda node: (-1,)), wires=True),
    },
)
