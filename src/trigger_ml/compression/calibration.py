"""Ranges of values, as powers of two."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model

__all__ = ["activation_exponents", "covering_exponent", "fitting_exponent"]

# exponents outside are clipped: float32 values that matter to a network are far inside
_LOWEST, _HIGHEST = -40, 40
# numbers of a batch's outputs: a quarter of a gigabyte
_VALUES = 2**26


def exponent_counts(values: ArrayLike) -> NDArray[np.int64]:
    """Number of values whose magnitude is in ``[2**(e-1), 2**e)``, for e from -40 to 40.

    Zero counts as the lowest exponent.
    """
    x = np.asarray(values)
    exponents = np.clip(np.where(x == 0, _LOWEST, np.frexp(x)[1]), _LOWEST, _HIGHEST)
    return np.bincount((exponents - _LOWEST).ravel(), minlength=_HIGHEST - _LOWEST + 1)


def covering_exponent(counts: NDArray[np.int64], coverage: float) -> int:
    """Smallest ``e`` such that at least the fraction ``coverage`` of the values is below ``2**e``."""
    held = np.cumsum(counts)
    return int(np.argmax(held >= math.ceil(coverage * held[-1]))) + _LOWEST


def fitting_exponent(values: ArrayLike, bits: int) -> int:
    """Smallest ``e`` such that signed ``bits``-bit numbers in ``[-2**e, 2**e)`` hold all the values.

    A value beyond the largest number by at most half a last bit still rounds into the range. All zero
    gives 0.
    """
    x = np.asarray(values, dtype=np.float64)
    largest = float(np.abs(x).max(initial=0.0))
    if largest == 0.0:
        return 0
    e = math.frexp(largest)[1]
    tighter = 2.0 ** (e - 1)
    half_last_bit = tighter * 2.0**-bits
    if x.min() >= -tighter - half_last_bit and x.max() <= tighter - half_last_bit:
        return e - 1
    # the largest positive number is one last bit short of the power of two
    return e + 1 if x.max() > 2.0**e * (1 - 2.0**-bits) else e


def activation_exponents(
    model: Model,
    layers: Sequence[str],
    values: NDArray[np.float32],
    factors: Mapping[str, float],
    coverage: float,
) -> dict[str, int]:
    """Exponent of the power of two that holds the fraction ``coverage`` of each layer's outputs.

    Parameters
    ----------
    model : tf_keras.Model
        Float model.
    layers : sequence of str
    values : numpy.ndarray of float32, shape (events, height, width, channels)
        Inputs of the model.
    factors : mapping of str to float
        By which a layer's outputs are multiplied first; 1 where absent.
    coverage : float

    Returns
    -------
    dict of str to int

    Raises
    ------
    InputError
        If there are no events, or an output is not finite.
    """
    if not len(values):
        raise InputError("calibration events", "there are none", "Give some training events")
    if not layers:
        return {}
    probe = tf_keras.Model(model.input, [model.get_layer(name).output for name in layers])
    counts = {name: np.zeros(_HIGHEST - _LOWEST + 1, dtype=np.int64) for name in layers}
    # all outputs of a batch are in memory at once
    event = sum(math.prod(model.get_layer(name).output_shape[1:]) for name in layers)
    batch = int(np.clip(_VALUES // event, 1, 64))
    for start in range(0, len(values), batch):
        outputs = probe.predict_on_batch(values[start : start + batch])
        outputs = outputs if isinstance(outputs, list) else [outputs]
        for name, output in zip(layers, outputs, strict=True):
            if not np.isfinite(output).all():
                raise InputError(
                    f"layer {name}", "its float output is not finite", "Train the float model again"
                )
            counts[name] += exponent_counts(output * factors.get(name, 1.0))
    return {name: covering_exponent(counts[name], coverage) for name in layers}
