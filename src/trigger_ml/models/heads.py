"""From the last feature map to the outputs, and what each task learns with."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
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
    "squashings",
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
    """What a model's (first) output goes through at last: a softmax, a sigmoid, or nothing that is to be cut.

    Parameters
    ----------
    model : tf_keras.Model
    """
    return squashings(functional(model))[0]


def squashings(model: Model) -> list[Squashing]:
    """For each output of a functional model."""
    found = [_activation(model.get_layer(name)) for name in model.output_names]
    return [name if name in ("softmax", "sigmoid") else "linear" for name in found]  # type: ignore[misc]


def before_squashing(model: Model) -> Model:
    """A model up to the softmax or sigmoid of each output, made of the same layers: all its columns.

    Parameters
    ----------
    model : tf_keras.Model
        As its owner has it, quantized or not; a model that ends linearly is returned as it is.

    Returns
    -------
    tf_keras.Model
        With outputs in the order of the model's; several are a list.
    """
    model = functional(model)
    kinds = squashings(model)
    if set(kinds) == {"linear"}:
        return model
    outputs = []
    for name, tensor, kind in zip(model.output_names, model.outputs, kinds, strict=True):
        last = model.get_layer(name)
        if kind == "linear":
            outputs.append(tensor)
        elif not _squashes_itself(last):
            outputs.append(last.input)
        else:
            linear = fresh(last, activation=None)
            outputs.append(linear(last.input))
            linear.set_weights(last.get_weights())
    return tf_keras.Model(model.inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)


@dataclass(frozen=True)
class _Ending:
    """The last layers of an output that is squashed.

    Parameters
    ----------
    last, head : Step
        The layer with the softmax or sigmoid, and the one that gives the columns: the same where a layer
        squashes its own sums.
    joins : bool
        Whether two columns become one.
    """

    last: Step
    head: Step
    joins: bool


def _ending(model: Model, plan: Mapping[str, Step], name: str, kind: Squashing) -> _Ending:
    last = plan[name]
    head = last if _squashes_itself(last.layer) else plan[last.inputs[0]]
    units = head.layer.output_shape[-1]
    if kind == "sigmoid" or (isinstance(units, int) and units > 2):
        return _Ending(last, head, joins=False)
    if not isinstance(head.layer, (tf_keras.layers.Dense, QActivation)) or units != 2:
        raise MappingError(
            last.name,
            f"{kind} is not over a dense layer of two units or more",
            "Train with a head of two classes or more, or with one logit",
        )
    return _Ending(last, head, joins=True)


def without_squashing(model: Model, gamma_column: int = 1) -> Model:
    """The model with logits in place of sigmoid and softmax; over two classes with the one that decides.

    ``softmax(z)[g] = sigmoid(z[g] - z[1 - g])``, so the logit's weights are the difference of the
    columns: the classification is the same. The difference of quantized columns is that of their quantized
    weights, every bit of it (see `trigger_ml.models.difference`). A softmax over more classes is cut: its
    logits order the classes as it does. A model that ends linearly is returned as it is, a sequential one as
    functional.

    Parameters
    ----------
    model : tf_keras.Model
        One output or several.
    gamma_column : int
        Column of a softmax over two classes that means gamma.

    Returns
    -------
    tf_keras.Model

    Raises
    ------
    MappingError
        If a softmax is over one value, or over two that no dense layer gives.
    """
    model = functional(model)
    kinds = squashings(model)
    if set(kinds) == {"linear"}:
        return model
    plan = {step.name: step for step in steps(model)}
    endings = [
        _ending(model, plan, name, kind)
        for name, kind in zip(model.output_names, kinds, strict=True)
        if kind != "linear"
    ]
    last = {ending.last.name: ending for ending in endings if ending.last is not ending.head}
    heads = {ending.head.name: ending for ending in endings}
    uses = Counter(source for step in plan.values() for source in step.inputs) + Counter(model.output_names)
    for ending in endings:
        if ending.last is ending.head and uses[ending.head.name] > 1:
            raise MappingError(
                ending.head.name,
                "other layers read what its softmax or sigmoid gives",
                "Firmware has no probabilities: let them read what comes before",
            )
    made: dict[str, tuple[Any, Any]] = {}
    joined: set[str] = set()

    def make(step: Step, sources: list[Tensor]) -> Tensor:
        if step.name in last:
            if last[step.name].joins and last[step.name].head.name not in joined:
                return column_difference(f"{last[step.name].head.name}_difference", gamma_column)(sources[0])
            return sources[0]
        if step.kind == "InputLayer":
            return tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
        layer, weights, ending = fresh(step.layer), step.layer.get_weights(), heads.get(step.name)
        one = None
        if ending is not None:
            inside = ending.last is ending.head
            # an activation of its own before a softmax or sigmoid layer is part of the function
            plain = inside or step.layer.activation in (None, tf_keras.activations.linear)
            if inside:
                layer = fresh(step.layer, activation=None)
            if ending.joins and plain and uses[step.name] == 1:
                one = joined_columns(step.layer, gamma_column)
        if one is not None:
            joined.add(step.name)
            layer, weights = one
        made[step.name] = (layer, weights)
        result = layer(sources if len(sources) > 1 else sources[0])
        if ending is not None and inside and ending.joins and one is None:
            return column_difference(f"{step.name}_difference", gamma_column)(result)
        return result

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
