"""The whole network as one block of logic: a frame per clock, for small inputs."""

import math

import numpy as np
from alkaid.trace import FVArray

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import MappingError, VerificationError
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.rtl.dataflow import InputModule, Pipeline, PointModule, Stream
from trigger_ml.firmware.rtl.kernels import Kernel, Source, make_kernel
from trigger_ml.firmware.rtl.logic import delay
from trigger_ml.firmware.rtl.ops import UNROLLED
from trigger_ml.firmware.rtl.registers import ADDER, REGISTER

__all__ = ["plan_unrolled", "trace_unrolled"]

# inputs of the block; beyond it a streaming pipeline is far smaller
MAX_INPUTS = 1024


def _delay(network: Network) -> float:
    """Nanoseconds on the longest path through all layers, without a register between."""
    delays: dict[str, float] = {}
    for node in network.nodes:
        before = max((delays[name] for name in node.inputs), default=0.0)
        own = 0.0
        if not UNROLLED.of(node).wires:
            positions = node.positions([network.shapes[name] for name in node.inputs])
            own = delay(network, (node,), positions, node.padded)
        delays[node.name] = before + own
    return max(delays[name] for name in network.outputs)


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


def trace_unrolled(network: Network, pipeline: Pipeline) -> Pipeline:
    """The same block with its logic (seconds to minutes)."""
    entry, block = pipeline.modules
    assert isinstance(block, PointModule)

    def body(values: list[FVArray]) -> FVArray:
        found: dict[str, FVArray] = {}
        for node in network.nodes:
            fractions = [network.bounds[name].fraction for name in node.inputs]
            inputs = [found[name] for name in node.inputs] or values
            found[node.name] = UNROLLED.of(node).unroll(node, inputs, fractions)
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
