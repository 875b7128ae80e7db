"""Training: one loop for float models and for their quantized, pruned twins."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trigger_ml.core.config import TrainConfig
from trigger_ml.core.errors import InputError, StageError
from trigger_ml.core.keras2 import tf, tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.core.task import TASKS, Task
from trigger_ml.models.batches import Feed, evaluation_batch
from trigger_ml.models.checkpoint import Checkpoint
from trigger_ml.models.heads import loss
from trigger_ml.models.normalization import measure_averages
from trigger_ml.models.optimizer import RangedAdam
from trigger_ml.models.schedule import CoolDown, Ending, Rule

__all__ = ["History", "Plan", "fit", "train"]

# steps between two visits to Python, which cost as much as a step of a small network
STEPS_TOGETHER = 16


@dataclass(frozen=True)
class History:
    """What a training did.

    Parameters
    ----------
    epochs_planned, epochs_run : int
        Fewer are run than planned when training reached its plateau.
    best_epoch : int
        Epoch (from 0) whose weights were kept: that of least validation loss, averages of batch
        normalization measured for its weights.
    seconds : float
        Time of all epochs, those before an interruption included.
    metrics : dict of str to tuple of float
        ``loss``, ``val_loss``, ``learning_rate``, ``seconds``, and more where the caller adds any: one
        number for each epoch run.
    ending : Ending, optional
        Which rule ended the training, and whether it reached its plateau.
    """

    epochs_planned: int
    epochs_run: int
    best_epoch: int
    seconds: float
    metrics: dict[str, tuple[float, ...]] = field(default_factory=dict)
    ending: Ending | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """How a model is trained.

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        At the first step; falls to zero along a half cosine over the last epochs.
    cooldown : int, optional
        Epochs in which it falls; None: all of them.
    patience, tolerance : int, float
        Window and tolerance of the rule by which it begins to fall before the epochs run out (see
        `trigger_ml.models.schedule.Rule`).
    eligible_from : int
        First epoch whose weights may be kept.
    penalty : str, optional
        Name of a metric of ``after_epoch``: of two epochs that of less penalty is kept, and only among equals
        that of less validation loss.
    task : {'type', 'energy', 'direction'}
    regression_loss : {'huber', 'mse'}
    bits : int
        Of the input: the model takes ``counts * 2**-bits``.
    seed : int
    callbacks : tuple
        Keras callbacks.
    after_epoch : callable, optional
        Called after the last step of an epoch, before validation; returns more metrics.
    identity : str
        Anything else that a checkpoint must agree with to be resumed.
    label : str
        Shown beside the progress bar.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    bits: int
    seed: int
    cooldown: int | None = None
    patience: int = 1
    tolerance: float = 0.0
    eligible_from: int = 0
    penalty: str | None = None
    task: Task = "type"
    regression_loss: str = "huber"
    callbacks: tuple[Any, ...] = ()
    after_epoch: Callable[[], dict[str, float]] | None = None
    identity: str = ""
    label: str = "training"
    symmetries: NDArray[np.int64] | None = None
    """Shape (n, height * width): for each symmetry the cell from which each cell takes its value. Every
    training event is shown through one of them, drawn anew in each epoch."""

    @property
    def rule(self) -> Rule:
        """By which the learning rate falls and training ends."""
        cooldown = self.epochs if self.cooldown is None else self.cooldown
        return Rule(self.epochs, cooldown, self.patience, self.tolerance)


def train(
    model: Model,
    counts: NDArray[np.unsignedinteger],
    y: ArrayLike,
    validation: tuple[NDArray[np.unsignedinteger], ArrayLike],
    config: TrainConfig,
    *,
    bits: int,
    seed: int,
    directory: Path,
    task: Task = "type",
    symmetries: NDArray[np.int64] | None = None,
) -> History:
    """Train a float model in place up to its plateau; the weights of the best epoch stay in it.

    Every epoch leaves ``directory/checkpoint.npz``. When a training of the same model, settings and
    number of events was interrupted, it goes on after the last complete epoch, with the same result as
    an uninterrupted one: the order of the events depends on seed and epoch only.

    Parameters
    ----------
    model : tf_keras.Model
    counts : numpy.ndarray of uint8 or uint16, shape (events, height, width, channels)
    y : array_like, shape (events,) or (events, outputs)
        1 gamma, 0 hadron; log10(E/TeV); or camera offsets in degrees.
    validation : tuple
        Counts and targets that early stopping watches.
    config : TrainConfig
    bits : int
        Of the input integers.
    seed : int
    directory : Path
        For the checkpoint and, in ``tensorboard/``, the logs.
    task : {'type', 'energy', 'direction'}
    symmetries : numpy.ndarray of int64, shape (n, height * width), optional
        See :class:`Plan`.

    Returns
    -------
    History

    Raises
    ------
    InputError
        If there are no events of a class, or targets do not fit the events or the task.
    StageError
        If the loss becomes NaN or infinite.
    """
    plan = Plan(
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        cooldown=max(1, round(config.cooldown * config.epochs)),
        patience=config.patience,
        tolerance=config.tolerance,
        task=task,
        regression_loss=config.regression_loss,
        bits=bits,
        seed=seed,
        symmetries=symmetries,
    )
    return fit(model, counts, y, validation, plan, directory=directory, tensorboard=config.tensorboard)


def fit(
    model: Model,
    counts: NDArray[np.unsignedinteger],
    y: ArrayLike,
    validation: tuple[NDArray[np.unsignedinteger], ArrayLike],
    plan: Plan,
    *,
    directory: Path,
    tensorboard: bool = True,
) -> History:
    """Train a model in place along a plan; see :func:`train`."""
    x, target = counts, _targets(y, len(counts), plan.task, "training")
    x_val, target_val = validation[0], _targets(validation[1], len(validation[0]), plan.task, "validation")
    steps_per_epoch, rule = math.ceil(len(x) / plan.batch_size), plan.rule
    rate = CoolDown(
        plan.learning_rate, rule.cooldown * steps_per_epoch, (rule.epochs - rule.cooldown) * steps_per_epoch
    )
    optimizer = _compile(model, plan, rate)
    checkpoint = Checkpoint(directory / "checkpoint.npz", model, optimizer, _signature(model, x, plan))
    state = checkpoint.load()
    writer = tf.summary.create_file_writer(str(directory / "tensorboard")) if tensorboard else None
    feed, feed_val = Feed(x, target, plan.bits, plan.symmetries), Feed(x_val, target_val, plan.bits)
    ordered = feed_val.batches(np.arange(len(x_val)), evaluation_batch(model))
    with _progress(plan, len(x)) as progress:
        for epoch in range(len(state.metrics.get("loss", [])), plan.epochs):
            losses = state.metrics.get("val_loss", [])
            if epoch >= rule.ends_after(losses):
                break
            if (full := rule.full_epochs(losses)) is not None:
                rate.start.assign(full * steps_per_epoch)
            start = time.monotonic()
            metrics = _run_epoch(model, feed, plan, epoch, progress)
            measure_averages(model, x, plan.bits, seed=plan.seed)
            metrics["val_loss"] = float(model.evaluate(ordered, verbose=0))
            metrics["seconds"] = time.monotonic() - start
            _check_finite(metrics, epoch)
            for name, value in metrics.items():
                state.metrics.setdefault(name, []).append(value)
                if writer is not None:
                    with writer.as_default(step=epoch):
                        tf.summary.scalar(name, value)
            rank = (0.0 if plan.penalty is None else metrics[plan.penalty], metrics["val_loss"])
            if epoch >= plan.eligible_from and rank < (state.best_penalty, state.best_loss):
                (state.best_penalty, state.best_loss), state.best_epoch = rank, epoch
                state.best_weights = model.get_weights()
            checkpoint.save(state)
    if writer is not None:
        writer.close()
    model.set_weights(state.best_weights)
    return History(
        epochs_planned=plan.epochs,
        epochs_run=len(state.metrics["loss"]),
        best_epoch=state.best_epoch,
        seconds=sum(state.metrics["seconds"]),
        metrics={name: tuple(values) for name, values in state.metrics.items()},
        ending=rule.ending(state.metrics["val_loss"]),
    )


def _targets(y: ArrayLike, events: int, task: Task, part: str) -> NDArray[np.float32]:
    """Targets as (events, outputs), checked."""
    what = f"{part} events"
    if events == 0:
        raise InputError(what, "there are none", "Give more files, or other split fractions")
    target = np.asarray(y, dtype=np.float32)
    target = target[:, None] if target.ndim == 1 else target
    outputs = len(TASKS[task].outputs)
    if target.shape != (events, outputs):
        raise InputError(
            what, f"{events} images have targets of shape {target.shape}", f"Give {outputs} per image"
        )
    if not np.isfinite(target).all():
        raise InputError(what, "some targets are not finite", "Drop these events")
    if task == "type":
        for value, name in ((0, "hadrons"), (1, "gammas")):
            # soft labels (from a teacher) lie between 0 and 1
            if not (np.abs(target - value) < 0.5).any():
                raise InputError(what, f"there are no {name}", "Give files of both classes")
    return target


def _compile(model: Model, plan: Plan, rate: CoolDown) -> Any:
    optimizer = RangedAdam(rate)
    # callbacks want to see every step: pruning counts them
    together = 1 if plan.callbacks else STEPS_TOGETHER
    model.compile(optimizer, loss(plan.task, plan.regression_loss), steps_per_execution=together)
    optimizer.build(model.trainable_variables)
    return optimizer


def _signature(model: Model, counts: NDArray[Any], plan: Plan) -> str:
    """What must agree for a checkpoint to be resumed: the start, the data and the plan."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    digest.update(np.ascontiguousarray(counts[:: max(1, len(counts) // 64)]).tobytes())
    settings = {
        name: value
        for name, value in vars(plan).items()
        if name not in ("callbacks", "after_epoch", "label", "symmetries")
    }
    settings["symmetries"] = 1 if plan.symmetries is None else len(plan.symmetries)
    digest.update(json.dumps([settings, counts.shape], sort_keys=True).encode())
    return digest.hexdigest()


def _run_epoch(model: Model, feed: Feed, plan: Plan, epoch: int, progress: Any) -> dict[str, float]:
    order = np.random.default_rng([plan.seed, epoch]).permutation(len(feed.counts))
    tf_keras.utils.set_random_seed(int(np.random.default_rng([plan.seed, epoch, 1]).integers(2**31)))
    bar = _ProgressCallback(progress, len(order), plan.batch_size)
    history = model.fit(
        feed.batches(order, plan.batch_size, np.random.default_rng([plan.seed, epoch, 2])),
        epochs=epoch + 1,
        initial_epoch=epoch,
        callbacks=[*plan.callbacks, bar],
        verbose=0,
    )
    metrics = {name: float(values[-1]) for name, values in history.history.items()}
    if plan.after_epoch is not None:
        metrics |= plan.after_epoch()
    metrics["learning_rate"] = float(model.optimizer.learning_rate)
    return metrics


def _check_finite(metrics: dict[str, float], epoch: int) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise StageError(
                f"training, epoch {epoch + 1}",
                f"the {name} became {value}",
                "Lower learning_rate, or look for wrong values in the events",
            )


def _progress(plan: Plan, events: int) -> Any:
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("events"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )
    progress.add_task(plan.label, total=plan.epochs * events, note="")
    return progress


class _ProgressCallback(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Moves the bar now and then within an epoch, and to its exact place at the end of it."""

    def __init__(self, progress: Any, events: int, batch_size: int) -> None:
        super().__init__()
        self.progress, self.events, self.batch_size = progress, events, batch_size

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (batch + 1) % STEPS_TOGETHER == 0:
            self.progress.advance(self.progress.task_ids[0], STEPS_TOGETHER * self.batch_size)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.progress.update(
            self.progress.task_ids[0], completed=(epoch + 1) * self.events, note=f"loss {logs['loss']:.4f}"
        )
