"""CTLearn's Keras 3 models as flat tf_keras models of the same function.

CTLearn nests a backbone model inside the full one and ends with a softmax over (background, gamma).
The twin has one functional graph and ends with one logit, so that it can be compressed like any other.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from trigger_ml.core.errors import MappingError
from trigger_ml.core.foreign import reading
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Model
from trigger_ml.models.front import scale_and_offset
from trigger_ml.models.heads import without_squashing
from trigger_ml.models.layers import IDENTITY, SETTINGS
from trigger_ml.models.standin import stand_in
from trigger_ml.models.topology import require_harmless, topology

__all__ = ["flat_twin", "from_keras3", "load_keras3", "one_output", "read_keras3"]


def read_keras3(path: Path, weights: Path | None = None) -> Any:
    """Read a Keras 3 file as its owner's framework does.

    Parameters
    ----------
    path : Path
        A whole model, or a topology (``.json``).
    weights : Path, optional
        HDF5 file of the weights of a topology.

    Raises
    ------
    InputError
        If the file is missing or is no Keras model.
    """
    import keras

    require_harmless(topology(path)[0], str(path))
    with reading(path, "Keras 3 model", "Save it again with model.save('x.keras')"):
        if weights is None:
            return keras.models.load_model(path, compile=False, safe_mode=True)
        model = keras.models.model_from_json(path.read_text(encoding="utf-8"))
        model.load_weights(weights)
        return model


def load_keras3(path: Path) -> Any:
    """Read a Keras 3 file and convert it; see :func:`read_keras3` and :func:`from_keras3`."""
    return from_keras3(read_keras3(path))


def from_keras3(model: Model) -> Any:
    """Flat tf_keras model of the same function, with a linear output.

    A two-class softmax whose column 1 means gamma (CTLearn's order) becomes the logit ``z[1] - z[0]``; see
    :func:`flat_twin` for all else.
    """
    return without_squashing(flat_twin(model))


def one_output(model: Model, names: Collection[str]) -> Any:
    """The model of one of a model's outputs: CTLearn trains several tasks in one.

    Parameters
    ----------
    model : keras.Model
        Keras 3.
    names : collection of str
        Of the output that is wanted, any of them: in CTLearn's models the task is the name of its last dense
        layer, and of the entry in the model's answer.

    Returns
    -------
    keras.Model
        ``model`` itself if it has one output.

    Raises
    ------
    MappingError
        If none, or more than one, of several outputs has such a name.
    """
    import keras

    answer = getattr(model, "output", None)
    if not isinstance(answer, dict) or len(answer) < 2:
        return model
    found = [name for name in answer if name in names]
    if len(found) != 1:
        raise MappingError(
            f"model {model.name}",
            f"has the outputs {', '.join(answer)}, of which {len(found)} are {' or '.join(names)}",
            "Give a model of the run's task, or set `task` to one that it has",
        )
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return keras.Model(inputs, answer[found[0]], name=model.name)


def flat_twin(model: Model, refusals: list[MappingError] | None = None) -> Model:
    """Flat tf_keras model of the same function, its softmax or sigmoid included.

    Parameters
    ----------
    model : keras.Model
        Keras 3, functional or sequential; models inside it are flattened. One input, one output.
    refusals : list of MappingError, optional
        Takes what would be raised for layers, which then have stand-ins (see `trigger_ml.models.standin`).

    Returns
    -------
    tf_keras.Model
        Layers keep their names; where two inner models use the same one, the inner model's name is put
        before it.

    Raises
    ------
    MappingError
        Naming the layer that has no equivalent.
    """
    if not getattr(model, "built", True) or not getattr(model, "inputs", None):
        raise MappingError(
            model.name, "does not say the shape of its input", "Begin it with keras.Input(shape), and save it"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise MappingError(
            model.name, f"has {len(model.inputs)} inputs and {len(model.outputs)} outputs", "Use one of each"
        )
    converter = _Converter(refusals)
    counts = tf_keras.Input(model.inputs[0].shape[1:], name="counts")
    (output,) = converter.call(model, [counts], "")
    twin = tf_keras.Model(counts, output, name="model")
    for layer, weights in converter.made:
        layer.set_weights(weights)
    return twin


class _Converter:
    """Repeats a Keras 3 model's calls with tf_keras layers."""

    def __init__(self, refusals: list[MappingError] | None = None) -> None:
        self.refusals = refusals
        self.made: list[tuple[Any, list[Any]]] = []
        self.names: set[str] = {"counts"}

    def call(self, model: Model, inputs: list[Any], prefix: str) -> list[Any]:
        """Outputs of a (nested) functional or sequential model."""
        model = getattr(model, "_functional", model)
        if not hasattr(model, "_nodes_by_depth"):
            raise MappingError(
                model.name, "is no functional model", "Build it with keras.Model(inputs, outputs)"
            )
        values = {id(tensor): value for tensor, value in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                operation = node.operation
                if type(operation).__name__ == "InputLayer":
                    continue
                sources = [values[id(tensor)] for tensor in node.input_tensors]
                if hasattr(getattr(operation, "_functional", operation), "_nodes_by_depth"):
                    results = self.call(operation, sources, f"{prefix}{operation.name}_")
                else:
                    results = [self._layer_or_stand_in(operation, sources, prefix, node)]
                for tensor, result in zip(node.outputs, results, strict=True):
                    values[id(tensor)] = result
        return [values[id(tensor)] for tensor in model.outputs]

    def _layer_or_stand_in(self, layer: Layer, sources: list[Any], prefix: str, node: Any) -> Any:
        try:
            return self._layer(layer, sources, prefix)
        except MappingError as error:
            if self.refusals is None:
                raise
            self.refusals.append(error)
            found = stand_in(f"{prefix}{layer.name}", sources, tuple(node.outputs[0].shape[1:]))
            if found is None:
                raise
            return found

    def _layer(self, layer: Layer, sources: list[Any], prefix: str) -> Any:
        kind = type(layer).__name__
        name = layer.name if layer.name not in self.names else f"{prefix}{layer.name}"
        if kind not in SETTINGS:
            raise MappingError(
                f"layer {prefix}{layer.name}",
                f"{kind} is no layer that is taken over from Keras 3",
                "Build the model of " + ", ".join(k for k in SETTINGS if k not in IDENTITY),
            )
        if name in self.names:
            raise MappingError(f"layer {name}", "is called more than once", "Use a layer for each place")
        self.names.add(name)
        config = layer.get_config()
        settings = {key: config[key] for key in SETTINGS[kind]}
        if "activation" in config:
            settings["activation"] = config["activation"]
            if not isinstance(config["activation"], str):
                raise MappingError(f"layer {name}", "has an activation of its own", "Use a named activation")
        if config.get("data_format", "channels_last") != "channels_last":
            raise MappingError(f"layer {name}", "is not channels_last", "Build the model with channels last")
        if kind in ("Rescaling", "Normalization"):
            # both are one factor and one summand for each channel, and have nothing to be trained
            scale, offset = scale_and_offset(layer)
            return tf_keras.layers.Rescaling(scale.tolist(), offset.tolist(), name=name)(sources[0])
        twin = getattr(tf_keras.layers, kind)(**settings, name=name)
        result = twin(sources if len(sources) > 1 else sources[0])
        self.made.append((twin, [np.asarray(w) for w in layer.get_weights()]))
        return result
