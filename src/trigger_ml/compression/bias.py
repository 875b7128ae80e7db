"""What quantization shifts in the mean, taken back by the biases."""

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.models.quantized import quantized_weights

__all__ = ["corrected_biases"]

_EVENTS = 512


def corrected_biases(twin: Model, model: Model, calibration: NDArray[np.float32]) -> None:
    """Give each layer the mean output of its float twin, channel by channel, in place.

    Rounding weights and activations shifts the mean of a sum, and the shifts of all layers add up; layer by
    layer, each with the corrected ones before it, a bias takes back what the mean over events and places is
    off (empirical bias correction, Nagel et al. 2019, arXiv:1906.04721, section 4.2 and appendix D).

    Parameters
    ----------
    twin : tf_keras.Model
        Quantized.
    model : tf_keras.Model
        Folded; the layers of the twin with weights have its names.
    calibration : numpy.ndarray of float32, shape (events, height, width, channels)
    """
    x = calibration[:_EVENTS]
    for layer in twin.layers:
        parts = quantized_weights(layer)
        if len(parts) < 2:
            continue
        ours, theirs = (
            np.asarray(
                tf_keras.Model(each.input, each.get_layer(layer.name).output).predict(x, verbose=0),
                dtype=np.float64,
            )
            for each in (twin, model)
        )
        bias = parts[1].variable
        shifted = bias.numpy() + (theirs - ours).mean(axis=tuple(range(ours.ndim - 1)))
        bias.assign(bias.constraint(shifted.astype(np.float32)))
