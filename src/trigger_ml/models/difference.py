"""One logit from the two columns of a head, exactly: ``z[gamma] - z[other]``.

The columns of a float layer are subtracted weight by weight. The columns of a quantized layer are quantized
first, as its owner's model does: ``q(w1) - q(w0)`` is a multiple of the same last bit and fits one bit more,
so a layer with weights of one bit more gives the difference of the two results. ``q(w1 - w0)`` would not.
"""

import numpy as np
from numpy.typing import NDArray
from qkeras import QDense, quantized_bits

from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer
from trigger_ml.models.graph import fresh
from trigger_ml.models.quantizers import fixed_point_of, quantizer_of

__all__ = ["column_difference", "joined_columns"]


def joined_columns(layer: Layer, gamma_column: int) -> tuple[Layer, list[NDArray[np.floating]]] | None:
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
    changes: dict[str, object] = {"units": 1, "activation": None}
    weights = []
    for part in ("kernel", "bias"):
        variable = getattr(layer, part)
        if variable is None:
            continue
        values = np.asarray(variable, dtype=np.float64)
        if isinstance(layer, QDense):
            quantizer = getattr(layer, f"{part}_quantizer_internal")
            if quantizer is not None:
                dtype = fixed_point_of(quantizer)
                if dtype is None:
                    return None
                values = np.asarray(quantizer(variable), dtype=np.float64)
                # signed, of the same last bit: it holds the difference of any two values
                changes[f"{part}_quantizer"] = quantizer_of(FixedPoint(True, dtype.width + 1, dtype.fraction))
                # the owner's limits are those of one column
                changes[f"{part}_constraint"] = None
        weights.append((values[..., [gamma_column]] - values[..., [1 - gamma_column]]).astype(np.float32))
    return fresh(layer, **changes), weights


def column_difference(name: str, gamma_column: int) -> Layer:
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
