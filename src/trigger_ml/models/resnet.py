"""Residual networks with basic or bottleneck blocks (He et al. 2016, arXiv:1512.03385)."""

from trigger_ml.core.config import ModelConfig
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Tensor
from trigger_ml.models.convolution import convolution

__all__ = ["backbone"]


def backbone(x: Tensor, config: ModelConfig) -> Tensor:
    """Stem and stages of residual blocks.

    Layers: ``stem``; for block ``b`` of stage ``s`` with the prefix ``s{s}b{b}``: ``_conv1``,
    ``_conv2`` (and ``_conv3`` in a bottleneck), ``_shortcut`` where the shape changes, ``_add``,
    ``_relu``. Convolutions have ``_bn`` and, within the block, ``_relu`` after them.

    Parameters
    ----------
    x : tensor, shape (events, height, width, channels)
    config : ModelConfig

    Returns
    -------
    tensor
        The last feature map.
    """
    x = convolution(x, config, "stem", config.stem_filters, config.stem_kernel, config.stem_strides)
    for s, stage in enumerate(config.stages):
        for b in range(stage.blocks):
            strides = stage.strides if b == 0 else 1
            x = _block(x, config, f"s{s}b{b}", stage.filters, strides)
    return x


def _block(x: Tensor, config: ModelConfig, prefix: str, filters: int, strides: int) -> Tensor:
    layers = tf_keras.layers
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = convolution(x, config, f"{prefix}_shortcut", filters, 1, strides, relu=False)
    if config.block == "basic":
        y = convolution(x, config, f"{prefix}_conv1", filters, strides=strides)
        y = convolution(y, config, f"{prefix}_conv2", filters, relu=False)
    else:
        inner = max(1, filters // config.bottleneck)
        y = convolution(x, config, f"{prefix}_conv1", inner, 1)
        y = convolution(y, config, f"{prefix}_conv2", inner, strides=strides)
        y = convolution(y, config, f"{prefix}_conv3", filters, 1, relu=False)
    y = layers.Add(name=f"{prefix}_add")([y, shortcut])
    return layers.ReLU(name=f"{prefix}_relu")(y)
