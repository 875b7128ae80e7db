"""QKeras' own code in float64.

A QKeras model is a function of quantized numbers, but QKeras computes it in float32, which holds 24 bits: the
sums of 12-bit weights and activations need more, and a quantizer that reads a rounded sum may round to the
other side. Keras' layers compute in any type; QKeras names float32 in some of its quantizers, so while it
runs here, ``float32`` means ``float64`` to it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import qkeras.quantizers
from numpy.typing import NDArray

from trigger_ml.core.keras2 import tf, tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.models.graph import fresh, functional

__all__ = ["predict_in_float64"]


class _Doubled:
    """A module of TensorFlow's in which the name ``float32`` means ``float64``."""

    float32 = tf.float64

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def cast(self, x: Any, dtype: Any) -> Any:
        """As the module's own."""
        return self._module.cast(x, "float64" if dtype == "float32" else dtype)


@contextmanager
def _float64() -> Iterator[None]:
    backend = tf_keras.backend
    before = backend.floatx()
    backend.set_floatx("float64")
    try:
        with (
            mock.patch.object(qkeras.quantizers, "K", _Doubled(qkeras.quantizers.K)),
            mock.patch.object(qkeras.quantizers, "tf", _Doubled(qkeras.quantizers.tf)),
        ):
            yield
    finally:
        backend.set_floatx(before)


def predict_in_float64(model: Model, x: NDArray[np.float64], batch: int) -> list[NDArray[np.float64]]:
    """Outputs of a QKeras model whose every operation is done in float64.

    Parameters
    ----------
    model : tf_keras.Model
        Not changed.
    x : numpy.ndarray of float64, shape (events, ...)
    batch : int
        Events at a time.

    Returns
    -------
    list of numpy.ndarray of float64
        One for each output.
    """
    model = functional(model)
    with _float64():
        double = tf_keras.models.clone_model(
            model,
            clone_function=lambda layer: fresh(layer, dtype="float64"),
        )
        double.set_weights(model.get_weights())
        parts = [double(x[i : i + batch], training=False) for i in range(0, max(len(x), 1), batch)]
    columns = zip(*(tf.nest.flatten(part) for part in parts), strict=True)
    return [np.concatenate([part.numpy() for part in column]) for column in columns]
