"""Prediction of resources and clocks from the network alone, in milliseconds.

Clocks are exact: they come from the same model of the handshakes that sizes the FIFOs. Lookup tables of a
matrix are predicted from its signed digits by a regression over matrices traced with alkaid
(``benchmarks/firmware.py --calibrate`` makes it again); memories, multiplexers and control are counted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.cost.ops import kernel_features
from trigger_ml.firmware.cost.regression import coefficients
from trigger_ml.firmware.cost.synthesis import Cost
from trigger_ml.firmware.ir.activity import Reads, channel_bits, reads
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Affine, GlobalMaxPool, Node, Quantize, SlidingNode
from trigger_ml.firmware.rtl.dataflow import (
    FifoModule,
    FlattenModule,
    InputModule,
    Module,
    Pipeline,
    PointModule,
    SumModule,
    WindowModule,
)
from trigger_ml.firmware.rtl.project import outline
from trigger_ml.firmware.rtl.text import bits_for
from trigger_ml.firmware.rtl.timing import Timing, timing

__all__ = ["Prediction", "module_costs", "predict", "window_features"]

SOURCE = "prediction"


@dataclass(frozen=True)
class Prediction:
    """What a design will cost.

    Parameters
    ----------
    total : Cost
    modules : mapping of str to Cost
        By module.
    timing : Timing
        Exact.
    error : float
        Relative error of ``total.lut`` to allow for: not less than the worst that ``benchmarks/firmware.py``
        finds for the style, over networks that nothing was fitted on.
    """

    total: Cost
    modules: Mapping[str, Cost]
    timing: Timing
    error: float

    @property
    def lut_interval(self) -> tuple[int, int]:
        """Lookup tables with the stated error."""
        return math.floor(self.total.lut * (1 - self.error)), math.ceil(self.total.lut * (1 + self.error))


def _memory(used: NDArray[np.bool_], depth: int) -> int:
    """Lookup tables of a memory with one write and one read port (RAM32M16 and RAM64M8).

    Parameters
    ----------
    used : numpy.ndarray of bool, shape (bits of a word,)
        A memory cell of which no bit is used is left out.
    depth : int
        Words.
    """
    if depth <= 1:
        return 0
    size = 14 if depth <= 32 else 7
    padded = np.pad(used, (0, -len(used) % size)).reshape(-1, size)
    cells = int(padded.any(axis=1).sum())
    if depth <= 32:
        return 8 * cells
    return 8 * cells * math.ceil(depth / 64) + (int(used.sum()) if depth > 64 else 0)


def block_rams(bits: int, depth: int) -> float:
    """Blocks of 36 kbit of a memory with one write and one read port, in halves."""
    best = math.inf
    for width, words in ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)):
        best = min(best, math.ceil(bits / width) * math.ceil(depth / words) / 2)
    return best


def _used(module: WindowModule, channels: IntArray) -> NDArray[np.bool_]:
    """Which bits of a beat are kept, where so many bits of each channel are."""
    bits = np.arange(module.source.dtype.width) < channels[:, None]
    return np.tile(bits.ravel(), module.source.lanes)


def _reads(network: Network, module: WindowModule) -> Reads:
    if module.nodes:
        first = module.nodes[0]
        assert isinstance(first, SlidingNode)
        return reads(network, first, module.nodes[-1])
    source = module.source
    return Reads(np.full((*module.window, source.channels), source.dtype.width))


def window_features(network: Network, module: WindowModule) -> tuple[int, NDArray[np.float64]]:
    """What a sliding window consists of besides its kernels.

    Returns
    -------
    memory : int
        Lookup tables of the row memories.
    features : numpy.ndarray, shape (6,)
        Constant; bits of counters; bits that choose among rows; bits that choose a part of a word; bits
        that are zero above and below the map; bits that are zero left and right of it.
    """
    source, rows, taps = module.source, module.rows, module.window[0]
    read = _reads(network, module)
    position, row_bits, used = read.position, read.rows, _used(module, read.channels)
    if taps == 1:
        memory = _memory(used, rows << bits_for(source.row_beats))
        choice = 0.0
    else:
        memory = rows * _memory(used, source.row_beats)
        choice = module.group * float(row_bits.sum()) * (1 if rows <= 4 else 2)
    words = 1 if taps == 1 else rows
    part = words * module.group * position * math.ceil((module.parts - 1) / 3)
    leaving = [_leaves(module, i) for i in range(taps)]
    outside = module.group * float(row_bits[leaving].sum())
    edge = (sum(module.padding[1]) > 0) * float(row_bits.sum()) * sum(module.padding[1])
    counters = (
        source.row_beats,
        rows,
        rows,
        module.output.height,
        module.row_groups,
        module.output.row_beats,
    )
    return memory, np.array([1.0, sum(map(bits_for, counters)), choice, part, outside, edge])


def _leaves(module: WindowModule, row: int) -> bool:
    """Whether a row of the window is ever outside the map."""
    first = row - module.padding[0][0]
    return first < 0 or (module.output.height - 1) * module.strides[0] + first >= module.source.height


def _window_cost(network: Network, module: WindowModule) -> Cost:
    memory, features = window_features(network, module)
    read = _reads(network, module)
    shell = float(features @ np.array(coefficients()["window"]))
    ff = read.taps * module.columns / module.window[1] + read.rows.sum() * module.history + features[1] + 8
    if module.source.row_beats == 1:
        ff += module.rows * module.source.bits
    return Cost(lut=round(memory + shell), lut_memory=memory, ff=round(ff))


def _kernel(network: Network, nodes: tuple[Node, ...], lanes: int = 1) -> float:
    features = kernel_features(network, nodes, lanes)
    return float(features @ np.array(coefficients()["kernel"]))


def _module_cost(network: Network, module: Module) -> Cost:
    lanes = module.source.lanes if isinstance(module, SumModule) else 1
    arithmetic = _kernel(network, module.nodes, lanes)
    results = int(channel_bits(network.bounds[module.nodes[-1].name]).sum()) if module.nodes else 0
    kernel = Cost(lut=round(arithmetic), ff=round(0.45 * arithmetic) + results)
    match module:
        case WindowModule():
            return kernel * module.kernels + _window_cost(network, module)
        case PointModule():
            control = 2 * bits_for(module.output.beats) if module.held else 0
            return kernel * module.kernels + Cost(
                lut=len(module.inputs) ** 2 + control, ff=module.depth + control // 2
            )
        case FifoModule():
            if module.block:
                control = bits_for(module.capacity)
                blocks = block_rams(module.output.bits, module.capacity)
                return Cost(lut=10 + 4 * control, ff=3 * control + 2, bram=blocks)
            memory = _memory(np.ones(module.output.bits, dtype=bool), module.capacity)
            control = bits_for(module.capacity)
            return Cost(lut=memory + 6 + 4 * control, lut_memory=memory, ff=3 * control + 1)
        case SumModule():
            source = module.source
            beyond = source.row_beats * source.lanes - source.width
            control = bits_for(source.beats)
            # a maximum is compared as well as chosen
            more = 0.6 * module.output.bits if isinstance(module.nodes[0], GlobalMaxPool) else 0
            own = round(more) + module.output.bits + round(1.2 * control) + 3 + beyond * source.position_bits
            return kernel * module.kernels + Cost(lut=own, ff=module.output.bits + control + 2)
        case FlattenModule():
            return Cost(lut=module.source.beats + 5, ff=module.output.bits + 10)
        case InputModule():
            return Cost()
    raise TypeError(f"no cost for {type(module).__name__}")


def predict(network: Network, config: RtlConfig, pipeline: Pipeline | None = None) -> Prediction:
    """Resources and clocks of a design that has not been made.

    Parameters
    ----------
    network : Network
    config : RtlConfig
    pipeline : Pipeline, optional
        Of :func:`~trigger_ml.firmware.rtl.project.outline`, if it is at hand.

    Raises
    ------
    MappingError
        If the network cannot be mapped.
    """
    empty = pipeline or outline(network, config)
    modules = module_costs(network, config, empty)
    total = sum(modules.values(), Cost())
    known = coefficients()
    error = known["unrolled_error"] if config.style == "unrolled" else known["network_error"]
    return Prediction(total, modules, timing(empty), error)


def module_costs(network: Network, config: RtlConfig, pipeline: Pipeline) -> dict[str, Cost]:
    """Resources of each module, without its clocks; see :func:`predict`."""
    if config.style == "unrolled":
        return {"network": _unrolled_cost(network)}
    return {module.name: _module_cost(network, module) for module in pipeline.modules[1:]}


def _unrolled_cost(network: Network) -> Cost:
    """Every position has logic of its own, without the taps that padding feeds."""
    lut = 0.0
    weights = np.array(coefficients()["kernel"])
    for node in network.nodes[1:]:
        positions = math.prod(network.shapes[node.name][:-1])
        inputs = math.prod(network.shapes[node.inputs[0]][:-1])
        readers = network.consumers(node.name)
        fused = isinstance(node, Affine) and len(readers) == 1 and isinstance(readers[0], Quantize)
        # the weights of channels that their quantizer makes constant are left out
        features = kernel_features(network, (node, readers[0]) if fused else (node,), inputs)
        if fused:
            features[2:] = 0  # the quantizer has its own turn
        inside = (
            node.sliding.present(network.shapes[node.inputs[0]]) if isinstance(node, SlidingNode) else 1.0
        )
        lut += positions * inside * float(features @ weights)
    # overlapping windows share partial sums
    lut *= coefficients()["unrolled"]
    return Cost(lut=round(lut), ff=round(0.5 * lut))
