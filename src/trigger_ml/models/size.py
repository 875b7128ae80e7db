"""How large a model is: parameters, bytes, operations."""

import gzip
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras_types import Layer, Model
from trigger_ml.models.graph import functional, steps
from trigger_ml.models.layers import IDENTITY, SELECTING
from trigger_ml.models.quantizers import fixed_point_of, fraction_bits

__all__ = ["ModelSize", "model_size"]

# operations of one multiplication and one addition
_FLOPS_PER_MAC = 2
_FLOAT_BITS = 32


@dataclass(frozen=True)
class ModelSize:
    """Size of a model's weights and the work of one event.

    Parameters
    ----------
    parameters, nonzero : int
        Kernels, biases and normalization.
    weights, nonzero_weights : int
        Kernels alone: what sparsity counts.
    bytes_float32 : int
        All parameters as float32.
    bytes_gzip : int
        The same after gzip (level 9), which finds the zeros that pruning makes.
    bytes_packed : int or None
        Quantized models: every non-zero weight in its own width plus one bit for each weight that tells
        whether it is zero; None for float models.
    macs : int
        Multiplications (with their additions) for one event, zero weights included.
    macs_nonzero : int
        Those whose weight is not zero.
    bit_operations : int
        Bits of the weight times bits of the activation, over the multiplications by a weight that is not
        zero; what is not quantized has 32.
    """

    parameters: int
    nonzero: int
    weights: int
    nonzero_weights: int
    bytes_float32: int
    bytes_gzip: int
    bytes_packed: int | None
    macs: int
    macs_nonzero: int
    bit_operations: int

    @property
    def gflops(self) -> float:
        """Billions of floating-point operations for one event (two per multiplication)."""
        return _FLOPS_PER_MAC * self.macs * 1e-9

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON, ``gflops`` included."""
        return {**asdict(self), "gflops": self.gflops}


def model_size(model: Model) -> ModelSize:
    """Measure a float or quantized model.

    Parameters
    ----------
    model : tf_keras.Model
        Quantized weights are taken as the fixed-point values they stand for.

    Returns
    -------
    ModelSize
    """
    parts = [values for layer in model.layers for values in _effective_weights(layer)]
    flat = np.concatenate([p.ravel() for p, _ in parts]) if parts else np.zeros(0, dtype=np.float32)
    weights = nonzero_weights = macs = macs_nonzero = bit_operations = 0
    activations = _activation_widths(model)
    for layer in model.layers:
        found = _kernel(layer)
        if found is None:
            continue
        kernel, width = found
        positions = math.prod(layer.output_shape[1:-1])
        weights += kernel.size
        nonzero_weights += int(np.count_nonzero(kernel))
        macs += positions * kernel.size
        multiplied = positions * int(np.count_nonzero(kernel))
        macs_nonzero += multiplied
        bit_operations += multiplied * (width or _FLOAT_BITS) * activations[layer.name]
    widths = [bits for _, bits in parts if bits is not None]
    packed = sum(bits * np.count_nonzero(p) + p.size for p, bits in parts if bits is not None)
    return ModelSize(
        parameters=int(flat.size),
        nonzero=int(np.count_nonzero(flat)),
        weights=weights,
        nonzero_weights=nonzero_weights,
        bytes_float32=4 * int(flat.size),
        # a fixed time stamp keeps the size the same on every run
        bytes_gzip=len(gzip.compress(flat.astype("<f4").tobytes(), 9, mtime=0)),
        bytes_packed=math.ceil(int(packed) / 8) if widths and len(widths) == len(parts) else None,
        macs=macs,
        macs_nonzero=macs_nonzero,
        bit_operations=bit_operations,
    )


def _effective_weights(layer: Layer) -> list[tuple[Any, int | None]]:
    """Weights of a layer as its function uses them, each with its width in bits where quantized."""
    quantizers = layer.get_quantizers() if hasattr(layer, "get_quantizers") else []
    weights = layer.get_weights()
    if len(quantizers) != len(weights):
        return [(w, None) for w in weights]
    result: list[tuple[Any, int | None]] = []
    for weight, quantizer in zip(weights, quantizers, strict=True):
        if quantizer is None:
            result.append((weight, None))
        else:
            values = np.asarray(quantizer(weight))
            result.append((values, _width(values, fraction_bits(quantizer))))
    return result


def _kernel(layer: Layer) -> tuple[Any, int | None] | None:
    if not (hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel")):
        return None
    return _effective_weights(layer)[0]


def _activation_widths(model: Model) -> dict[str, int]:
    """Bits of what each layer reads, by its name."""
    gives: dict[str, int] = {}
    reads: dict[str, int] = {}
    for step in steps(functional(model)):
        reads[step.name] = max((gives[name] for name in step.inputs), default=_FLOAT_BITS)
        passed = step.kind in SELECTING or step.kind in IDENTITY
        gives[step.name] = reads[step.name] if passed else _FLOAT_BITS
        if step.kind == "QActivation" and (dtype := fixed_point_of(step.layer.quantizer)) is not None:
            gives[step.name] = dtype.width
    return reads


def _width(values: Any, fraction: int) -> int:
    integers = np.rint(np.ldexp(values.astype(np.float64), fraction)).astype(np.int64)
    return FixedPoint.holding(min(-1, int(integers.min())), int(integers.max()), 0).width
