"""Reducing a trained model to the layers that firmware has: no normalization, no dropout."""

import numpy as np
from numpy.typing import NDArray

from trigger_ml.compression.split import split_layers
from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Model, Tensor
from trigger_ml.models.front import Pending, absorbed, scale_and_offset
from trigger_ml.models.graph import Step, consumers, fresh, rebuild, steps
from trigger_ml.models.layers import AFFINE, CURVES, IDENTITY, is_plain_relu

__all__ = ["fold_batch_norm"]

type FloatArray = NDArray[np.floating]


def fold_batch_norm(model: Model) -> Model:
    """Model of the same function, with batch normalization folded into the weights before it.

    In inference a normalization is ``y = x * s + (beta - mean * s)`` with
    ``s = gamma / sqrt(variance + epsilon)`` per channel, so ``s`` multiplies the kernel of the layer
    before it. One that follows something else goes into the weights behind it, or becomes a depthwise
    convolution of 1 x 1 (of a vector: a dense layer of a diagonal) of its own name. Dropout and linear
    activations go, and an activation inside a layer becomes a layer of its own, named ``<layer>_relu``,
    ``<layer>_sigmoid`` and so on.

    Parameters
    ----------
    model : tf_keras.Model
        Functional, with linear outputs.

    Returns
    -------
    tf_keras.Model
        Of the layers Conv2D, DepthwiseConv2D, Dense (all linear, with bias), ReLU, Activation (sigmoid or
        tanh), and layers without weights. Equal to ``model`` up to float32 rounding.

    Raises
    ------
    MappingError
        Naming an activation of another kind.
    """
    model = split_layers(model)
    weights = _folded_weights(model)
    activations = {step.name: _activation(step) for step in steps(model)}
    made: dict[str, Layer] = {}

    def make(step: Step, sources: list[Tensor]) -> Tensor:
        if step.kind == "InputLayer":
            return tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
        if step.kind in IDENTITY or (step.kind == "BatchNormalization" and step.name not in weights):
            return sources[0]
        if step.kind == "BatchNormalization":
            made[step.name] = _factors(step)
            return made[step.name](sources[0])
        if step.kind in AFFINE:
            made[step.name] = fresh(step.layer, activation="linear", use_bias=True)
            x = made[step.name](sources[0])
            kind = activations[step.name]
            return _activated(x, kind, f"{step.name}_{kind}")
        if step.kind == "Activation" or is_plain_relu(step.layer):
            return _activated(sources[0], activations[step.name], step.name)
        return fresh(step.layer)(sources if len(sources) > 1 else sources[0])

    folded = rebuild(model, make)
    for name, layer in made.items():
        layer.set_weights(weights[name])
    return folded


def _activation(step: Step) -> str:
    """What a layer is or ends with: ``linear``, ``relu``, or a curve; others are refused."""
    if step.kind == "ReLU":
        return "relu" if is_plain_relu(step.layer) else "linear"
    name = getattr(getattr(step.layer, "activation", None), "__name__", "linear")
    if name not in ("linear", "relu", *CURVES):
        raise MappingError(
            step.name,
            f"has the activation {name}",
            f"Use relu, {' or '.join(CURVES)}, or none",
        )
    return str(name)


def _factors(step: Step) -> Layer:
    """The layer of one factor and one summand for each channel."""
    if len(step.layer.output_shape) == 4:
        return tf_keras.layers.DepthwiseConv2D(1, name=step.name)
    return tf_keras.layers.Dense(step.layer.output_shape[-1], name=step.name)


def _activated(x: Tensor, kind: str, name: str) -> Tensor:
    if kind == "linear":
        return x
    if kind == "relu":
        return tf_keras.layers.ReLU(name=name)(x)
    return tf_keras.layers.Activation(kind, name=name)(x)


def _takes(step: Step, offset: FloatArray) -> bool:
    """Whether a layer's weights can take a factor and a summand of what it reads, exactly."""
    if step.kind not in AFFINE:
        return False
    return step.kind == "Dense" or step.layer.padding == "valid" or not np.any(offset)


def _own_weights(step: Step, scale: FloatArray, offset: FloatArray) -> list[FloatArray]:
    """Kernel and bias of a normalization that no linear layer of its own stands before."""
    rank = len(step.layer.output_shape)
    if rank == 4:
        return [scale.reshape(1, 1, -1, 1), offset]
    if rank == 2:
        return [np.diag(scale), offset]
    raise MappingError(
        step.name,
        f"normalizes a series after {step.inputs[0]}, which is no linear layer read by it alone",
        "Put normalization directly after a convolution, before its ReLU",
    )


def _folded_weights(model: Model) -> dict[str, list[FloatArray]]:
    """Kernel and bias of every affine layer, with the normalizations around it multiplied in."""
    readers = consumers(model)
    weights: dict[str, list[FloatArray]] = {}
    ahead: dict[str, Pending] = {}  # normalizations that go into the layers behind them
    ends: dict[str, str] = {}  # layers that pass their input on, and the affine layer it comes from
    for step in steps(model):
        if step.kind in AFFINE:
            before = ahead.get(step.inputs[0])
            own = step.layer.get_weights() if before is None else absorbed(step, before)
            kernel, bias = own if len(own) == 2 else (own[0], np.zeros(step.layer.output_shape[-1]))
            weights[step.name] = [np.asarray(w, dtype=np.float64) for w in (kernel, bias)]
            if _activation(step) == "linear":
                ends[step.name] = step.name
        elif step.kind == "BatchNormalization":
            source = ends.get(step.inputs[0])
            scale, offset = scale_and_offset(step.layer)
            if source is None or len(readers[step.inputs[0]]) > 1:
                behind = [] if step.name in model.output_names else readers[step.name]
                if behind and all(_takes(reader, offset) for reader in behind):
                    ahead[step.name] = Pending(scale, offset)
                else:
                    weights[step.name] = _own_weights(step, scale, offset)
                continue
            kernel, bias = weights[source]
            if model.get_layer(source).__class__.__name__ == "DepthwiseConv2D":
                weights[source] = [kernel * scale.reshape(kernel.shape[2:]), bias * scale + offset]
            else:
                weights[source] = [kernel * scale, bias * scale + offset]
            ends[step.name] = source
        elif step.kind in IDENTITY and len(readers[step.inputs[0]]) == 1:
            passed_on = ends.get(step.inputs[0])
            ends |= {} if passed_on is None else {step.name: passed_on}
    return weights
