"""Layers that are two in one, as two."""

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Model, Tensor
from trigger_ml.models.graph import Step, fresh, rebuild, steps

__all__ = ["split_layers"]


def split_layers(model: Model) -> Model:
    """The model with each SeparableConv2D as a DepthwiseConv2D and a Conv2D of 1 x 1.

    The depthwise part is called ``<layer>_depthwise``; the other one keeps the name.

    Parameters
    ----------
    model : tf_keras.Model
        Functional.

    Returns
    -------
    tf_keras.Model
        ``model`` itself if there is nothing to split.
    """
    if not any(step.kind == "SeparableConv2D" for step in steps(model)):
        return model
    made: list[tuple[Layer, list[NDArray[np.float32]]]] = []

    def make(step: Step, sources: list[Tensor]) -> Tensor:
        if step.kind == "InputLayer":
            return tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
        if step.kind != "SeparableConv2D":
            layer = fresh(step.layer)
            made.append((layer, step.layer.get_weights()))
            return layer(sources if len(sources) > 1 else sources[0])
        config, weights = step.layer.get_config(), step.layer.get_weights()
        kept = ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate")
        depthwise = tf_keras.layers.DepthwiseConv2D(
            **{key: config[key] for key in kept}, use_bias=False, name=f"{step.name}_depthwise"
        )
        settings = {"use_bias": config["use_bias"], "activation": step.layer.activation, "name": step.name}
        pointwise = tf_keras.layers.Conv2D(config["filters"], 1, **settings)
        result = pointwise(depthwise(sources[0]))
        made.extend([(depthwise, weights[:1]), (pointwise, weights[1:])])
        return result

    split = rebuild(model, make)
    for layer, weights in made:
        layer.set_weights([np.asarray(w) for w in weights])
    return split
