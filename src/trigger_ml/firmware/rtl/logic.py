"""The logic of a module of the pipeline: how many registers it needs, the logic itself, and its proof."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from alkaid.trace import FVArray
from alkaid.types import CombLogic

from trigger_ml.core.errors import VerificationError
from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.ir.activity import live
from trigger_ml.firmware.ir.interpreter import evaluate_node
from trigger_ml.firmware.ir.network import (
    AveragePool2D,
    Conv2D,
    Dense,
    GlobalAveragePool,
    MaxPool2D,
    Network,
    Node,
    Shape,
)
from trigger_ml.firmware.rtl.dataflow import Module, Pipeline, PointModule, SumModule, WindowModule
from trigger_ml.firmware.rtl.kernels import Kernel, Source, apply, make_kernel, signed_digits, traced
from trigger_ml.firmware.rtl.registers import REGISTER, longest_stage, stages_needed

__all__ = ["delay", "depth", "trace_kernels"]

SAMPLE_DIGITS = 100
"""Signed digits of the channels that a layer's depth is chosen by: what is traced in some milliseconds."""


def _shape(node: Node, taps: int, channels: int) -> tuple[int, ...]:
    """Shape in which :func:`apply` wants what a node reads."""
    pools = isinstance(node, MaxPool2D | AveragePool2D | GlobalAveragePool)
    return (taps, channels) if pools else (taps * channels,)


def _sources(
    network: Network, node: Node, taps: int, padded: bool
) -> tuple[list[Source], list[tuple[int, ...]]]:
    """What a kernel reads of each input of its first node, and the shapes that :func:`apply` wants."""
    sources: list[Source] = []
    shapes: list[tuple[int, ...]] = []
    for name in node.inputs:
        bounds = network.bounds[name]
        if padded:
            bounds = bounds.with_zero()  # padding, and lanes beyond the row's end
        sources.append(Source(np.tile(bounds.low, taps), np.tile(bounds.high, taps), bounds.fraction))
        shapes.append(_shape(node, taps, len(bounds.low)))
    return sources, shapes


def _body(network: Network, nodes: tuple[Node, ...], fractions: list[int]) -> Callable[[list[FVArray]], Any]:
    def body(values: list[FVArray]) -> Any:
        result = apply(nodes[0], values, fractions)
        fraction = network.bounds[nodes[0].name].fraction
        for node in nodes[1:]:
            result = apply(node, [result], [fraction])
        return result

    return body


def _slowest(network: Network, nodes: tuple[Node, ...], matrix: IntArray | None) -> list[int]:
    """Output channels that take longest: that of the widest values, and those of most digits.

    All of a small layer, two of a large one, whose channels are alike.
    """
    candidates = np.flatnonzero(live(network, nodes[-1].name))
    if not len(candidates):
        return []
    bounds = network.bounds[nodes[0].name]
    widest = candidates[np.argmax((bounds.high - bounds.low)[candidates])]
    if matrix is None:
        return [int(widest)]
    digits = signed_digits(matrix).sum(axis=0)
    most = sorted(candidates, key=lambda channel: -digits[channel])
    number = max(1, int(np.searchsorted(np.cumsum(digits[most]), SAMPLE_DIGITS)))
    return sorted({int(widest), *map(int, most[:number])})


def _sample(network: Network, nodes: tuple[Node, ...], taps: int, padded: bool) -> CombLogic | None:
    """The logic of a module's slowest channels alone; None if no channel varies.

    It is not optimized, which takes most of the time and moved no register in 24 networks.
    """
    first = nodes[0]
    sources, _ = _sources(network, first, taps, padded)
    if isinstance(first, Conv2D | Dense):
        kernel = first.full_kernel() if isinstance(first, Conv2D) else first.kernel
        matrix = kernel.reshape(-1, kernel.shape[-1])
        channels = _slowest(network, nodes, matrix)
        used = (matrix[:, channels] != 0).any(axis=1)
        if not used.any():
            return None
        part = Dense(
            first.name, first.inputs, matrix[used][:, channels], first.kernel_type,
            first.bias[channels], first.bias_type,
        )  # fmt: skip
        nodes = (part, *nodes[1:])
        sources = [Source(s.low[used], s.high[used], s.fraction) for s in sources]
        shapes: list[tuple[int, ...]] = [(len(s.low),) for s in sources]
    else:
        channels = _slowest(network, nodes, None)
        if not channels:
            return None
        sources = [
            Source(
                s.low.reshape(taps, -1)[:, channels].ravel(),
                s.high.reshape(taps, -1)[:, channels].ravel(),
                s.fraction,
            )
            for s in sources
        ]
        shapes = [_shape(first, taps, len(channels))] * len(sources)
    body = _body(network, nodes, [s.fraction for s in sources])
    return traced(sources, shapes, body)


def depth(network: Network, nodes: tuple[Node, ...], taps: int, padded: bool, limit: float) -> int:
    """Pipeline registers that a module needs, from its slowest channels (milliseconds).

    Parameters
    ----------
    network : Network
    nodes : tuple of Node
        What the module computes, in order.
    taps : int
        Positions that it reads at once.
    padded : bool
        Whether some of them may be zeros from outside the map.
    limit : float
        Nanoseconds of cell delay between two registers.
    """
    sample = _sample(network, nodes, taps, padded)
    return 1 if sample is None else stages_needed(sample, limit)


def delay(network: Network, nodes: tuple[Node, ...], taps: int, padded: bool) -> float:
    """Nanoseconds that a module's slowest channels would take without a register between."""
    sample = _sample(network, nodes, taps, padded)
    return 0.0 if sample is None else longest_stage(sample, 1) - REGISTER


def _kernel(network: Network, module: Module) -> Kernel:
    first = module.nodes[0]
    taps = 1
    if isinstance(module, WindowModule):
        taps = module.window[0] * module.window[1]
    elif isinstance(module, SumModule):
        taps = module.source.lanes
    sources, shapes = _sources(network, first, taps, isinstance(module, WindowModule | SumModule))
    body = _body(network, module.nodes, [s.fraction for s in sources])
    registers = getattr(module, "depth")  # noqa: B009 - only modules with a kernel come here
    kernel = make_kernel(f"{module.name}_kernel", sources, shapes, body, registers)
    _prove(network, module, kernel, sources)
    return kernel


def _prove(network: Network, module: Module, kernel: Kernel, sources: list[Source], count: int = 200) -> None:
    """Compare a kernel with the interpreter on random windows, so that a fault of alkaid is found here."""
    first = module.nodes[0]
    rng = np.random.default_rng(1)
    low, high = np.concatenate([s.low for s in sources]), np.concatenate([s.high for s in sources])
    values = rng.integers(low, high + 1, (count, len(low)))
    values[0], values[1] = low, high
    channels = [len(network.bounds[name].low) for name in first.inputs]
    parts = np.split(values, np.cumsum([len(s.low) for s in sources])[:-1], axis=1)
    if isinstance(module, WindowModule):
        shape: Shape = (*module.window, channels[0])
    elif isinstance(module, SumModule):
        shape = (1, module.source.lanes, channels[0])
    else:
        shape = (1, 1, channels[0]) if len(network.shapes[first.inputs[0]]) == 3 else (channels[0],)
    inputs = [p.reshape(count, *shape) for p in parts]
    alone = replace(first, padding=((0, 0), (0, 0)), strides=(1, 1)) if isinstance(first, Conv2D) else first
    result = evaluate_node(alone, inputs, [s.fraction for s in sources])
    fraction = network.bounds[first.name].fraction
    for node in module.nodes[1:]:
        result = evaluate_node(node, [result], [fraction])
    if not np.array_equal(kernel(values), result.reshape(count, -1)):
        raise VerificationError(
            f"layer {first.name}",
            "the logic made by alkaid differs from the layer",
            "Report it with the network",
        )


def trace_kernels(network: Network, pipeline: Pipeline) -> Pipeline:
    """The same pipeline with every kernel made by alkaid (seconds)."""
    modules: list[Module] = []
    for module in pipeline.modules:
        wants = isinstance(module, PointModule) or (
            isinstance(module, WindowModule | SumModule) and module.kernels > 0
        )
        modules.append(replace(module, kernel=_kernel(network, module)) if wants else module)  # type: ignore[call-arg]
    return Pipeline(tuple(modules), pipeline.outputs, pipeline.results)
