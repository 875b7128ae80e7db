"""The whole network as one block of logic: a frame per clock, for small inputs."""

import math
from typing import Any

import numpy as np
from alkaid.trace import FVArray

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import MappingError, VerificationError
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.network import (
    AveragePool2D,
    Conv2D,
    Flatten,
    GlobalAveragePool,
    Input,
    MaxPool2D,
    Network,
    Node,
)
from trigger_ml.firmware.rtl.dataflow import InputModule, Pipeline, PointModule, Stream
from trigger_ml.firmware.rtl.kernels import Kernel, Source, apply, make_kernel
from trigger_ml.firmware.rtl.logic import delay
from trigger_ml.firmware.rtl.registers import ADDER, REGISTER
from trigger_ml.firmware.rtl.rounding import HARDWARE, constant

__all__ = ["plan_unrolled", "trace_unrolled"]

# inputs of the block; beyond it a streaming pipeline is far smaller
MAX_INPUTS = 1024


def _delay(network: Network) -> float:
    """Nanoseconds on the longest path through all layers, without a register between."""
    delays: dict[str, float] = {}
    for node in network.nodes:
        before = max((delays[name] for name in node.inputs), default=0.0)
        own = 0.0
        if not isinstance(node, Input | Flatten):
            own = delay(network, (node,), _taps(network, node), isinstance(node, Conv2D))
        delays[node.name] = before + own
    return max(delays[name] for name in network.outputs)


def _taps(network: Network, node: Node) -> int:
    """Positions of its input that one position of a node is made of."""
    match node:
        case Conv2D():
            return int(node.kernel.shape[0] * node.kernel.shape[1])
        case MaxPool2D() | AveragePool2D():
            return node.window[0] * node.window[1]
        case GlobalAveragePool():
            return math.prod(network.shapes[node.inputs[0]][:-1])
    return 1


def plan_unrolled(network: Network, config: RtlConfig) -> Pipeline:
    """The block and its ports, without its logic.

    Raises
    ------
    MappingError
        If the input is too large, or there is more than one output.
    """
    size = math.prod(network.input.size)
    if size > MAX_INPUTS:
        raise MappingError(
            f"layer {network.input.name} (input)",
            f"{size} inputs at once exceed {MAX_INPUTS}, the most that is unrolled",
            "Use firmware.rtl.style: streaming",
        )
    if len(network.outputs) > 1:
        raise MappingError(
            f"outputs {', '.join(network.outputs)}",
            "an unrolled network has one output",
            "Use firmware.rtl.style: streaming",
        )
    name = network.outputs[0]
    source = Stream(1, 1, size, 1, network.input.dtype)
    result = Stream(1, 1, math.prod(network.shapes[name]), 1, network.types[name])
    # a register stage ends before the operation that does not fit in any more: half a level is lost
    depth = max(1, math.ceil(_delay(network) / (config.cell_delay - REGISTER - ADDER / 2)))
    entry = InputModule("s_axis", (network.input,), (), source)
    block = PointModule("network", (network[name],), ("s_axis",), result, depth)
    return Pipeline((entry, block), ("network",), network.outputs)


def _windows(x: FVArray, size: tuple[int, int], node: Conv2D | MaxPool2D | AveragePool2D) -> list[list[Any]]:
    """Windows of a map (height, width, channels) by output row and column, each (taps, channels)."""
    padding = node.padding if isinstance(node, Conv2D) else ((0, 0), (0, 0))
    (top, bottom), (left, right) = padding
    height, width, channels = x.shape
    padded = np.empty((top + height + bottom, left + width + right, channels), dtype=object)
    padded.fill(constant(0))
    padded[top : top + height, left : left + width] = np.asarray(x)
    rows = range(0, padded.shape[0] - size[0] + 1, node.strides[0])
    columns = range(0, padded.shape[1] - size[1] + 1, node.strides[1])
    return [[padded[i : i + size[0], j : j + size[1]].reshape(-1, channels) for j in columns] for i in rows]


def _array(values: Any) -> FVArray:
    variables = np.vectorize(lambda v: v if hasattr(v, "kif") else constant(v), otypes=[object])(
        np.asarray(values)
    )
    return FVArray(variables, {"binary_lut": False}, hwconf=HARDWARE)


def _node(node: Node, inputs: list[FVArray], fractions: list[int]) -> FVArray:
    x = inputs[0]
    match node:
        case Conv2D() | MaxPool2D() | AveragePool2D():
            size = node.kernel.shape[:2] if isinstance(node, Conv2D) else node.window
            flat = isinstance(node, Conv2D)
            return _array(
                [
                    [np.asarray(apply(node, [_array(w.reshape(-1) if flat else w)], fractions)) for w in row]
                    for row in _windows(x, (int(size[0]), int(size[1])), node)
                ]
            )
        case GlobalAveragePool():
            return _array(apply(node, [x.reshape(-1, x.shape[-1])], fractions))
        case Flatten():
            return x.reshape(-1)
    return _array(np.asarray(apply(node, [v.reshape(-1) for v in inputs], fractions)).reshape(-1)).reshape(
        x.shape if len(inputs) > 1 or node.op == "quantize" else (-1,)
    )


def trace_unrolled(network: Network, pipeline: Pipeline) -> Pipeline:
    """The same block with its logic (seconds to minutes)."""
    entry, block = pipeline.modules
    assert isinstance(block, PointModule)

    def body(values: list[FVArray]) -> FVArray:
        found: dict[str, FVArray] = {network.input.name: values[0].reshape(network.input.size)}
        for node in network.nodes[1:]:
            fractions = [network.bounds[name].fraction for name in node.inputs]
            found[node.name] = _node(node, [found[name] for name in node.inputs], fractions)
        return found[network.outputs[0]].reshape(-1)

    dtype, size = network.input.dtype, math.prod(network.input.size)
    source = Source(np.full(size, dtype.minimum), np.full(size, dtype.maximum), dtype.fraction)
    kernel = make_kernel("network_kernel", [source], [(size,)], body, block.depth)
    _prove(network, kernel)
    made = PointModule(block.name, block.nodes, block.inputs, block.output, block.depth, kernel)
    return Pipeline((entry, made), pipeline.outputs, pipeline.results)


def _prove(network: Network, kernel: Kernel, count: int = 100) -> None:
    rng = np.random.default_rng(1)
    dtype = network.input.dtype
    frames = rng.integers(dtype.minimum, dtype.maximum + 1, (count, *network.input.size))
    expected = evaluate(network, frames)[network.outputs[0]].reshape(count, -1)
    if not np.array_equal(kernel(frames.reshape(count, -1)), expected):
        raise VerificationError("network", "the logic made by alkaid differs", "Report it with the network")
