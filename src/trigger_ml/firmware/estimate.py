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
from trigger_ml.firmware.network import (
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
from trigger_ml.firmware.rtl.kernels import signed_digits
from trigger_ml.firmware.rtl.project import outline
from trigger_ml.firmware.rtl.schedule import Timing, timing
from trigger_ml.firmware.rtl.stages import (
    FifoStage,
    FlattenStage,
    Pipeline,
    PointStage,
    Stage,
    SumStage,
    WindowStage,
)
from trigger_ml.firmware.synthesis import Cost

__all__ = ["Prediction", "features", "fit", "predict"]

COEFFICIENTS = Path(__file__).parent / "estimate.json"
SOURCE = "prediction"


@dataclass(frozen=True)
class Prediction:
    """What a design will cost.

    Parameters
    ----------
    total : Cost
    modules : mapping of str to Cost
        By stage.
    timing : Timing
        Exact.
    error : float
        Relative error of ``total.lut`` to allow for; ``benchmarks/firmware.py`` measures it.
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


def _mean_bits(network: Network, name: str) -> float:
    bounds = network.bounds[name]
    reach = np.maximum(np.abs(bounds.low), np.abs(bounds.high)).astype(np.float64)
    return float(np.log2(reach + 1).mean() + float((bounds.low < 0).any()))


def _bias_adders(network: Network, node: Conv2D | Dense) -> float:
    return float(np.count_nonzero(node.bias)) * 0.5 * network.types[node.name].width


def _node_cost(network: Network, node: Node, lanes: int) -> float:
    """Lookup tables of one node for one position."""
    source = node.inputs[0]
    channels = network.shapes[node.name][-1]
    match node:
        case Conv2D():
            kernel = node.full_kernel()
            matrix = kernel.reshape(-1, kernel.shape[-1])
            return _matrix_cost(matrix, _mean_bits(network, source)) + _bias_adders(network, node)
        case Dense():
            return _matrix_cost(node.kernel, _mean_bits(network, source)) + _bias_adders(network, node)
        case Quantize():
            dropped = network.bounds[source].fraction - node.dtype.fraction
            rounding = 0.25 * max(0, dropped) + 1
            return channels * (node.dtype.width * 0.8 + rounding)
        case Add():
            return channels * (len(node.inputs) - 1) * network.types[node.name].width
        case MaxPool2D():
            return channels * (node.window[0] * node.window[1] - 1) * 2 * network.types[source].width
        case AveragePool2D():
            return channels * (node.window[0] * node.window[1] - 1) * (network.types[source].width + 1)
        case GlobalAveragePool():
            return channels * (lanes - 1) * (network.types[source].width + 1)
    return 0.0


def _memory(bits: int, depth: int) -> int:
    """Lookup tables of a memory with one write and one read port (RAM32M16 and RAM64M8)."""
    if depth <= 1:
        return 0
    if depth <= 32:
        return 8 * math.ceil(bits / 14)
    return 8 * math.ceil(bits / 7) * math.ceil(depth / 64) + (bits if depth > 64 else 0)


def _window_cost(stage: WindowStage) -> Cost:
    """Line buffer, row selection, zeros outside the map, control."""
    source, rows, taps = stage.source, stage.rows, stage.window[0]
    group = stage.group * source.position_bits
    if taps == 1:
        depth = rows << max(1, (source.row_beats - 1).bit_length())
        memory = _memory(source.bits, depth)
        choice = 0.0
    else:
        memory = rows * _memory(source.bits, source.row_beats)
        choice = taps * group * (1.0 if rows <= 4 else 2.0)
    narrow = (1 if taps == 1 else rows) * group * (stage.parts - 1) / 2
    edges = sum(stage.padding[1]) * taps * source.position_bits * 0.5
    ff = taps * (stage.columns + stage.history) * source.position_bits + 30
    if source.row_beats == 1:
        ff += rows * source.bits
    return Cost(lut=round(memory + choice + narrow + edges + 30), lut_memory=memory, ff=ff)


def _stage_cost(network: Network, stage: Stage) -> Cost:
    lanes = stage.source.lanes if isinstance(stage, SumStage) else 1
    arithmetic = sum(_node_cost(network, node, lanes) for node in stage.nodes)
    registers = round(0.45 * arithmetic) + stage.output.position_bits
    kernel = Cost(lut=round(arithmetic), ff=registers)
    match stage:
        case WindowStage():
            return kernel * stage.kernels + _window_cost(stage)
        case PointStage():
            return kernel * stage.kernels + Cost(lut=3, ff=stage.depth)
        case FifoStage():
            memory = _memory(stage.output.bits, stage.capacity)
            return Cost(lut=memory + 30, lut_memory=memory, ff=20)
        case SumStage():
            own = Cost(lut=stage.output.bits + 5, ff=stage.output.bits + 10)
            return kernel * stage.kernels + own
        case FlattenStage():
            return Cost(lut=stage.source.beats + 10, ff=stage.output.bits + 10)
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
    stages = pipeline or outline(network, config)
    modules = {stage.name: _stage_cost(network, stage) for stage in stages.stages[1:]}
    if config.style == "unrolled":
        modules = {"network": _unrolled_cost(network)}
    total = sum(modules.values(), Cost())
    return Prediction(total, modules, timing(stages), float(_coefficients()["network_error"]))


def _unrolled_cost(network: Network) -> Cost:
    lut = 0.0
    for node in network.nodes[1:]:
        positions = math.prod(network.shapes[node.name][:-1])
        inputs = math.prod(network.shapes[node.inputs[0]][:-1])
        lut += positions * _node_cost(network, node, inputs)
    return Cost(lut=round(lut), ff=round(0.6 * lut))
