"""One logit from the two columns of a head, exactly: ``z[gamma] - z[other]``.

The columns of a float layer are subtracted weight by weight. The columns of a quantized layer are quantized
first, as its owner's model does: ``q(w1) - q(w0)`` is a multiple of the same last bit and fits one bit more,
so a layer with weights of one bit more gives the difference of the two results. ``q(w1 - w0)`` would not.
"""

from typing import Any

import numpy as np
from qkeras import QDense, quantized_bits

from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Quantizer
from trigger_ml.models.graph import fresh

__all__ = ["column_difference", "joined_columns"]


def joined_columns(layer: Layer, gamma_column: int) -> tuple[Any, list[Any]] | None:
    """Dense layer of one unit that gives the difference of the two columns of another, and its weights.

    Parameters
    ----------
    layer : tf_keras.layers.Dense or qkeras.QDense, or what follows one
        Built, of two units.
    gamma_column : int

    Returns
    -------
    layer, list of numpy.ndarray
        The layer is not built yet. None if its quantizers have no such difference, or it has no weights.
    """
    if not isinstance(layer, tf_keras.layers.Dense):
        return None
    changes: dict[str, Any] = {"units": 1, "activation": None}
    weights = []
    for part in ("kernel", "bias"):
        variable = getattr(layer, part)
        if variable is None:
            continue
        values = np.asarray(variable, dtype=np.float64)
        if isinstance(layer, QDense):
            quantizer = getattr(layer, f"{part}_quantizer_internal")
            if quantizer is not None:
                if not _is_fixed_point(quantizer):
                    return None
                values = np.asarray(quantizer(variable), dtype=np.float64)
                changes[f"{part}_quantizer"] = _one_bit_more(quantizer)
                # the owner's limits are those of one column
                changes[f"{part}_constraint"] = None
        weights.append((values[..., [gamma_column]] - values[..., [1 - gamma_column]]).astype(np.float32))
    return fresh(layer, **changes), weights


def _is_fixed_point(quantizer: Quantizer) -> bool:
    """Whether a quantizer gives integers times a fixed power of two, always the same ones."""
    if type(quantizer) is not quantized_bits or quantizer.use_stochastic_rounding:
        return False
    alpha = quantizer.alpha
    unscaled = alpha is None or (not isinstance(alpha, str) and bool(np.all(np.asarray(alpha) == 1)))
    # QKeras makes a single bit binary
    wide = int(quantizer.bits) - int(quantizer.keep_negative) >= 1
    return unscaled and wide and float(quantizer.qnoise_factor) == 1.0


def _one_bit_more(quantizer: Quantizer) -> Any:
    """Signed, of the same last bit: it holds the difference of any two values of a quantizer."""
    signed = int(quantizer.keep_negative)
    return quantized_bits(int(quantizer.bits) + 1, int(quantizer.integer) + signed, alpha=1)


def column_difference(name: str, gamma_column: int) -> Any:
    """Layer without free weights that subtracts two columns: its kernel is 1 and -1, two bits each.

    Parameters
    ----------
    name : str
    gamma_column : int
    """
    kernel = np.array([[-1.0], [1.0]] if gamma_column == 1 else [[1.0], [-1.0]])
    return QDense(
        1,
        use_bias=False,
        kernel_quantizer=quantized_bits(2, 1, alpha=1),
        kernel_initializer=tf_keras.initializers.Constant(kernel),
        name=name,
    )
