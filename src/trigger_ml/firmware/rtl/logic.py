"""The logic of a module of the pipeline: how many registers it needs, the logic itself, and its proof."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from alkaid.trace import FVArray
from alkaid.types import CombLogic

from trigger_ml.core.errors import VerificationError
from trigger_ml.firmware.ir.activity import live
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Affine, Node, Shape
from trigger_ml.firmware.rtl.arithmetic import ARITHMETIC, apply
from trigger_ml.firmware.rtl.dataflow import Module, Pipeline, PointModule, SumModule, WindowModule
from trigger_ml.firmware.rtl.kernels import Kernel, Source, make_kernel, signed_digits, traced
from trigger_ml.firmware.rtl.registers import REGISTER, longest_stage, stages_needed

__all__ = ["delay", "depth", "trace_kernels"]

SAMPLE_DIGITS = 100
"""Signed digits of the channels that a layer's depth is chosen by: what is traced in some milliseconds."""


def _widths(network: Network, node: Node) -> list[int]:
    """Channels of each input."""
    return [len(network.bounds[name].low) for name in node.inputs]


def _sources(network: Network, node: Node, taps: int, padded: bool) -> list[Source]:
    """What a kernel reads of each input of its first node."""
    sources: list[Source] = []
    for name in node.inputs:
        bounds = network.bounds[name]
        if padded:
            bounds = bounds.with_value(node.outside(bounds))  # padding, and lanes beyond the row's end
        sources.append(Source(np.tile(bounds.low, taps), np.tile(bounds.high, taps), bounds.fraction))
    return sources


def _shapes(node: Node, sources: list[Source], taps: int) -> list[tuple[int, ...]]:
    """Shapes in which the node's logic wants what it reads."""
    return [ARITHMETIC.of(node).layout(len(s.low), taps) for s in sources]


def _body(
    network: Network, nodes: tuple[Node, ...], fractions: list[int]
) -> Callable[[list[FVArray]], FVArray]:
    def body(values: list[FVArray]) -> FVArray:
        result = apply(nodes[0], values, fractions)
        fraction = network.bounds[nodes[0].name].fraction
        for node in nodes[1:]:
            result = apply(node, [result], [fraction])
        return result

    return body


def _slowest(network: Network, nodes: tuple[Node, ...]) -> list[int]:
    """Output channels that take longest: that of the widest values, and those of most digits.

    All of a small layer, two of a large one, whose channels are alike.
    """
    first = nodes[0]
    varies = live(network, nodes[-1].name)
    if not varies.any():
        return []
    bounds, numbers = network.bounds[first.name], np.arange(len(varies))
    chosen: set[int] = set()
    for group in first.alike(_widths(network, first)):
        candidates = numbers[group][varies[group]]
        if len(candidates):
            chosen.add(int(candidates[np.argmax((bounds.high - bounds.low)[candidates])]))
    if isinstance(first, Affine):
        digits = signed_digits(first.matrix).sum(axis=0)
        most = sorted(np.flatnonzero(varies), key=lambda channel: -digits[channel])
        number = max(1, int(np.searchsorted(np.cumsum(digits[most]), SAMPLE_DIGITS)))
        chosen.update(map(int, most[:number]))
    return sorted(chosen)


def _sample(network: Network, nodes: tuple[Node, ...], taps: int, padded: bool) -> CombLogic | None:
    """The logic of a module's slowest channels alone; None if no channel varies.

    It is not optimized, which takes most of the time and moved no register in 24 networks.
    """
    first = nodes[0]
    channels = _slowest(network, nodes)
    if not channels:
        return None
    part, reads = first.part(np.array(channels), _widths(network, first), taps)
    if not any(len(places) for places in reads):
        return None
    sources = [
        Source(s.low[places], s.high[places], s.fraction)
        for s, places in zip(_sources(network, first, taps, padded), reads, strict=True)
    ]
    behind = (node.part(np.array(channels), _widths(network, node), 1)[0] for node in nodes[1:])
    body = _body(network, (part, *behind), [s.fraction for s in sources])
    return traced(sources, _shapes(part, sources, taps), body)


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
    sources = _sources(network, first, taps, isinstance(module, WindowModule | SumModule))
    body = _body(network, module.nodes, [s.fraction for s in sources])
    registers = getattr(module, "depth")  # noqa: B009 - only modules with a kernel come here
    kernel = make_kernel(f"{module.name}_kernel", sources, _shapes(first, sources, taps), body, registers)
    _prove(network, module, kernel, sources)
    return kernel


def _prove(network: Network, module: Module, kernel: Kernel, sources: list[Source], count: int = 200) -> None:
    """Compare a kernel with the interpreter on random windows, so that a fault of alkaid is found here."""
    first = module.nodes[0]
    rng = np.random.default_rng(1)
    low, high = np.concatenate([s.low for s in sources]), np.concatenate([s.high for s in sources])
    values = rng.integers(low, high + 1, (count, len(low)))
    values[0], values[1] = low, high
    parts = np.split(values, np.cumsum([len(s.low) for s in sources])[:-1], axis=1)

    def cells(name: str) -> Shape:
        if isinstance(module, WindowModule):
            return module.window
        if isinstance(module, SumModule):
            return 1, module.source.lanes
        return (1, 1) if len(network.shapes[name]) == 3 else ()

    inputs = [
        part.reshape(count, *cells(name), width)
        for part, name, width in zip(parts, first.inputs, _widths(network, first), strict=True)
    ]
    result = first.alone().evaluate(inputs, [s.fraction for s in sources])
    fraction = network.bounds[first.name].fraction
    for node in module.nodes[1:]:
        result = node.evaluate([result], [fraction])
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
