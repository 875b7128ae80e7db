"""Lookup tables of a constant matrix, predicted from its signed digits.

A regression over matrices traced with alkaid (``benchmarks/firmware.py --calibrate`` makes it again).
"""

import json
from functools import cache
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.rtl.kernels import signed_digits

__all__ = ["COEFFICIENTS", "coefficients", "features", "fit", "matrix_cost"]

COEFFICIENTS = Path(__file__).parent / "prediction.json"


class MatrixFit(TypedDict):
    """A regression over the features of traced matrices, and its relative error there."""

    mean: list[float]
    scale: list[float]
    terms: list[float]
    kernels: int
    kernel_error: float


class Coefficients(MatrixFit):
    """All that ``prediction.json`` holds: also the shares of the parts of a design, and errors of a whole."""

    network_error: float
    ff_error: float
    kernel: list[float]
    window: list[float]
    unrolled: float
    unrolled_error: float


@cache
def coefficients() -> Coefficients:
    """The fitted numbers of all predictions."""
    content: Coefficients = json.loads(COEFFICIENTS.read_text())
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


def fit(samples: list[tuple[float, NDArray[np.float64], float]], ridge: float = 1.0) -> MatrixFit:
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


def matrix_cost(matrix: IntArray, input_bits: float) -> float:
    """Full adders of a constant matrix after common parts are shared."""
    if not matrix.any():
        return 0.0
    naive, x = features(matrix, input_bits)
    if naive == 0:
        return 0.0
    known = coefficients()
    scaled = (x - np.array(known["mean"])) / np.array(known["scale"])
    # outside the matrices that the regression saw, it must not run away
    scaled = np.clip(scaled, -3, 3)
    factor = float(np.exp(_polynomial(scaled[None]) @ np.array(known["terms"])).item())
    return float((naive + 1) * min(factor, 1.3))
