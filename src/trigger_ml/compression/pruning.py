"""Magnitude pruning with tensorflow-model-optimization, and what came of it layer by layer."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot

from trigger_ml.compression.allocation import allocate, removed
from trigger_ml.core.config import PruningConfig
from trigger_ml.core.errors import ConfigError, StageError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Model
from trigger_ml.models.quantized import integer_weights, quantized_weights

__all__ = [
    "LayerSparsity",
    "apply_masks",
    "integer_kernel",
    "kernel",
    "layer_sparsity",
    "masks",
    "pruned_step",
    "pruning_schedule",
    "sparsities",
    "strip",
    "wrap",
]

_KERNELS = (
    tf_keras.layers.Conv2D,
    tf_keras.layers.DepthwiseConv2D,
    tf_keras.layers.Dense,
    tf_keras.layers.Conv1D,
)  # QKeras' too


@dataclass(frozen=True)
class LayerSparsity:
    """Zeros among one layer's weights (the kernel; biases are never pruned).

    Parameters
    ----------
    layer : str
    weights : int
        Number of weights.
    pruned : int
        Zero because pruning removed them.
    rounded : int
        Zero only because they are smaller than half a last bit.
    asked : float
        Sparsity that pruning was to reach; 0 for a layer that is not pruned.
    bits : int
        Width of the smallest signed type that holds the layer's integers.
    """

    layer: str
    weights: int
    pruned: int
    rounded: int
    asked: float
    bits: int

    @property
    def sparsity(self) -> float:
        """Fraction of the weights that are zero in firmware."""
        return (self.pruned + self.rounded) / self.weights

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON, the sparsity included."""
        return {**asdict(self), "sparsity": self.sparsity}


def prunable(model: Model, config: PruningConfig) -> list[str]:
    """Names of the layers to prune: all with a kernel, but for ``config.skip``.

    Raises
    ------
    ConfigError
        If ``skip`` names a layer that the model has not.
    """
    names = [layer.name for layer in model.layers if isinstance(layer, _KERNELS)]
    for name in config.skip:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            remedy = f"Did you mean `{near[0]}`?" if near else f"The layers are: {', '.join(names)}"
            raise ConfigError(f"compression.pruning.skip: {name}", "no such layer", remedy)
    return [name for name in names if name not in config.skip]


def sparsities(model: Model, config: PruningConfig) -> dict[str, float]:
    """Sparsity that pruning is to reach in each layer, from the weights as they are.

    Parameters
    ----------
    model : tf_keras.Model
        Before it is pruned.
    config : PruningConfig

    Returns
    -------
    dict of str to float
        Without the layers of ``config.skip``.

    Raises
    ------
    ConfigError
        If ``skip`` names a layer that the model has not.
    """
    kernels = {name: kernel(model.get_layer(name)).numpy() for name in prunable(model, config)}
    return allocate(kernels, config.sparsity, config.allocation)


def kernel(layer: Layer) -> Any:
    """The variable that pruning acts on."""
    return layer.depthwise_kernel if isinstance(layer, tf_keras.layers.DepthwiseConv2D) else layer.kernel


def pruned_step(config: PruningConfig, steps: int) -> int:
    """Step (from 1) in whose forward pass the masks reach the sparsity asked."""
    last = config.end if config.schedule == "polynomial" else config.begin
    return _update_step(last * steps, config, steps)


def _frequency(config: PruningConfig, steps: int) -> int:
    """Steps between mask updates: as configured, but at least ten updates within the schedule."""
    return min(config.frequency, max(1, int((config.end - config.begin) * steps) // 10))


def _update_step(step: float, config: PruningConfig, steps: int) -> int:
    """Next step at which masks can be updated.

    An end between two updates would leave the schedule short of the sparsity asked, so begin and end
    are both put on the grid of updates.
    """
    frequency = _frequency(config, steps)
    return 1 + frequency * math.ceil(max(0.0, step - 1) / frequency)


def pruning_schedule(config: PruningConfig, steps: int, sparsity: float) -> Any:
    """The library's schedule for a layer, in a training of so many steps.

    Raises
    ------
    StageError
        If there are too few steps to end the schedule.
    """
    begin, end = _update_step(config.begin * steps, config, steps), pruned_step(config, steps)
    frequency = _frequency(config, steps)
    if end > steps:
        raise StageError(
            "pruning",
            f"its last update would be at step {end} of {steps}",
            "Train on more events or for more epochs, or lower compression.pruning.end",
        )
    if config.schedule == "polynomial" and end > begin:
        return tfmot.sparsity.keras.PolynomialDecay(
            0.0, sparsity, begin_step=begin, end_step=end, frequency=frequency
        )
    return tfmot.sparsity.keras.ConstantSparsity(sparsity, begin_step=begin, frequency=frequency)


def wrap(model: Model, config: PruningConfig, steps: int, asked: Mapping[str, float]) -> Any:
    """Copy of a model whose layers prune themselves while they are trained.

    Parameters
    ----------
    model : tf_keras.Model
        Float or quantized.
    config : PruningConfig
    steps : int
        Training steps to come.
    asked : mapping of str to float
        Sparsity by layer (see :func:`sparsities`); a layer that loses no weight is not wrapped.

    Returns
    -------
    tf_keras.Model
        To be trained with ``tfmot.sparsity.keras.UpdatePruningStep()`` among the callbacks.

    Raises
    ------
    StageError
        If there are too few steps to end the schedule.
    """

    def with_pruning(layer: Layer) -> Any:
        copy, sparsity = layer.__class__.from_config(layer.get_config()), asked.get(layer.name, 0.0)
        if sparsity == 0:
            return copy
        schedule = pruning_schedule(config, steps, sparsity)
        if isinstance(copy, tf_keras.layers.DepthwiseConv2D):
            # the library prunes nothing of a depthwise layer unless the layer itself says what
            copy.get_prunable_weights = lambda: [copy.depthwise_kernel]
        return tfmot.sparsity.keras.prune_low_magnitude(copy, pruning_schedule=schedule)

    wrapped = tf_keras.models.clone_model(model, clone_function=with_pruning)
    for layer in wrapped.layers:
        source = layer.layer.name if hasattr(layer, "pruning_vars") else layer.name
        if weights := model.get_layer(source).get_weights():
            layer.set_weights(weights)
    return wrapped


def masks(wrapped: Layer) -> dict[str, Any]:
    """Mask of each pruned layer: 1 where the weight stays."""
    return {
        layer.layer.name: layer.pruning_vars[0][1].numpy()
        for layer in wrapped.layers
        if hasattr(layer, "pruning_vars")
    }


def apply_masks(wrapped: Layer, asked: Mapping[str, float] | None = None) -> None:
    """Set the masked weights to zero: the last step of an optimizer moved them away from it.

    Parameters
    ----------
    wrapped : tf_keras.Model
        From :func:`wrap`.
    asked : mapping of str to float, optional
        Sparsity by layer, once the schedule has ended: make each mask remove exactly the weights that
        `trigger_ml.compression.allocation.removed` says. Among weights of equal magnitude (many may sit at
        the limit of their range) the library keeps all.
    """
    for layer in wrapped.layers:
        for weight, mask, _ in getattr(layer, "pruning_vars", ()):
            masked = (weight * mask).numpy()
            if asked is not None:
                settled = np.ones(masked.size, dtype=np.float32)
                order = np.argsort(np.abs(masked), axis=None, kind="stable")
                settled[order[: removed(masked.size, asked[layer.layer.name])]] = 0.0
                mask.assign(settled.reshape(masked.shape))
                masked *= settled.reshape(masked.shape)
            weight.assign(masked)


def strip(wrapped: Layer, model: Model) -> Any:
    """Write the weights of a pruning model into the model that it was made from.

    Parameters
    ----------
    wrapped : tf_keras.Model
        From :func:`wrap`, trained.
    model : tf_keras.Model
        Gets the trained weights with the masks applied.

    Returns
    -------
    tf_keras.Model
        ``model``
    """
    apply_masks(wrapped)
    stripped = tfmot.sparsity.keras.strip_pruning(wrapped)
    for layer in stripped.layers:
        if weights := layer.get_weights():
            model.get_layer(layer.name).set_weights(weights)
    return model


def integer_kernel(layer: Layer) -> tuple[Any, Any] | None:
    """Kernel of a quantized layer, as float weights and as the integers that firmware gets.

    Returns
    -------
    tuple of numpy.ndarray (float32, int64), or None for a layer without kernel
    """
    parts = quantized_weights(layer)
    if not parts:
        return None
    kernel = parts[0]
    integers, _ = integer_weights(layer, kernel.variable, kernel.quantizer, kernel.role)
    return kernel.variable.numpy(), integers


def layer_sparsity(
    model: Model, kept: Mapping[str, Any], asked: Mapping[str, float]
) -> tuple[LayerSparsity, ...]:
    """Zeros of every layer of a quantized model, counted on the integers that firmware gets.

    Parameters
    ----------
    model : tf_keras.Model
        Stripped.
    kept : mapping of str to array
        Masks of the pruned layers (see :func:`masks`).
    asked : mapping of str to float
        Sparsity by layer.

    Returns
    -------
    tuple of LayerSparsity

    Raises
    ------
    StageError
        If a masked weight is not zero, or a layer has fewer zeros than asked.
    """
    table = []
    for layer in model.layers:
        found = integer_kernel(layer)
        if found is None:
            continue
        kernel, integers = found
        zero = integers == 0
        mask = kept.get(layer.name)
        sparsity = 0.0 if mask is None else asked[layer.name]
        gone = np.zeros_like(zero) if mask is None else mask == 0
        if (gone & (kernel != 0)).any():
            raise StageError(
                f"layer {layer.name}", "a pruned weight is not zero", "This is a defect: report it"
            )
        row = LayerSparsity(
            layer=layer.name,
            weights=int(zero.size),
            pruned=int(gone.sum()),
            rounded=int((zero & ~gone).sum()),
            asked=sparsity,
            bits=FixedPoint.holding(min(-1, int(integers.min())), int(integers.max()), 0).width,
        )
        if mask is not None and row.pruned + row.rounded < removed(row.weights, sparsity):
            raise StageError(
                f"layer {row.layer}",
                f"pruning reached {row.sparsity:.3f} instead of {sparsity:.3f}",
                "Fine-tune for more epochs, or begin pruning earlier",
            )
        table.append(row)
    return tuple(table)
