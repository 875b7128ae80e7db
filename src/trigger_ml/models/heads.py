"""From the last feature map to the outputs, and what each task learns with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import ModelConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.graph import Step, fresh, rebuild, steps

__all__ = ["OUTPUTS", "add_head", "loss", "start_at", "without_squashing"]

OUTPUTS = {"type": 1, "energy": 1, "direction": 2}
"""Numbers that leave the network for each task: a logit, log10(E/TeV), two camera offsets in degrees."""


def add_head(x: Any, config: ModelConfig, task: str) -> Any:
    """Layers ``pool`` (or ``flatten``), ``head1``, ``head1_relu``, ... and the linear output ``head``.

    Parameters
    ----------
    x : tensor, shape (events, height, width, channels)
    config : ModelConfig
    task : {'type', 'energy', 'direction'}

    Returns
    -------
    tensor, shape (events, OUTPUTS[task])
    """
    layers = tf_keras.layers
    pooling = config.pooling
    if pooling == "auto":
        pooling = "flatten" if task == "direction" else "average"
    if pooling == "average":
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    else:
        x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(config.head_units, start=1):
        x = layers.Dense(units, kernel_initializer="he_normal", name=f"head{number}")(x)
        x = layers.ReLU(name=f"head{number}_relu")(x)
    return layers.Dense(OUTPUTS[task], name="head")(x)


def loss(task: str, regression: str = "huber") -> Any:
    """Loss of a task: cross entropy of the logit for ``type``, ``mse`` or ``huber`` otherwise."""
    if task == "type":
        return tf_keras.losses.BinaryCrossentropy(from_logits=True)
    return {"mse": tf_keras.losses.MeanSquaredError, "huber": tf_keras.losses.Huber}[regression]()


def start_at(model: Any, target: NDArray[np.floating[Any]]) -> None:
    """Let an untrained regressor begin at the mean of its targets, with answers as wide as they are.

    Outputs and losses stay in physical units, so that float training, pruning and fine-tuning can be compared
    and the firmware's output needs no rescaling; the optimizer need not first carry the bias there.

    Parameters
    ----------
    model : tf_keras.Model
        As `trigger_ml.models.registry.build_model` makes it.
    target : numpy.ndarray of float, shape (events, outputs)
        Training targets.
    """
    head = model.get_layer("head")
    kernel, bias = head.get_weights()
    head.set_weights([kernel * target.std(axis=0), bias + target.mean(axis=0)])


def without_squashing(model: Any, gamma_column: int = 1) -> Any:
    """The model with one logit in place of a sigmoid, or of a softmax over two classes.

    ``softmax(z)[g] = sigmoid(z[g] - z[1 - g])``, so the logit's weights are the difference of the
    columns: the classification is the same. A model that ends linearly is returned as it is.

    Parameters
    ----------
    model : tf_keras.Model
        One output.
    gamma_column : int
        Column of the softmax that means gamma.

    Returns
    -------
    tf_keras.Model

    Raises
    ------
    MappingError
        If the softmax has not two classes or does not follow a dense layer.
    """
    plan = {step.name: step for step in steps(model)}
    last = plan[model.output_names[0]]
    activation = _activation(last.layer)
    if activation not in ("softmax", "sigmoid"):
        return model
    dense = last if isinstance(last.layer, tf_keras.layers.Dense) else plan[last.inputs[0]]
    units = 2 if activation == "softmax" else 1
    if not isinstance(dense.layer, tf_keras.layers.Dense) or dense.layer.units != units:
        raise MappingError(
            last.name,
            f"{activation} is not over a dense layer of {units} units",
            "Train with a two-class head, or with one logit",
        )
    made: dict[str, Sequence[Any]] = {}

    def make(step: Step, sources: list[Any]) -> Any:
        if step.name == last.name and last is not dense:
            return sources[0]
        layer = fresh(step.layer)
        weights = step.layer.get_weights()
        if step.name == dense.name:
            layer = fresh(step.layer, units=1, activation="linear")
            if activation == "softmax":
                weights = [w[..., [gamma_column]] - w[..., [1 - gamma_column]] for w in weights]
        if step.kind == "InputLayer":
            return tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
        made[layer.name] = (layer, weights)
        return layer(sources if len(sources) > 1 else sources[0])

    result = rebuild(model, make)
    for layer, weights in made.values():
        layer.set_weights([np.asarray(w) for w in weights])
    return result


def _activation(layer: Any) -> str:
    if isinstance(layer, tf_keras.layers.Softmax):
        return "softmax"
    function = getattr(layer, "activation", None)
    return str(getattr(function, "__name__", "linear"))
