"""Ops of the network that choose or combine values, as plain ONNX operators; no weights take part."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
from onnx import TensorProto

from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import GlobalMaxPool, Lookup, MaxPool2D, Multiply, Node
from trigger_ml.firmware.onnx.graph import Graph, Value
from trigger_ml.firmware.onnx.units import Units

__all__ = ["global_maximum", "lookup", "max_pool", "multiply", "own_unit"]


class Translator(Protocol):
    """What a translation reads of the graph under construction."""

    @property
    def network(self) -> Network:
        """The whole network."""

    @property
    def graph(self) -> Graph:
        """What grows."""

    @property
    def units(self) -> Units:
        """In which units tensors are wanted."""

    @property
    def values(self) -> Mapping[str, Value]:
        """Outputs of the nodes so far."""

    def exact(self, node: Node) -> bool:
        """Whether float32 computes a node exactly."""


def own_unit(units: Units, node: Node) -> int | None:
    """For what counts in the last bit of its input."""
    return units.fraction(node.inputs[0])


def max_pool(to: Translator, node: MaxPool2D) -> Value:
    """ONNX leaves out what lies beyond the edge; where zeros count there, they are compared with afterwards.

    ONNX Runtime 1.31 makes padding of its own of a Pad before a MaxPool, and loses its zeros.
    """
    source, (rows, columns) = to.values[node.inputs[0]], node.padding
    pads = [rows[0], columns[0], rows[1], columns[1]]
    shape, strides = list(node.window), list(node.strides)
    counted = node.zeros and node.padded
    name = f"{node.name}/inside" if counted else node.name
    tensor = to.graph.add("MaxPool", [source.tensor], name, kernel_shape=shape, strides=strides, pads=pads)
    if counted:
        height, width, _ = to.network.shapes[node.inputs[0]]
        inside = np.pad(
            np.zeros((1, height, width, 1), dtype=np.int64),
            ((0, 0), *node.padding, (0, 0)),
            constant_values=1,
        )
        reaches = node.sliding.views(inside).max(axis=(-2, -1))[0, ..., 0]
        lowest = to.network.bounds[node.inputs[0]].low.min() * 2.0 ** (
            source.unit - to.units.fraction(node.inputs[0])
        )
        edge = to.graph.constant(
            f"{node.name}/edge", np.where(reaches, 0.0, lowest)[None, None], double=source.double
        )
        tensor = to.graph.add("Max", [tensor, edge], node.name)
    return replace(source, tensor=tensor)


def global_maximum(to: Translator, node: GlobalMaxPool) -> Value:
    """The largest value of each channel."""
    source = to.values[node.inputs[0]]
    tensor = to.graph.add("ReduceMax", [source.tensor], node.name, axes=[2, 3], keepdims=0)
    return replace(source, tensor=tensor)


def multiply(to: Translator, node: Multiply) -> Value:
    """Products; a vector gets the map's axes."""
    double = not to.exact(node) or any(to.values[name].double for name in node.inputs)
    first, second = (
        to.graph.channels_last(
            to.graph.cast(to.values[name], double, f"{node.name}/double{number}"), f"{node.name}/{number}"
        )
        for number, name in enumerate(node.inputs)
    )
    tensor = second.tensor
    ranks = [len(to.network.shapes[name]) for name in node.inputs]
    if ranks == [3, 1]:
        axes = to.graph.constant(f"{node.name}/axes", np.array([2, 3], dtype=np.int64))
        tensor = to.graph.add("Unsqueeze", [tensor, axes], f"{node.name}/everywhere")
    to.graph.add("Mul", [first.tensor, tensor], node.name)
    return Value(node.name, first.unit + second.unit, double)


def lookup(to: Translator, node: Lookup) -> Value:
    """The table is gathered from, by whole numbers; the channels' tables lie one behind the other."""
    name, fraction = node.name, to.units.fraction(node.inputs[0])
    source = to.values[node.inputs[0]]
    tables, entries = node.rows.shape
    if tables > 1:
        source = to.graph.channels_last(source, name)
    # places are exact in float64, however many tables there are
    source = to.graph.cast(source, source.double or not to.exact(node) or tables > 1, f"{name}/double")
    source = to.graph.scaled(source, fraction, f"{name}/scale")
    first = node.low - np.arange(tables, dtype=np.float64) * entries
    if len(to.network.shapes[name]) == 3:
        first = first.reshape(-1, 1, 1)
    start = to.graph.constant(f"{name}/first", first, double=source.double)
    place = to.graph.add("Sub", [source.tensor, start], f"{name}/place")
    index = to.graph.add("Cast", [place], f"{name}/index", to=TensorProto.INT64)
    unit = to.units.delivered(name)
    values = np.ldexp(node.table.astype(np.float64).ravel(), unit - node.dtype.fraction)
    table = to.graph.constant(f"{name}/table", values)
    to.graph.add("Gather", [table, index], name, axis=0)
    return Value(name, unit, flat_map=source.flat_map)
