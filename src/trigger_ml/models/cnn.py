"""Plain convolutional networks."""

from trigger_ml.core.config import ModelConfig
from trigger_ml.core.keras_types import Tensor
from trigger_ml.models.convolution import convolution

__all__ = ["backbone"]


def backbone(x: Tensor, config: ModelConfig) -> Tensor:
    """Stem and stages of 3x3 convolutions.

    Layers: ``stem``, then ``s{stage}c{convolution}``; each with ``_bn`` and ``_relu`` after it.

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
        for c in range(stage.blocks):
            strides = stage.strides if c == 0 else 1
            x = convolution(x, config, f"s{s}c{c}", stage.filters, strides=strides)
    return x
