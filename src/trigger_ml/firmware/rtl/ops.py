"""Every op in hardware: as a module of a streaming pipeline, and unrolled."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from alkaid.trace import FVArray

from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import (
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Input,
    Lookup,
    MaxPool2D,
    Multiply,
    Node,
    Quantize,
    Shape,
    SlidingNode,
)
from trigger_ml.firmware.ir.registry import Registry
from trigger_ml.firmware.rtl.arithmetic import ARITHMETIC, apply, array
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
from trigger_ml.firmware.rtl.rounding import constant

__all__ = ["STREAMING", "UNROLLED", "Placing", "Site", "Unrolling"]

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


def _multiplied(site: Site, node: Multiply, name: str, nodes: tuple[Node, ...]) -> Module:
    """Products of single positions; a factor of one position waits until the last position has come by."""
    if not node.held([site.network.shapes[i] for i in node.inputs]):
        return _at_points(site, node, name, nodes)
    lanes = site.stream(node.inputs[0]).lanes
    inputs = tuple(site.driver_of(i) for i in node.inputs)
    return PointModule(
        name, nodes, inputs, site.output(nodes[-1], lanes), site.depth(nodes), held=frozenset({1})
    )


def _outside(network: Network, node: Node) -> int:
    return node.outside(network.bounds[node.inputs[0]])


def _in_windows(site: Site, node: SlidingNode, name: str, nodes: tuple[Node, ...]) -> Module:
    window, source = node.sliding, site.stream(node.inputs[0])
    if window.pointwise:
        return _at_points(site, node, name, nodes)
    lanes = output_lanes(source, window.strides[1], site.network.shapes[node.name][0], site.budget)
    registers = site.depth(nodes, window.cells, True)
    return WindowModule(
        name, nodes, (site.driver_of(node.inputs[0]),), site.output(nodes[-1], lanes), source,
        window.size, window.strides, window.padding, registers, outside=_outside(site.network, node),
    )  # fmt: skip


def _summed(site: Site, node: Node, name: str, nodes: tuple[Node, ...]) -> Module:
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
        Multiply: Placing(_multiplied),
        Lookup: Placing(_at_points),
        MaxPool2D: Placing(_in_windows),
        AveragePool2D: Placing(_in_windows),
        GlobalMaxPool: Placing(_summed, fuses=False),
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


def _each_window(node: SlidingNode, inputs: list[FVArray], fractions: list[int]) -> FVArray:
    x, window, logic = inputs[0], node.sliding, ARITHMETIC.of(node)
    (top, bottom), (left, right) = window.padding
    height, width, channels = x.shape
    padded = np.empty((top + height + bottom, left + width + right, channels), dtype=object)
    spans = np.array([(v.low, v.high) for v in np.asarray(x).ravel()], dtype=np.int64)
    padded.fill(constant(node.outside(Bounds(spans[:, 0], spans[:, 1], 0))))
    padded[top : top + height, left : left + width] = np.asarray(x)

    def one(row: int, column: int) -> Any:
        cells = padded[row : row + window.size[0], column : column + window.size[1]]
        return np.asarray(
            apply(node, [array(cells.reshape(logic.layout(cells.size, window.cells)))], fractions)
        )

    rows = range(0, padded.shape[0] - window.size[0] + 1, window.strides[0])
    columns = range(0, padded.shape[1] - window.size[1] + 1, window.strides[1])
    return array([[one(row, column) for column in columns] for row in rows])


def _whole_map(node: Node, inputs: list[FVArray], fractions: list[int]) -> FVArray:
    x = inputs[0]
    return array(apply(node, [x.reshape(-1, x.shape[-1])], fractions))


def _flat(node: Node, inputs: list[FVArray], fractions: list[int]) -> FVArray:
    return array(np.asarray(apply(node, [x.reshape(-1) for x in inputs], fractions)).reshape(-1))


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
        Concatenate: Unrolling(apply, wires=True),
        Multiply: Unrolling(apply),
        Lookup: Unrolling(_elementwise),
        MaxPool2D: Unrolling(_each_window),
        AveragePool2D: Unrolling(_each_window),
        GlobalMaxPool: Unrolling(_whole_map),
        GlobalAveragePool: Unrolling(_whole_map),
        Flatten: Unrolling(_reshaped(lambda node: (-1,)), wires=True),
    },
)
