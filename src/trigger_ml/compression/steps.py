"""The work of each step of a compression: a model in, a model out, and what later steps must know of it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
from numpy.typing import ArrayLike, NDArray

from trigger_ml.compression.bias import corrected_biases
from trigger_ml.compression.budget import Measure, excess
from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.compression.learned_bits import Bits, Budgeted, Steering, bits_of, exported, learner
from trigger_ml.compression.pruning import apply_masks, kernel, masks, pruned_step, sparsities, strip, wrap
from trigger_ml.compression.quantization import quantized_twin
from trigger_ml.core.config import (
    BudgetConfig,
    DistilStep,
    FineTuneStep,
    FoldStep,
    LearnBitsStep,
    PostTrainingStep,
    PruneStep,
    PruningConfig,
    QuantizeStep,
    StepConfig,
)
from trigger_ml.core.fixed_point import FixedPoint, input_values
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.models.training import History, Plan, fit

__all__ = ["Job", "State", "perform"]

CALIBRATION_EVENTS = 2000

type Masks = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class State:
    """What a step leaves to the next.

    Parameters
    ----------
    model : tf_keras.Model
        Float, folded or quantized.
    unfolded : tf_keras.Model
        The last model with its normalization in it: by its weights pruning decides which layers give theirs.
    pruning : PruningConfig or None
        Of the last pruning, for trainings after it: at once, and at the sparsity reached.
    asked : mapping of str to float
        Sparsity by layer that was asked of it.
    masks : mapping of str to numpy.ndarray
        0 for the weights that it removed, by layer.
    bits : Bits or None
        Where each weight has bits of its own.
    """

    model: Model
    unfolded: Model
    pruning: PruningConfig | None = None
    asked: Mapping[str, float] = field(default_factory=dict)
    masks: Masks = field(default_factory=dict)
    bits: Bits | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """What all steps share.

    Parameters
    ----------
    counts, validation
        Events, see `trigger_ml.compression.compress.compress`.
    target : callable
        Targets of the training events, with a share of the float model's prediction in them.
    plan : Plan
        Of any training; its epochs and rate are the step's.
    input_type : FixedPoint
    budget : BudgetConfig or None
    measure : callable or None
        Costs of a quantized model.
    tensorboard : bool
    """

    counts: NDArray[np.unsignedinteger[Any]]
    validation: tuple[NDArray[np.unsignedinteger[Any]], ArrayLike]
    target: Callable[[float], NDArray[np.float32]]
    plan: Plan
    input_type: FixedPoint
    budget: BudgetConfig | None
    measure: Measure | None
    tensorboard: bool

    def steps(self, epochs: int) -> int:
        """Steps of so many epochs."""
        return epochs * math.ceil(len(self.counts) / self.plan.batch_size)

    @property
    def calibration(self) -> NDArray[np.float32]:
        """Inputs from which ranges follow: always the same training events for a seed."""
        chosen = np.random.default_rng([self.plan.seed, 2]).permutation(len(self.counts))
        rows = np.sort(chosen[:CALIBRATION_EVENTS])
        return input_values(self.counts[rows], self.plan.bits)


@dataclass(frozen=True, eq=False)
class _Training:
    """One training: on which targets, along which plan, and the folder for its checkpoint."""

    job: Job
    target: NDArray[np.float32]
    plan: Plan
    place: Path

    def fit(self, model: Model, plan: Plan) -> History:
        """Train a model in place."""
        job = self.job
        return fit(
            model,
            job.counts,
            self.target,
            job.validation,
            plan,
            directory=self.place,
            tensorboard=job.tensorboard,
        )

    def pruned(
        self, state: State, pruning: PruningConfig, asked: Mapping[str, float]
    ) -> tuple[State, History]:
        """Train the state's model, pruning it as it goes; it is changed in place."""
        job, plan = self.job, self.plan
        steps, per_epoch = job.steps(plan.epochs), job.steps(1)
        wrapped = wrap(state.model, pruning, steps, asked)
        last = pruned_step(pruning, steps)
        total = sum(int(np.prod(kernel(state.model.get_layer(name)).shape)) for name in asked)

        def after_epoch() -> dict[str, float]:
            ended = int(wrapped.optimizer.iterations) >= last
            apply_masks(wrapped, asked if ended else None)
            gone = sum(float((mask == 0).sum()) for mask in masks(wrapped).values())
            return {"sparsity": gone / total}

        plan = replace(
            plan,
            eligible_from=math.ceil(last / per_epoch) - 1,
            callbacks=(tfmot.sparsity.keras.UpdatePruningStep(),),
            after_epoch=after_epoch,
        )
        history = self.fit(wrapped, plan)
        kept = masks(wrapped)
        model = strip(wrapped, state.model)
        # the removed weights are zero, so that this takes up the same masks at the first step
        again = pruning.model_copy(update={"schedule": "constant", "begin": 0.0})
        return replace(state, model=model, pruning=again, asked=asked, masks=kept), history


def perform(
    state: State, step: StepConfig, job: Job, share: float, place: Path
) -> tuple[State, History | None]:
    """Do one step.

    Parameters
    ----------
    state : State
    step : StepConfig
    job : Job
    share : float
        Of the float model's prediction in the targets of a training.
    place : pathlib.Path
        Folder of the step.

    Returns
    -------
    state : State
    history : History or None
        None where nothing was trained.
    """
    match step:
        case FoldStep():
            return replace(state, model=fold_batch_norm(state.model), unfolded=state.model), None
        case QuantizeStep() | PostTrainingStep():
            twin = quantized_twin(state.model, step, job.input_type, job.calibration)
            if isinstance(step, PostTrainingStep):
                corrected_biases(twin, state.model, job.calibration)
            return replace(state, model=twin), None
        case PruneStep() | FineTuneStep() | DistilStep() | LearnBitsStep():
            plan = replace(
                job.plan,
                epochs=step.epochs,
                learning_rate=step.learning_rate,
                identity=f"{step.model_dump_json()} {share} {job.budget}",
                label=step.step,
            )
            training = _Training(job, job.target(share), plan, place)
    match step:
        case PruneStep():
            return _prune(state, step, training)
        case LearnBitsStep():
            return _learn_bits(state, step, training)
    return _tune(state, training)


def _copy(model: Model) -> Any:
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def _is_float(model: Model) -> bool:
    return not any(type(layer).__name__ == "QActivation" for layer in model.layers)


def _prune(state: State, step: PruneStep, training: _Training) -> tuple[State, History | None]:
    # the layer's shares follow from the float weights, before normalization was folded into them
    asked = sparsities(state.unfolded, step)
    if not any(asked.values()):
        return _tune(state, training)
    if _is_float(state.model):
        # the float model that was given stays as it is
        state = replace(state, model=_copy(state.model))
    found, history = training.pruned(state, step, asked)
    return _followed(state, found), history


def _followed(before: State, after: State) -> State:
    """With the trained model in place of an unfolded one."""
    unfolded = after.model if before.unfolded is before.model else after.unfolded
    return replace(after, unfolded=unfolded)


def _tune(state: State, training: _Training) -> tuple[State, History]:
    if state.bits is not None:
        model = learner(state.model, bits=state.bits, kept=state.masks)
        history = training.fit(model, _watched(training, model, state.model))
        return replace(state, model=exported(model, state.model)), history
    if _is_float(state.model):
        state = replace(state, model=_copy(state.model))
    if any(state.asked.values()):
        assert state.pruning is not None
        found, history = training.pruned(state, state.pruning, state.asked)
        return found, history
    return state, training.fit(state.model, training.plan)


def _watched(training: _Training, model: Budgeted, twin: Model) -> Plan:
    """A plan that notes after each epoch what the network costs, and keeps one within the budget."""
    job = training.job
    budget, measure = job.budget, job.measure
    assert budget is not None
    assert measure is not None

    def after_epoch() -> dict[str, float]:
        found = measure(exported(model, twin))
        model.calibrate(found)
        return {
            **{name: float(value) for name, value in found.to_dict().items()},
            "excess": excess(found, budget),
            "pressure": float(np.exp(model.integrated.numpy())),
        }

    return replace(training.plan, after_epoch=after_epoch, penalty="excess")


def _learn_bits(state: State, step: LearnBitsStep, training: _Training) -> tuple[State, History]:
    job = training.job
    assert job.budget is not None
    assert job.measure is not None
    twin = state.model
    steps = job.steps(step.epochs)
    steering = Steering(job.budget.lut, round(step.fall * steps))
    # the rate falls along a half cosine, so that Adam moves a number by at most half of rate times steps
    rate = step.travel / (0.5 * steps * step.learning_rate)
    model = learner(twin, bits=state.bits, steering=steering, rate=rate, kept=state.masks)
    model.calibrate(job.measure(exported(model, twin)))
    history = training.fit(model, _watched(training, model, twin))
    result = exported(model, twin)
    found = bits_of(model)
    # weights without bits stay zero in what follows
    gone = {name: (result.get_layer(name).get_weights()[0] != 0).astype(np.float32) for name in found.weights}
    return replace(state, model=result, bits=found, masks=gone, asked=dict.fromkeys(gone, 0.0)), history
