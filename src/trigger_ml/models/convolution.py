"""Convolution with optional batch normalization: the unit that all families are made of."""

from trigger_ml.core.config import ModelConfig
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Tensor
from trigger_ml.models.constraints import KernelRule

__all__ = ["convolution"]


def convolution(
    x: Tensor,
    config: ModelConfig,
    name: str,
    filters: int,
    kernel: int = 3,
    strides: int = 1,
    relu: bool = True,
) -> Tensor:
    """Layers ``name``, ``name_bn`` (when normalized) and ``name_relu`` (when ``relu``).

    Parameters
    ----------
    x : tensor, shape (events, height, width, channels)
    config : ModelConfig
    name : str
    filters, kernel, strides : int
    relu : bool

    Returns
    -------
    tensor, shape (events, ceil(height / strides), ceil(width / strides), filters)
    """
    layers = tf_keras.layers
    x = layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=not config.batch_norm,
        kernel_initializer="he_normal",
        kernel_constraint=KernelRule(hexagonal=True) if config.kernel == "hexagonal" and kernel > 1 else None,
        name=name,
    )(x)
    if config.batch_norm:
        # counts are small fractions of the range and mostly zero: their variance is far below Keras' default
        # epsilon. A few bright images make most of it, so the running mean must span a thousand events (32
        # batches of 32): over fewer, the validation loss jumps and stops a training that still learns; over
        # Keras' hundred batches it would lag behind a short one.
        x = layers.BatchNormalization(momentum=0.97, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x
