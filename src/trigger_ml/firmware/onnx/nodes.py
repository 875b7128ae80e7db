"""The nodes of the network as plain ONNX operators that float runtimes evaluate exactly.

Every tensor holds real values times a power of two, its ``unit``: ``tensor = value * 2**unit`` (see
:mod:`trigger_ml.firmware.onnx.units`). What is left of a quantizer is a clip (or ReLU), which runtimes
fuse into the convolution, and a rounding. Clipping comes before rounding, which is the same since both
ends of the range are integers. Feature maps are channels first inside, converted once at the input.

A layer that float32 cannot evaluate exactly (see :mod:`trigger_ml.firmware.ir.exactness`) is split into
convolutions that it can, whose results are added in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import IntArray, Overflow, Rounding, round_shift
from trigger_ml.firmware.ir.bounds import Bounds, affine_reach
from trigger_ml.firmware.ir.exactness import FLOAT32_LIMIT, FLOAT64_LIMIT, partial_sums
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
    GlobalMaxPool,
    Input,
    Lookup,
    MaxPool2D,
    Multiply,
    Node,
    Quantize,
)
from trigger_ml.firmware.ir.registry import Registry
from trigger_ml.firmware.onnx.choosing import global_maximum, lookup, max_pool, multiply, own_unit
from trigger_ml.firmware.onnx.graph import Graph, Value, split_kernel
from trigger_ml.firmware.onnx.units import Units

__all__ = ["ONNX", "Translation", "translate"]


class _Translator:
    """Translates the nodes one by one."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.units = Units(network, lambda units, node: ONNX.of(node).asks(units, node))
        self.graph = Graph()
        self.values: dict[str, Value] = {}

    def exact(self, node: Node) -> bool:
        bound = partial_sums(self.network, node)
        if bound >= FLOAT64_LIMIT:
            raise MappingError(
                f"layer {node.name} ({node.op})",
                f"its sums reach {bound}, beyond what float64 holds exactly",
                "Use fewer bits for its weights, bias or input",
            )
        return bound < FLOAT32_LIMIT

    def input(self, node: Input) -> Value:
        height_width = node.size[:-1]
        tensor = node.name
        if len(node.size) == 3:
            channels = node.size[-1]
            name = f"{node.name}/channels_first"
            if channels == 1:
                shape = self.graph.constant(f"{name}/shape", np.array([-1, 1, *height_width], dtype=np.int64))
                tensor = self.graph.add("Reshape", [tensor, shape], name)
            else:
                tensor = self.graph.add("Transpose", [tensor], name, perm=[0, 3, 1, 2])
        double = not self.exact(node)
        kind = TensorProto.DOUBLE if double else TensorProto.FLOAT
        tensor = self.graph.add("Cast", [tensor], f"{node.name}/float", to=kind)
        return Value(tensor, node.dtype.fraction, double)

    def affine(self, node: Affine) -> Value:
        source = self.values[node.inputs[0]]
        bounds = self.network.bounds[node.inputs[0]]
        if source.double:
            if bounds.magnitude >= FLOAT32_LIMIT:
                raise MappingError(
                    f"layer {node.name} ({node.op})",
                    f"its input reaches {bounds.magnitude}, beyond what float32 holds exactly",
                    "Quantize its input to 24 bits or fewer",
                )
            source = self.graph.cast(source, False, f"{node.name}/input")
        total, unit = self.units.fraction(node.name), self.units.delivered(node.name)
        scale = 2.0 ** (unit - source.unit - node.kernel_type.fraction)
        bias = np.ldexp(node.aligned_bias(bounds.fraction).astype(np.float64), unit - total)
        if self.exact(node):
            self.product(node, source, node.kernel * scale, bias, node.name)
            return Value(node.name, unit)
        return self.split_affine(node, source, bounds, scale, bias, unit)

    def split_affine(
        self, node: Affine, source: Value, bounds: Bounds, scale: float, bias: NDArray[np.float64], unit: int
    ) -> Value:
        def fits(kernel: IntArray) -> bool:
            taps = replace(node, kernel=kernel).taps
            return bool(affine_reach(taps, bounds).max(initial=0) < FLOAT32_LIMIT)

        parts = []
        for number, part in enumerate(split_kernel(node.kernel, fits)):
            name = f"{node.name}/part{number}"
            self.product(node, source, part * scale, None, name)
            parts.append(self.graph.add("Cast", [name], f"{name}/double", to=TensorProto.DOUBLE))
        shape = (1, -1, 1, 1) if isinstance(node, Conv2D) else (1, -1)
        parts.append(self.graph.constant(f"{node.name}/bias", bias.reshape(shape), double=True))
        self.graph.add("Sum", parts, node.name)
        return Value(node.name, unit, double=True)

    def product(
        self,
        node: Affine,
        source: Value,
        kernel: NDArray[np.number],
        bias: NDArray[np.float64] | None,
        name: str,
    ) -> None:
        inputs = [source.tensor]
        if isinstance(node, Conv2D):
            weights = kernel.transpose(2, 3, 0, 1) if node.depthwise else kernel.transpose(3, 2, 0, 1)
            (top, bottom), (left, right) = node.padding
            attributes: dict[str, int | list[int]] = {
                "kernel_shape": list(kernel.shape[:2]),
                "strides": list(node.strides),
                "pads": [top, left, bottom, right],
                "group": kernel.shape[2] if node.depthwise else 1,
            }
        else:
            weights = kernel
            if source.flat_map is not None:
                by_position = kernel.reshape(*source.flat_map, -1)
                weights = by_position.transpose(2, 0, 1, 3).reshape(kernel.shape)
            attributes = {}
        inputs.append(self.graph.constant(f"{name}/kernel", weights))
        if bias is not None:
            inputs.append(self.graph.constant(f"{name}/bias", bias))
        self.graph.add("Conv" if isinstance(node, Conv2D) else "Gemm", inputs, name, **attributes)

    def quantize(self, node: Quantize) -> Value:
        source = self.values[node.inputs[0]]
        bounds = self.network.bounds[node.inputs[0]]
        # the half that Rounding.RND adds must fit, too
        value = self.graph.cast(source, source.double or not self.exact(node), f"{node.name}/double")
        steps: list[tuple[str, list[str], str]] = []
        rounds = self.units.rounds(node)
        if rounds:
            value = self.graph.scaled(value, node.dtype.fraction, f"{node.name}/scale")
        saturates = node.overflow is Overflow.SAT
        low, high = (
            int(round_shift(n, bounds.fraction - node.dtype.fraction, node.rounding))
            for n in (bounds.low.min(), bounds.high.max())
        )
        step = 2.0 ** (value.unit - node.dtype.fraction)
        if saturates and not node.dtype.contains(low, high):
            below, above = low < node.dtype.minimum, high > node.dtype.maximum
            if below and not above and node.dtype.minimum == 0:
                steps.append(("Relu", [], "relu"))
            else:
                ends = [
                    self.graph.constant(f"{node.name}/{end}", np.float64(limit * step), value.double)
                    for end, limit in (("min", node.dtype.minimum), ("max", node.dtype.maximum))
                ]
                steps.append(("Clip", ends, "clip"))
        if rounds:
            if node.rounding is Rounding.RND:
                half = self.graph.constant(f"{node.name}/half", np.float64(0.5), value.double)
                steps.append(("Add", [half], "plus_half"))
            steps.append(("Round" if node.rounding is Rounding.RND_CONV else "Floor", [], "round"))
        for number, (op, extra, suffix) in enumerate(steps):
            last = number == len(steps) - 1
            name = node.name if last else f"{node.name}/{suffix}"
            value = replace(value, tensor=self.graph.add(op, [value.tensor, *extra], name))
        if not saturates and not node.dtype.contains(low, high):
            value = self.wrap(node, value, step)
        if value.double and self.network.bounds[node.name].magnitude < FLOAT32_LIMIT:
            value = self.graph.cast(value, False, f"{node.name}/float")
        return value

    def wrap(self, node: Quantize, value: Value, step: float) -> Value:
        """``x - m * floor((x - minimum) / m)`` with ``m`` the number of values of the type."""
        modulus = step * 2.0**node.dtype.width
        constants = {
            name: self.graph.constant(f"{node.name}/{name}", np.float64(number), value.double)
            for name, number in (
                ("minimum", step * node.dtype.minimum),
                ("inverse", 1 / modulus),
                ("modulus", modulus),
            )
        }
        shifted = self.graph.add("Sub", [value.tensor, constants["minimum"]], f"{node.name}/shifted")
        turns = self.graph.add("Mul", [shifted, constants["inverse"]], f"{node.name}/turns")
        whole = self.graph.add("Floor", [turns], f"{node.name}/whole")
        excess = self.graph.add("Mul", [whole, constants["modulus"]], f"{node.name}/excess")
        return replace(value, tensor=self.graph.add("Sub", [value.tensor, excess], f"{node.name}/wrapped"))

    def sum(self, node: Add) -> Value:
        operands = self.joined(node)
        tensors = [value.tensor for value in operands]
        self.graph.add("Add" if len(tensors) == 2 else "Sum", tensors, node.name)
        return replace(operands[0], tensor=node.name)

    def concatenate(self, node: Concatenate) -> Value:
        operands = [
            self.graph.channels_last(value, f"{node.name}/{number}")
            for number, value in enumerate(self.joined(node))
        ]
        self.graph.add("Concat", [value.tensor for value in operands], node.name, axis=1)
        return replace(operands[0], tensor=node.name)

    def joined(self, node: Node) -> list[Value]:
        """Inputs of a node in one unit and of one kind."""
        unit = self.units.shared(node)
        double = not self.exact(node) or any(self.values[name].double for name in node.inputs)
        operands = []
        for number, name in enumerate(node.inputs):
            value = self.graph.cast(self.values[name], double, f"{node.name}/double{number}")
            operands.append(self.graph.scaled(value, unit, f"{node.name}/scale{number}"))
        return operands

    def average_pool(self, node: AveragePool2D) -> Value:
        source = self.values[node.inputs[0]]
        if source.double or not self.exact(node):
            raise MappingError(
                f"layer {node.name} ({node.op})",
                "its sums exceed what float32 holds exactly",
                "Quantize its input to fewer bits",
            )
        unit = self.units.delivered(node.name)
        channels = self.network.shapes[node.inputs[0]][2]
        # AveragePool divides by the number of cells, a sum with constant weights by what the node says
        weight = 2.0 ** (unit - source.unit - node.divisor_log2)
        kernel = self.graph.constant(f"{node.name}/kernel", np.full((channels, 1, *node.window), weight))
        tensor = self.graph.add(
            "Conv",
            [source.tensor, kernel],
            node.name,
            kernel_shape=list(node.window),
            strides=list(node.strides),
            group=channels,
        )
        return Value(tensor, unit)

    def global_average(self, node: GlobalAveragePool) -> Value:
        source = self.values[node.inputs[0]]
        source = self.graph.cast(source, source.double or not self.exact(node), f"{node.name}/double")
        axes = self.graph.constant("spatial_axes", np.array([2, 3], dtype=np.int64))
        tensor = self.graph.add("ReduceSum", [source.tensor, axes], node.name, keepdims=0)
        return replace(source, tensor=tensor, unit=source.unit + node.divisor_log2)

    def flatten(self, node: Flatten) -> Value:
        source = self.values[node.inputs[0]]
        tensor = self.graph.add("Flatten", [source.tensor], node.name, axis=1)
        shape = self.network.shapes[node.inputs[0]]
        return replace(source, tensor=tensor, flat_map=shape)


@dataclass(frozen=True)
class Translation:
    """An op in ONNX.

    Parameters
    ----------
    make : callable
        From the translator and the node to where its output is.
    asks : callable
        From the units and the node to the unit in which it would have its input; None if it does not mind.
    """

    make: Callable[[_Translator, Any], Value]
    asks: Callable[[Units, Any], int | None]


def _any(units: Units, node: Node) -> None:
    """For what takes any unit at no cost: weights, or a sum of one input, take the power of two."""


def _as_passed_on(units: Units, node: Node) -> int | None:
    return units.wanted(node.name)


ONNX = Registry[Translation](
    "ONNX",
    {
        Input: Translation(_Translator.input, _any),
        Conv2D: Translation(_Translator.affine, _any),
        Dense: Translation(_Translator.affine, _any),
        Quantize: Translation(_Translator.quantize, Units.of_quantizer),
        Add: Translation(_Translator.sum, Units.shared),
        Concatenate: Translation(_Translator.concatenate, Units.shared),
        Multiply: Translation(multiply, _any),
        Lookup: Translation(lookup, own_unit),
        MaxPool2D: Translation(max_pool, _as_passed_on),
        AveragePool2D: Translation(_Translator.average_pool, _any),
        GlobalMaxPool: Translation(global_maximum, _as_passed_on),
        GlobalAveragePool: Translation(_Translator.global_average, _any),
        Flatten: Translation(_Translator.flatten, _as_passed_on),
    },
)


def translate(network: Network) -> tuple[Graph, dict[str, Value]]:
    """Every node of a network as operators of a graph.

    Parameters
    ----------
    network : Network

    Returns
    -------
    graph : Graph
    values : dict of str to Value
        Where each node's output is.

    Raises
    ------
    MappingError
        Naming the layer that can be evaluated exactly neither in float32 nor split into float32 parts.
    """
    translator = _Translator(network)
    for node in network.nodes:
        translator.values[node.name] = ONNX.of(node).make(translator, node)
    return translator.graph, translator.values
