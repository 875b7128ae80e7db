"""Reducing a trained model to the layers that firmware has: no normalization, no dropout."""

from typing import Any

import numpy as np

from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.models.front import scale_and_offset
from trigger_ml.models.graph import Step, consumers, fresh, rebuild, steps
from trigger_ml.models.layers import AFFINE, IDENTITY

__all__ = ["fold_batch_norm"]


def fold_batch_norm(model: Model) -> Any:
    """Model of the same function, with batch normalization folded into the weights before it.

    In inference a normalization is ``y = x * s + (beta - mean * s)`` with
    ``s = gamma / sqrt(variance + epsilon)`` per channel, so ``s`` multiplies the kernel of the layer
    before it. Dropout and linear activations go, and a ReLU inside a layer becomes a layer of its own,
    named ``<layer>_relu``.

    Parameters
    ----------
    model : tf_keras.Model
        Functional, with linear outputs.

    Returns
    -------
    tf_keras.Model
        Of the layers Conv2D, DepthwiseConv2D, Dense (all linear, with bias), ReLU, Add, pooling,
        ZeroPadding2D and Flatten. Equal to ``model`` up to float32 rounding.

    Raises
    ------
    MappingError
        Naming a normalization that follows no linear layer of its own, or a layer or activation
        that firmware has no equivalent of.
    """
    weights = _folded_weights(model)
    relus = {step.name for step in steps(model) if _is_relu(step)}
    made: dict[str, Any] = {}

    def make(step: Step, sources: list[Any]) -> Any:
        if step.kind == "InputLayer":
            return tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
        if step.kind in IDENTITY or step.kind == "BatchNormalization":
            return sources[0]
        if step.kind in AFFINE:
            made[step.name] = fresh(step.layer, activation="linear", use_bias=True)
            x = made[step.name](sources[0])
            return tf_keras.layers.ReLU(name=f"{step.name}_relu")(x) if step.name in relus else x
        if step.kind in ("ReLU", "Activation"):
            return tf_keras.layers.ReLU(name=step.name)(sources[0]) if step.name in relus else sources[0]
        return fresh(step.layer)(sources if len(sources) > 1 else sources[0])

    folded = rebuild(model, make)
    for name, layer in made.items():
        layer.set_weights(weights[name])
    return folded


def _is_relu(step: Step) -> bool:
    """Whether a layer is, or ends with, a plain ReLU; other non-linearities are refused."""
    if step.kind == "ReLU":
        config = step.layer.get_config()
        if config["max_value"] is not None or config["negative_slope"] or config["threshold"]:
            raise MappingError(step.name, "is a clipped, leaky or shifted ReLU", "Use a plain ReLU")
        return True
    name = getattr(getattr(step.layer, "activation", None), "__name__", "linear")
    if name not in ("linear", "relu"):
        raise MappingError(step.name, f"has the activation {name}", "Use relu, or linear for the output")
    return name == "relu"


def _folded_weights(model: Model) -> dict[str, list[Any]]:
    """Kernel and bias of every affine layer, with the normalizations after it multiplied in."""
    readers = consumers(model)
    weights: dict[str, list[Any]] = {}
    ends: dict[str, str] = {}  # layers that pass their input on, and the affine layer it comes from
    for step in steps(model):
        if step.kind in AFFINE:
            kernel = np.asarray(step.layer.get_weights()[0], dtype=np.float64)
            bias = (
                step.layer.get_weights()[1] if step.layer.use_bias else np.zeros(step.layer.output_shape[-1])
            )
            weights[step.name] = [kernel, np.asarray(bias, dtype=np.float64)]
            if not _is_relu(step):
                ends[step.name] = step.name
        elif step.kind == "BatchNormalization":
            source = ends.get(step.inputs[0])
            if source is None or len(readers[step.inputs[0]]) > 1:
                raise MappingError(
                    step.name,
                    f"normalizes the output of {step.inputs[0]}, which is no linear layer read by it alone",
                    "Put normalization directly after a convolution or dense layer, before its ReLU",
                )
            scale, offset = scale_and_offset(step.layer)
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
