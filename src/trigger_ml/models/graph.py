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
    """A sequential or nested model as one functional graph of the same layers; a flat one as it is.

    Layers of a model inside a model are copied, with their weights; they keep their names, but where two have
    the same one the inner model's name is put before it.

    Parameters
    ----------
    model : tf_keras.Model

    Returns
    -------
    tf_keras.Model

    Raises
    ------
    MappingError
        If a sequential model does not say the shape of its input, or a model (inside) is no graph.
    """
    if isinstance(model, tf_keras.Sequential):
        if not model.built or not model.inputs:
            raise MappingError(
                f"model {model.name}",
                "is sequential and does not say the shape of its input",
                "Begin it with keras.Input(shape), or call it once, and save it again",
            )
        if not any(_is_model(layer) for layer in model.layers):
            return tf_keras.Model(model.inputs, model.outputs, name=model.name)
    elif not any(_is_model(layer) for layer in model.layers):
        return model
    return _Flattening().model(model)


def _is_model(layer: Layer) -> bool:
    return hasattr(layer, "layers")


class _Flattening:
    """Repeats the calls of a model, and of the models in it, with copies of their layers."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[Any, list[Any]]] = {}
        self.called: set[int] = set()

    def model(self, model: Model) -> Any:
        inputs = [tf_keras.Input(tensor.shape[1:], name=tensor.node.layer.name) for tensor in model.inputs]
        self.made = {tensor.node.layer.name: (None, []) for tensor in model.inputs}
        outputs = self.call(model, inputs, "")
        flat = tf_keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)
        for layer, weights in self.made.values():
            if layer is not None:
                layer.set_weights(weights)
        return flat

    def call(self, model: Model, inputs: list[Any], prefix: str) -> list[Any]:
        """Outputs of a model for tensors in the place of its inputs."""
        if not getattr(model, "_nodes_by_depth", None):
            raise MappingError(
                f"layer {model.name} ({type(model).__name__})",
                "is a model of its own code, not a graph of layers",
                "Build it with keras.Model(inputs, outputs), or sequentially from keras.Input(shape)",
            )
        values = {id(tensor): value for tensor, value in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                sources = [values[id(tensor)] for tensor in node.keras_inputs]
                if _is_model(node.layer):
                    results = self.call(node.layer, sources, f"{prefix}{node.layer.name}_")
                else:
                    results = [self.layer(node.layer, sources, prefix)]
                for tensor, result in zip(tf.nest.flatten(node.outputs), results, strict=True):
                    values[id(tensor)] = result
        return [values[id(tensor)] for tensor in model.outputs]

    def layer(self, layer: Layer, sources: list[Any], prefix: str) -> Any:
        name = layer.name if layer.name not in self.made else f"{prefix}{layer.name}"
        if id(layer) in self.called:
            raise MappingError(
                f"layer {layer.name} ({type(layer).__name__})",
                "is called more than once in the model",
                "Give every place a layer of its own (firmware does not share weights)",
            )
        self.called.add(id(layer))
        copy = fresh(layer, name=name)
        result = copy(sources if len(sources) > 1 else sources[0])
        self.made[name] = (copy, layer.get_weights())
        return result


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
    """Unbuilt copy of a layer, with changes to its configuration.

    It has the layer's own quantizers where these are not changed: QKeras does not write all that they are
    told into a configuration (``is_quantized_clip``, ``scale_axis``).
    """
    copy = type(layer).from_config({**layer.get_config(), **changes})
    for name, value in vars(layer).items():
        inside = name in ("quantizer", "activation") and hasattr(value, "get_config")
        if inside or name.endswith("_quantizer_internal"):
            key = "activation" if inside else name.removesuffix("_internal")
            if key not in changes:
                setattr(copy, name, value)
    return copy


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
