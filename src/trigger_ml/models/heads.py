"""From the last feature map to the outputs, and what each task learns with."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from qkeras import QActivation

from trigger_ml.core.config import ModelConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Model, Tensor
from trigger_ml.core.task import TASKS, Task
from trigger_ml.models.difference import column_difference, joined_columns
from trigger_ml.models.graph import Step, fresh, functional, rebuild, steps

__all__ = [
    "Squashing",
    "add_head",
    "before_squashing",
    "loss",
    "squashing",
    "start_at",
    "without_squashing",
]

Squashing = Literal["softmax", "sigmoid", "linear"]


def add_head(x: Tensor, config: ModelConfig, task: Task) -> Tensor:
    """Layers ``pool`` (or ``flatten``), ``head1``, ``head1_relu``, ... and the linear output ``head``.

    Parameters
    ----------
    x : tensor, shape (events, height, width, channels)
    config : ModelConfig
    task : {'type', 'energy', 'direction'}

    Returns
    -------
    tensor, shape (events, outputs of the task)
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
    return layers.Dense(len(TASKS[task].outputs), name="head")(x)


def loss(task: Task, regression: str = "huber") -> Any:
    """Loss of a task: cross entropy of the logit for ``type``, ``mse`` or ``huber`` otherwise."""
    if task == "type":
        return tf_keras.losses.BinaryCrossentropy(from_logits=True)
    return {"mse": tf_keras.losses.MeanSquaredError, "huber": tf_keras.losses.Huber}[regression]()


def start_at(model: Model, target: NDArray[np.floating]) -> None:
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


def squashing(model: Model) -> Squashing:
    """What a model's output goes through at last: a softmax, a sigmoid, or nothing that is to be cut.

    Parameters
    ----------
    model : tf_keras.Model
    """
    model = functional(model)
    found = _activation(model.get_layer(model.output_names[0]))
    return found if found in ("softmax", "sigmoid") else "linear"  # type: ignore[return-value]


def before_squashing(model: Model) -> Model:
    """A model up to its softmax or sigmoid, made of the same layers: all its columns, before they are joined.

    Parameters
    ----------
    model : tf_keras.Model
        As its owner has it, quantized or not; a model that ends linearly is returned as it is.

    Returns
    -------
    tf_keras.Model
    """
    model = functional(model)
    if squashing(model) == "linear":
        return model
    last = model.get_layer(model.output_names[0])
    if not _squashes_itself(last):
        return tf_keras.Model(model.inputs, last.input, name=model.name)
    linear = fresh(last, activation=None)
    output = linear(last.input)
    linear.set_weights(last.get_weights())
    return tf_keras.Model(model.inputs, output, name=model.name)


def without_squashing(model: Model, gamma_column: int = 1) -> Model:
    """The model with one logit in place of a sigmoid, or of a softmax over two classes.

    ``softmax(z)[g] = sigmoid(z[g] - z[1 - g])``, so the logit's weights are the difference of the
    columns: the classification is the same. The difference of quantized columns is that of their quantized
    weights, every bit of it (see `trigger_ml.models.difference`). A model that ends linearly is returned as
    it is, a sequential one as functional.

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
    model = functional(model)
    activation = squashing(model)
    if activation == "linear":
        return model
    plan = {step.name: step for step in steps(model)}
    last = plan[model.output_names[0]]
    head = last if _squashes_itself(last.layer) else plan[last.inputs[0]]
    units = 2 if activation == "softmax" else 1
    if (
        not isinstance(head.layer, (tf_keras.layers.Dense, QActivation))
        or head.layer.output_shape[-1] != units
    ):
        raise MappingError(
            last.name,
            f"{activation} is not over a dense layer of {units} units",
            "Train with a two-class head, or with one logit",
        )
    made: dict[str, tuple[Layer, Layer]] = {}

    def make(step: Step, sources: list[Tensor]) -> Tensor:
        if step.name == last.name and last is not head:
            return sources[0]
        if step.kind == "InputLayer":
            return tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
        layer, weights, difference = fresh(step.layer), step.layer.get_weights(), None
        if step.name == head.name:
            # an activation of its own before a softmax or sigmoid layer is part of the function
            if last is head and isinstance(step.layer, tf_keras.layers.Dense):
                layer = fresh(step.layer, activation=None)
            if activation == "softmax":
                plain = last is head or step.layer.activation in (None, tf_keras.activations.linear)
                joined = joined_columns(step.layer, gamma_column) if plain else None
                if joined is None:
                    difference = column_difference(f"{step.name}_difference", gamma_column)
                else:
                    layer, weights = joined
        made[step.name] = (layer, weights)
        result = layer(sources if len(sources) > 1 else sources[0])
        return result if difference is None else difference(result)

    result = rebuild(model, make)
    for layer, weights in made.values():
        layer.set_weights([np.asarray(w) for w in weights])
    return result


def _squashes_itself(layer: Layer) -> bool:
    """Whether a layer with weights ends with the softmax or sigmoid itself."""
    return isinstance(layer, tf_keras.layers.Dense)


def _activation(layer: Layer) -> str:
    if isinstance(layer, tf_keras.layers.Softmax):
        return "softmax"
    function = getattr(layer, "activation", None)
    return str(getattr(function, "__name__", "linear"))
