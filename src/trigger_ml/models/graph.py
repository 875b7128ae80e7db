"""A functional Keras model as a list of steps, and rebuilding it layer by layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf, tf_keras
from trigger_ml.core.keras_types import Layer, Model, Tensor

__all__ = ["Step", "consumers", "fresh", "functional", "rebuild", "steps"]


@dataclass(frozen=True)
class Step:
    """One layer and the names of the layers whose outputs it reads."""

    layer: Layer
    inputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the layer."""
        return str(self.layer.name)

    @property
    def kind(self) -> str:
        """Class name of the layer."""
        return type(self.layer).__name__


def functional(model: Model) -> Any:
    """A sequential model as a functional one of the same layers; any other model as it is.

    Raises
    ------
    MappingError
        If a sequential model does not say the shape of its input.
    """
    if not isinstance(model, tf_keras.Sequential):
        return model
    if not model.built or not model.inputs:
        raise MappingError(
            f"model {model.name}",
            "is sequential and does not say the shape of its input",
            "Begin it with keras.Input(shape), or call it once, and save it again",
        )
    return tf_keras.Model(model.inputs, model.outputs, name=model.name)


def steps(model: Model) -> list[Step]:
    """Layers of a functional tf_keras model in topological order, the input first.

    Raises
    ------
    MappingError
        If the model holds another model, or uses a layer more than once.
    """
    members = {layer.name for layer in model.layers}
    result = []
    for layer in model.layers:
        if hasattr(layer, "layers"):
            raise MappingError(
                f"layer {layer.name} ({type(layer).__name__})",
                "is a model inside the model",
                "Flatten the nested model: its layers must belong to the outer model",
            )
        parents = [
            tuple(parent.name for parent in tf.nest.flatten(node.inbound_layers))
            for node in layer.inbound_nodes
        ]
        # a layer may also serve in other models; only the calls within this one count
        parents = list(dict.fromkeys(names for names in parents if members.issuperset(names)))
        if len(parents) != 1:
            raise MappingError(
                f"layer {layer.name} ({type(layer).__name__})",
                f"is called {len(parents)} times in the model",
                "Give every place a layer of its own (firmware does not share weights)",
            )
        result.append(Step(layer, parents[0]))
    return result


def consumers(model: Model) -> dict[str, list[Step]]:
    """Steps that read each layer's output, by the layer's name."""
    readers: dict[str, list[Step]] = {layer.name: [] for layer in model.layers}
    for step in steps(model):
        for name in step.inputs:
            readers[name].append(step)
    return readers


def fresh(layer: Layer, **changes: Any) -> Any:
    """Unbuilt copy of a layer, with changes to its configuration."""
    return type(layer).from_config({**layer.get_config(), **changes})


def rebuild(model: Model, make: Callable[[Step, list[Any]], Any]) -> Any:
    """Model of the same graph with every layer replaced.

    Parameters
    ----------
    model : tf_keras.Model
        Functional, one input.
    make : callable
        Called in topological order with a step and the symbolic tensors it reads (none for the input);
        returns the tensor that takes the place of the layer's output.

    Returns
    -------
    tf_keras.Model
    """
    tensors: dict[str, Any] = {}
    inputs = []
    for step in steps(model):
        tensors[step.name] = make(step, [tensors[name] for name in step.inputs])
        if step.kind == "InputLayer":
            # what replaces the input may already have layers on top of it
            inputs.append(_root(tensors[step.name]))
    outputs = [tensors[name] for name in model.output_names]
    return tf_keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs, name=model.name)


def _root(tensor: Tensor) -> Any:
    layer = tensor.node.layer
    while not isinstance(layer, tf_keras.layers.InputLayer):
        tensor = tf.nest.flatten(layer.input)[0]
        layer = tensor.node.layer
    return tensor
