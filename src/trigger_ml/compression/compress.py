"""From a float model to the compressed one: the steps of a recipe, one after the other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.compression.budget import Measure, Verdict, judge
from trigger_ml.compression.pruning import LayerSparsity, layer_sparsity
from trigger_ml.compression.quantization import snap_weights
from trigger_ml.compression.split import split_layers
from trigger_ml.compression.steps import Job, State, perform
from trigger_ml.core.config import CompressionConfig
from trigger_ml.core.files import write_json
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras_types import Model
from trigger_ml.core.task import Task
from trigger_ml.models.batches import predict
from trigger_ml.models.files import save_model
from trigger_ml.models.heads import loss, without_squashing
from trigger_ml.models.layers import AFFINE, QUANTIZED
from trigger_ml.models.training import History, Plan

__all__ = ["CompressionResult", "StepResult", "compress", "softened"]


@dataclass(frozen=True)
class StepResult:
    """What a step came to.

    Parameters
    ----------
    name : str
        Its number and kind, and its folder: it holds the model as the step left it.
    sparsity : float
        Fraction of all weights that are zero after it.
    val_loss : float
        Loss on the validation events after it.
    history : History or None
        Of its training.
    """

    name: str
    sparsity: float
    val_loss: float
    history: History | None

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        history = self.history and self.history.to_dict()
        return {**vars(self), "history": history}


@dataclass(frozen=True, eq=False)
class CompressionResult:
    """The compressed model and the proof of its sparsity.

    Parameters
    ----------
    model : tf_keras.Model
        QKeras; its weights lie exactly on the fixed-point grid.
    layers : tuple of LayerSparsity
        Counted on the integers.
    steps : tuple of StepResult
    constant : bool
        Whether it says the same of every validation event.
    verdict : Verdict or None
        Whether it is within the budget, where there is one.
    """

    model: Model
    layers: tuple[LayerSparsity, ...]
    steps: tuple[StepResult, ...]
    constant: bool
    verdict: Verdict | None = None

    @property
    def sparsity(self) -> float:
        """Fraction of all weights that are zero in firmware."""
        zeros = sum(row.pruned + row.rounded for row in self.layers)
        return zeros / sum(row.weights for row in self.layers)

    @property
    def trained(self) -> tuple[StepResult, ...]:
        """Steps that trained the model."""
        return tuple(step for step in self.steps if step.history is not None)

    @property
    def history(self) -> History | None:
        """Of the last training; None where nothing was trained."""
        return self.trained[-1].history if self.trained else None

    @property
    def pruning_history(self) -> History | None:
        """Of the pruning before the last training; None where there was none."""
        found = [step.history for step in self.trained[:-1] if step.name.endswith("-prune")]
        return found[-1] if found else None

    def to_dict(self) -> dict[str, Any]:
        """Sparsity, layers, histories and verdict as a plain dictionary for JSON."""
        return {
            "sparsity": self.sparsity,
            "sparsity_by_layer": [row.to_dict() for row in self.layers],
            "history": self.history and self.history.to_dict(),
            "pruning_history": self.pruning_history and self.pruning_history.to_dict(),
            "steps": [step.to_dict() for step in self.steps],
            "constant": self.constant,
            "budget": self.verdict and self.verdict.to_dict(),
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
    measure: Measure | None = None,
) -> CompressionResult:
    """Compress a float model.

    The steps of the configuration's recipe are done one after the other. By default the float model is
    pruned, its normalization folded (with averages measured for the pruned weights, see
    `trigger_ml.models.normalization`), a quantized twin calibrated on training events, and the twin
    fine-tuned at the same sparsity. Weights of an epoch are kept only if they have the full sparsity; among
    those epochs the one of least validation loss, or with a budget that which exceeds it least. An
    interrupted training is resumed (see :func:`~trigger_ml.models.training.train`); what takes no training is
    done again, with the same result.

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
        Each step gets a folder in it, named after its number and kind: with its model, its figures, its
        checkpoint and its TensorBoard logs.
    task : {'type', 'energy', 'direction'}
    regression_loss : {'huber', 'mse'}
    tensorboard : bool
    symmetries : numpy.ndarray of int64, shape (n, height * width), optional
        Of the camera, for the training (see :class:`~trigger_ml.models.training.Plan`).
    measure : callable, optional
        What a quantized model costs in hardware; needed where there is a budget.

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
    if config.budget is not None and measure is None:
        raise ValueError("a budget needs something to measure costs with")
    plan = Plan(
        epochs=1,
        batch_size=config.batch_size,
        learning_rate=1.0,
        task=task,
        regression_loss=regression_loss,
        bits=bits,
        seed=seed,
        symmetries=symmetries,
    )

    def target(share: float) -> NDArray[np.float32]:
        return softened(model, counts, y, share, bits, task)

    job = Job(counts, validation, target, plan, input_type, config.budget, measure, tensorboard)
    shares = {training.name: training.share for training in config.trainings}
    state, results = State(model, model), []
    for number, step in enumerate(config.recipe, start=1):
        name = f"{number}-{step.step}"
        state, history = perform(state, step, job, shares.get(name, 0.0), directory / name)
        results.append(_left(state, name, history, job, directory / name))
    twin = state.model
    table = layer_sparsity(twin, state.masks, state.asked)
    snap_weights(twin)
    outputs = predict(twin, validation[0], bits)
    verdict = None
    if config.budget is not None and measure is not None:
        verdict = judge(measure(twin), config.budget)
    constant = bool(len(outputs) > 1 and (outputs == outputs[0]).all())
    return CompressionResult(twin, table, tuple(results), constant, verdict)


def _val_loss(state: State, job: Job) -> float:
    plan, (counts, y) = job.plan, job.validation
    outputs = predict(state.model, counts, plan.bits)
    wanted = np.asarray(y, dtype=np.float32).reshape(outputs.shape)
    return float(loss(plan.task, plan.regression_loss)(wanted, outputs.astype(np.float32)).numpy())


def _left(state: State, name: str, history: History | None, job: Job, place: Path) -> StepResult:
    """Keep what a step made: its model and its figures."""
    val_loss = _val_loss(state, job) if history is None else history.metrics["val_loss"][history.best_epoch]
    kernels = [
        layer.get_weights()[0]
        for layer in state.model.layers
        if type(layer).__name__ in (*AFFINE, *QUANTIZED.values())
    ]
    zeros = sum(int((weights == 0).sum()) for weights in kernels)
    result = StepResult(name, zeros / sum(weights.size for weights in kernels), val_loss, history)
    place.mkdir(parents=True, exist_ok=True)
    save_model(state.model, place / "model.h5")
    write_json(place / "step.json", result.to_dict())
    return result


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
