"""Prediction of resources and clocks from the network alone, in milliseconds.

Clocks are exact: they come from the same model of the handshakes that sizes the FIFOs. Lookup tables of a
matrix are predicted from its signed digits by a regression over matrices traced with alkaid
(``benchmarks/firmware.py --calibrate`` makes it again); memories, multiplexers and control are counted.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.cost.synthesis import Cost
from trigger_ml.firmware.ir.activity import Reads, channel_bits, live, reads, trimmed_matrix
from trigger_ml.firmware.ir.network import (
    Add,
    AveragePool2D,
    Conv2D,
    Dense,
    GlobalAveragePool,
    MaxPool2D,
    Network,
    Node,
    Quantize,
)
from trigger_ml.firmware.rtl.dataflow import (
    FifoModule,
    FlattenModule,
    Module,
    Pipeline,
    PointModule,
    SumModule,
    WindowModule,
)
from trigger_ml.firmware.rtl.kernels import signed_digits
from trigger_ml.firmware.rtl.project import outline
from trigger_ml.firmware.rtl.schedule import Timing, timing
from trigger_ml.firmware.rtl.text import bits_for

__all__ = ["Prediction", "features", "fit", "kernel_features", "predict", "window_features"]

COEFFICIENTS = Path(__file__).parent / "prediction.json"
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


@cache
def _coefficients() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(COEFFICIENTS.read_text())
    return content


def features(matrix: IntArray, input_bits: float) -> tuple[float, NDArray[np.float64]]:
    """Numbers that the cost of a constant matrix depends on.

    Parameters
    ----------
    matrix : numpy.ndarray of int64, shape (inputs, outputs)
    input_bits : float
        Mean width of the inputs.

    Returns
    -------
    naive : float
        Full adders of one separate tree per output.
    features : numpy.ndarray, shape (7,)
    """
    digits = signed_digits(matrix)
    rows, columns = (matrix != 0).any(axis=1), (matrix != 0).any(axis=0)
    count, outputs, inputs = int(digits.sum()), int(columns.sum()), int(rows.sum())
    sums = np.log2(1 + np.abs(matrix).sum(axis=0) * (2.0**input_bits - 1))
    per_output = digits.sum(axis=0)
    naive = float(np.sum(np.maximum(per_output - 1, 0) * (0.5 * input_bits + 0.5 * sums + 1)))
    logs = [
        count / outputs + 1,
        outputs + 1,
        inputs + 1,
        count / (inputs * outputs),
        input_bits,
        float(sums[columns].mean()),
        naive + 1,
    ]
    return naive, np.log(logs)


def _polynomial(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Constant, linear and quadratic terms of (samples, features)."""
    n = scaled.shape[1]
    pairs = [scaled[:, i] * scaled[:, j] for i in range(n) for j in range(i, n)]
    return np.column_stack([np.ones(len(scaled)), scaled, *pairs])


def fit(samples: list[tuple[float, NDArray[np.float64], float]], ridge: float = 1.0) -> dict[str, Any]:
    """Coefficients from (naive, features, cost) of traced matrices; larger ones weigh more."""
    naive, x, cost = (np.array(v) for v in zip(*samples, strict=True))
    mean, scale = x.mean(axis=0), x.std(axis=0)
    terms = _polynomial((x - mean) / scale)
    target = np.log(cost / (naive + 1))
    weight = cost**0.3 / np.mean(cost**0.3)
    system = terms * weight[:, None]
    normal = system.T @ system + ridge * np.eye(terms.shape[1])
    solution = np.linalg.solve(normal, system.T @ (target * weight))
    residual = terms @ solution - target
    return {
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "terms": solution.tolist(),
        "kernels": len(cost),
        "kernel_error": float(np.abs(np.expm1(residual)).mean()),
    }


def _matrix_cost(matrix: IntArray, input_bits: float) -> float:
    """Full adders of a constant matrix after common parts are shared."""
    if not matrix.any():
        return 0.0
    naive, x = features(matrix, input_bits)
    if naive == 0:
        return 0.0
    known = _coefficients()
    scaled = (x - np.array(known["mean"])) / np.array(known["scale"])
    # outside the matrices that the regression saw, it must not run away
    scaled = np.clip(scaled, -3, 3)
    factor = float(np.exp(_polynomial(scaled[None]) @ np.array(known["terms"])).item())
    return float((naive + 1) * min(factor, 1.3))


def _affine_cost(network: Network, node: Conv2D | Dense, last: Node) -> float:
    """Full adders of a layer's weights and bias for one position."""
    matrix, bits = trimmed_matrix(network, node, last)
    if isinstance(node, Conv2D) and node.depthwise:
        # channels share nothing
        cost = sum(_matrix_cost(column[column != 0][:, None], bits) for column in matrix.T if column.any())
    else:
        cost = _matrix_cost(matrix, bits)
    biased = np.count_nonzero(node.bias[live(network, last.name)])
    return cost + 0.5 * float(biased) * network.types[node.name].width


def _quantizer_features(network: Network, node: Quantize) -> NDArray[np.float64]:
    """What the quantizers of one position consist of: roundings, clipped bits, bits compared with the limits.

    Clipping at one end sets or clears the register, which is free; at both ends it takes a lookup table
    for each bit.
    """
    source, target = network.bounds[node.inputs[0]], node.dtype
    dropped = source.fraction - target.fraction
    low, high = (np.floor(np.ldexp(v.astype(np.float64), -dropped)) for v in (source.low, source.high))
    below, above = low < target.minimum, high > target.maximum
    varies = live(network, node.name)
    spare = np.maximum(0, channel_bits(source) - dropped - target.width)
    both = varies & below & above
    rounded = np.count_nonzero(varies) * int(dropped > 0)
    return np.array(
        [rounded, target.width * np.count_nonzero(both), float((spare * varies * (below | above)).sum())]
    )


def _other_cost(network: Network, node: Node, lanes: int) -> float:
    """Lookup tables of a node without weights for one position."""
    bits = channel_bits(network.bounds[node.inputs[0]])
    match node:
        case Add():
            wide = channel_bits(network.bounds[node.name])
            return float((len(node.inputs) - 1) * wide.sum())
        case MaxPool2D():
            return float(2 * (node.window[0] * node.window[1] - 1) * bits.sum())
        case AveragePool2D():
            return float((node.window[0] * node.window[1] - 1) * (bits + (bits > 0)).sum())
        case GlobalAveragePool():
            return float((lanes - 1) * (bits + (bits > 0)).sum())
    return 0.0


def kernel_features(network: Network, nodes: tuple[Node, ...], lanes: int = 1) -> NDArray[np.float64]:
    """What one kernel consists of, each with a coefficient in lookup tables.

    Parameters
    ----------
    network : Network
    nodes : tuple of Node
        What the kernel computes, in order.
    lanes : int
        Positions that a global pooling adds up at once.

    Returns
    -------
    numpy.ndarray, shape (5,)
        Full adders of the weights; lookup tables of other nodes; roundings; clipped bits; compared bits.
    """
    result = np.zeros(5)
    for node in nodes:
        match node:
            case Conv2D() | Dense():
                result[0] += _affine_cost(network, node, nodes[-1])
            case Quantize():
                result[2:] += _quantizer_features(network, node)
            case _:
                result[1] += _other_cost(network, node, lanes)
    return result


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


def _used(module: WindowModule, channels: IntArray) -> NDArray[np.bool_]:
    """Which bits of a beat are kept, where so many bits of each channel are."""
    bits = np.arange(module.source.dtype.width) < channels[:, None]
    return np.tile(bits.ravel(), module.source.lanes)


def _reads(network: Network, module: WindowModule) -> Reads:
    if module.nodes:
        return reads(network, module.nodes[0], module.nodes[-1], module.window)
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
    shell = float(features @ np.array(_coefficients()["window"]))
    ff = read.taps * module.columns / module.window[1] + read.rows.sum() * module.history + features[1] + 8
    if module.source.row_beats == 1:
        ff += module.rows * module.source.bits
    return Cost(lut=round(memory + shell), lut_memory=memory, ff=round(ff))


def _kernel(network: Network, nodes: tuple[Node, ...], lanes: int = 1) -> float:
    features = kernel_features(network, nodes, lanes)
    return float(features @ np.array(_coefficients()["kernel"]))


def _module_cost(network: Network, module: Module) -> Cost:
    lanes = module.source.lanes if isinstance(module, SumModule) else 1
    arithmetic = _kernel(network, module.nodes, lanes)
    results = int(channel_bits(network.bounds[module.nodes[-1].name]).sum()) if module.nodes else 0
    kernel = Cost(lut=round(arithmetic), ff=round(0.45 * arithmetic) + results)
    match module:
        case WindowModule():
            return kernel * module.kernels + _window_cost(network, module)
        case PointModule():
            return kernel * module.kernels + Cost(lut=len(module.inputs) ** 2, ff=module.depth)
        case FifoModule():
            memory = _memory(np.ones(module.output.bits, dtype=bool), module.capacity)
            control = bits_for(module.capacity)
            return Cost(lut=memory + 6 + 4 * control, lut_memory=memory, ff=3 * control + 1)
        case SumModule():
            source = module.source
            beyond = source.row_beats * source.lanes - source.width
            control = bits_for(source.beats)
            own = module.output.bits + round(1.2 * control) + 3 + beyond * source.position_bits
            return kernel * module.kernels + Cost(lut=own, ff=module.output.bits + control + 2)
        case FlattenModule():
            return Cost(lut=module.source.beats + 5, ff=module.output.bits + 10)
    return Cost()


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
    modules = {module.name: _module_cost(network, module) for module in empty.modules[1:]}
    if config.style == "unrolled":
        modules = {"network": _unrolled_cost(network)}
    total = sum(modules.values(), Cost())
    error = "unrolled_error" if config.style == "unrolled" else "network_error"
    return Prediction(total, modules, timing(empty), float(_coefficients()[error]))


def _present(network: Network, node: Node) -> float:
    """Part of a convolution's taps that lie inside the map, over all positions."""
    if not isinstance(node, Conv2D):
        return 1.0
    part = 1.0
    sizes, results = network.shapes[node.inputs[0]], network.shapes[node.name]
    for axis in (0, 1):
        first = np.arange(results[axis]) * node.strides[axis] - node.padding[axis][0]
        taps = first[:, None] + np.arange(node.kernel.shape[axis])
        part *= float(np.mean((taps >= 0) & (taps < sizes[axis])))
    return part


def _unrolled_cost(network: Network) -> Cost:
    """Every position has logic of its own, without the taps that padding feeds."""
    lut = 0.0
    coefficients = np.array(_coefficients()["kernel"])
    for node in network.nodes[1:]:
        positions = math.prod(network.shapes[node.name][:-1])
        inputs = math.prod(network.shapes[node.inputs[0]][:-1])
        readers = network.consumers(node.name)
        fused = isinstance(node, Conv2D | Dense) and len(readers) == 1 and isinstance(readers[0], Quantize)
        # the weights of channels that their quantizer makes constant are left out
        features = kernel_features(network, (node, readers[0]) if fused else (node,), inputs)
        if fused:
            features[2:] = 0  # the quantizer has its own turn
        lut += positions * _present(network, node) * float(features @ coefficients)
    # overlapping windows share partial sums
    lut *= _coefficients()["unrolled"]
    return Cost(lut=round(lut), ff=round(0.5 * lut))
