"""From a float model to the compressed one: prune, fold, quantize, fine-tune, strip, prove."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
from numpy.typing import ArrayLike, NDArray

from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.compression.pruning import (
    LayerSparsity,
    apply_masks,
    kernel,
    layer_sparsity,
    masks,
    pruned_step,
    sparsities,
    strip,
    wrap,
)
from trigger_ml.compression.quantization import quantized_twin, snap_weights
from trigger_ml.compression.split import split_layers
from trigger_ml.core.config import CompressionConfig, PruningConfig
from trigger_ml.core.fixed_point import FixedPoint, input_values
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.core.task import Task
from trigger_ml.models.batches import predict
from trigger_ml.models.heads import without_squashing
from trigger_ml.models.training import History, Plan, fit

__all__ = ["CompressionResult", "compress", "softened"]

_CALIBRATION_EVENTS = 2000


@dataclass(frozen=True, eq=False)
class CompressionResult:
    """The compressed model and the proof of its sparsity.

    Parameters
    ----------
    model : tf_keras.Model
        QKeras; its weights lie exactly on the fixed-point grid.
    layers : tuple of LayerSparsity
        Counted on the integers.
    history : History
        Of the fine-tuning; its metrics hold the ``sparsity`` after each epoch.
    pruning_history : History or None
        Of the pruning of the float model, when there was any.
    """

    model: Model
    layers: tuple[LayerSparsity, ...]
    history: History
    pruning_history: History | None = None

    @property
    def sparsity(self) -> float:
        """Fraction of all weights that are zero in firmware."""
        zeros = sum(row.pruned + row.rounded for row in self.layers)
        return zeros / sum(row.weights for row in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Sparsity, layers and history as a plain dictionary for JSON."""
        return {
            "sparsity": self.sparsity,
            "layers": [row.to_dict() for row in self.layers],
            "history": self.history.to_dict(),
            "pruning_history": self.pruning_history and self.pruning_history.to_dict(),
        }


def compress(
    model: Model,
    counts: NDArray[np.unsignedinteger],
    y: ArrayLike,
    validation: tuple[NDArray[np.unsignedinteger], ArrayLike],
    config: CompressionConfig,
    *,
    input_type: FixedPoint,
    seed: int,
    directory: Path,
    task: Task = "type",
    regression_loss: str = "huber",
    tensorboard: bool = True,
    symmetries: NDArray[np.int64] | None = None,
) -> CompressionResult:
    """Compress a float model.

    The float model is pruned, its normalization folded (with averages measured for the pruned weights, see
    `trigger_ml.models.normalization`), a quantized twin calibrated on training events, and the twin
    fine-tuned at the same sparsity; or the twin is pruned while it is fine-tuned (see
    :class:`~trigger_ml.core.config.PruningConfig`). Weights of an epoch are kept only if they have the
    full sparsity; among those epochs the one of least validation loss. An interrupted training is resumed
    (see :func:`~trigger_ml.models.training.train`).

    Parameters
    ----------
    model : tf_keras.Model
        Float, trained; not changed.
    counts : numpy.ndarray of uint8 or uint16, shape (events, height, width, channels)
        Training events.
    y : array_like, shape (events,) or (events, outputs)
    validation : tuple
        Counts and targets.
    config : CompressionConfig
    input_type : FixedPoint
        Of the counts; the model takes ``counts * 2**-fraction``.
    seed : int
    directory : Path
        For the checkpoint and the TensorBoard logs.
    task : {'type', 'energy', 'direction'}
    regression_loss : {'huber', 'mse'}
    tensorboard : bool
    symmetries : numpy.ndarray of int64, shape (n, height * width), optional
        Of the camera, for the training (see :class:`~trigger_ml.models.training.Plan`).

    Returns
    -------
    CompressionResult

    Raises
    ------
    MappingError
        If the model holds a layer without fixed-point equivalent.
    ConfigError
        If the configuration names layers that the model has not.
    StageError
        If the loss is not finite, or a layer misses its sparsity.
    """
    model = split_layers(without_squashing(model))
    bits = input_type.fraction
    target = softened(model, counts, y, config.distillation, bits, task)
    training = _Training(counts, target, validation, config, directory, tensorboard)
    plan = Plan(
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        task=task,
        regression_loss=regression_loss,
        bits=bits,
        seed=seed,
        identity=config.model_dump_json(),
        symmetries=symmetries,
    )
    pruning, pruning_history = config.pruning, None
    asked = sparsities(model, pruning) if pruning.sparsity > 0 else {}
    if pruning.sparsity > 0 and pruning.epochs > 0:
        first = replace(plan, epochs=pruning.epochs, learning_rate=pruning.learning_rate, label="pruning")
        pruned = tf_keras.models.clone_model(model)
        pruned.set_weights(model.get_weights())
        model, pruning_history, _ = training.run(pruned, first, pruning, asked, "pruning")
        # the removed weights are zero, so that this takes up the same masks at the first step
        pruning = pruning.model_copy(update={"schedule": "constant", "begin": 0.0})

    chosen = np.random.default_rng([seed, 2]).permutation(len(counts))[:_CALIBRATION_EVENTS]
    calibration = input_values(counts[np.sort(chosen)], bits)
    twin = quantized_twin(fold_batch_norm(model), config.quantization, input_type, calibration)
    second = replace(plan, label="fine-tuning")
    twin, history, kept = training.run(twin, second, pruning, asked, "fine-tuning")
    table = layer_sparsity(twin, kept, asked)
    snap_weights(twin)
    return CompressionResult(twin, table, history, pruning_history)


@dataclass(frozen=True, eq=False)
class _Training:
    """What both trainings share."""

    counts: NDArray[Any]
    target: NDArray[np.float32]
    validation: tuple[NDArray[Any], ArrayLike]
    config: CompressionConfig
    directory: Path
    tensorboard: bool

    def run(
        self, model: Model, plan: Plan, pruning: PruningConfig, asked: Mapping[str, float], name: str
    ) -> tuple[Any, History, dict[str, Any]]:
        """Train a model in place, pruning it where asked; the model, its history and the masks."""
        feed = (self.counts, self.target, self.validation)
        place = self.directory / name
        if not any(asked.values()):
            history = fit(model, *feed, plan, directory=place, tensorboard=self.tensorboard)
            return model, history, {}
        steps_per_epoch = math.ceil(len(self.counts) / plan.batch_size)
        wrapped = wrap(model, pruning, plan.epochs * steps_per_epoch, asked)
        last = pruned_step(pruning, plan.epochs * steps_per_epoch)
        total = sum(int(np.prod(kernel(model.get_layer(name)).shape)) for name in asked)

        def after_epoch() -> dict[str, float]:
            ended = int(wrapped.optimizer.iterations) >= last
            apply_masks(wrapped, asked if ended else None)
            gone = sum(float((mask == 0).sum()) for mask in masks(wrapped).values())
            return {"sparsity": gone / total}

        plan = replace(
            plan,
            eligible_from=math.ceil(last / steps_per_epoch) - 1,
            callbacks=(tfmot.sparsity.keras.UpdatePruningStep(),),
            after_epoch=after_epoch,
        )
        history = fit(wrapped, *feed, plan, directory=place, tensorboard=self.tensorboard)
        kept = masks(wrapped)
        return strip(wrapped, model), history, kept


def softened(
    teacher: Model, counts: NDArray[Any], y: ArrayLike, share: float, bits: int, task: Task
) -> NDArray[np.float32]:
    """Targets mixed with the float model's predictions (Hinton et al. 2015, arXiv:1503.02531).

    Parameters
    ----------
    teacher : tf_keras.Model
    counts : numpy.ndarray of uint8 or uint16, shape (events, height, width, channels)
    y : array_like, shape (events,) or (events, outputs)
    share : float
        Of the teacher's predictions.
    bits : int
    task : {'type', 'energy', 'direction'}

    Returns
    -------
    numpy.ndarray of float32, shape (events, outputs)
    """
    target = np.asarray(y, dtype=np.float32).reshape(len(counts), -1)
    if share == 0 or not len(counts):
        return target
    output = predict(teacher, counts, bits)
    if task == "type":
        output = 1 / (1 + np.exp(-np.clip(output, -30, 30)))
    return ((1 - share) * target + share * output).astype(np.float32)
