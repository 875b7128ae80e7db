"""The float control: what the extra epochs of compression alone make of a float model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.compression.compress import softened
from trigger_ml.core.config import CompressionConfig
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.core.task import Task
from trigger_ml.models.heads import without_squashing
from trigger_ml.models.training import History, Plan, fit

__all__ = ["Control", "train_control"]


@dataclass(frozen=True, eq=False)
class Control:
    """A float model that had the epochs of compression.

    Parameters
    ----------
    model : tf_keras.Model
    histories : dict of str to History
        Of each training, by the name of the step that it stands for: ``1-prune``, ``4-fine-tune``.
    """

    model: Model
    histories: dict[str, History]

    def to_dict(self) -> dict[str, Any]:
        """The histories as a plain dictionary for JSON."""
        return {name: history.to_dict() for name, history in self.histories.items()}


def train_control(
    model: Model,
    counts: NDArray[np.unsignedinteger],
    y: ArrayLike,
    validation: tuple[NDArray[np.unsignedinteger], ArrayLike],
    config: CompressionConfig,
    *,
    bits: int,
    seed: int,
    directory: Path,
    task: Task = "type",
    regression_loss: str = "huber",
    tensorboard: bool = True,
    symmetries: NDArray[np.int64] | None = None,
) -> Control:
    """Train a copy of a float model through the trainings of its compression, without compressing it.

    Epochs, learning rates, batches, targets, order of the events and choice of the epoch are those of
    `trigger_ml.compression.compress.compress`; nothing is pruned, folded or quantized, no bits are learned.
    (While it is pruned a model keeps only epochs of full sparsity, with a budget only those within it; the
    control may keep any.)

    Parameters
    ----------
    model : tf_keras.Model
        Float, trained; not changed.
    counts, y, validation, config, seed, directory, task, regression_loss, tensorboard, symmetries
        See `trigger_ml.compression.compress.compress`.
    bits : int
        The model takes ``counts * 2**-bits``.

    Returns
    -------
    Control

    Raises
    ------
    StageError
        If the loss is not finite.
    """
    model = without_squashing(model)
    control = tf_keras.models.clone_model(model)
    control.set_weights(model.get_weights())
    histories = {}
    for training in config.trainings:
        target = softened(model, counts, y, training.share, bits, task)
        plan = Plan(
            epochs=training.epochs,
            batch_size=config.batch_size,
            learning_rate=training.learning_rate,
            task=task,
            regression_loss=regression_loss,
            bits=bits,
            seed=seed,
            label=f"control, {training.name}",
            symmetries=symmetries,
        )
        place = directory / training.name
        histories[training.name] = fit(
            control, counts, target, validation, plan, directory=place, tensorboard=tensorboard
        )
    return Control(control, histories)
