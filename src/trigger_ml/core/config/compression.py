"""Configuration of compression."""

from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from trigger_ml.core.config.base import Section
from trigger_ml.core.config.pruning import PruningConfig
from trigger_ml.core.config.quantization import QuantizationConfig
from trigger_ml.core.config.steps import (
    BudgetConfig,
    DistilStep,
    FineTuneStep,
    FoldStep,
    LearnBitsStep,
    PruneStep,
    QuantizeStep,
    StepConfig,
    TrainingStep,
    misplaced,
)

__all__ = ["CompressionConfig", "Scheme", "Training"]

Scheme = Literal["dynamic", "float16", "int8"]


class Training(NamedTuple):
    """One training of a compression: what its control must have, too."""

    name: str
    """Number and kind of the step."""
    epochs: int
    learning_rate: float
    """At the first step."""
    share: float
    """Of the float model's prediction in the targets."""


class CompressionConfig(Section):
    """Pruning, quantization and fine-tuning, or any list of steps.

    Without ``steps`` the float model is pruned, folded, quantized and fine-tuned; with a budget and without
    ``steps`` it is folded and quantized, and its bits are learned in the epochs of both trainings.
    """

    steps: tuple[StepConfig, ...] | None = None
    """What is done, in this order; null: what ``quantization``, ``pruning``, ``epochs`` and
    ``learning_rate`` say, which are not read otherwise."""
    budget: BudgetConfig | None = None
    """What the network may cost; met by the step ``learn-bits``."""

    quantization: QuantizationConfig = QuantizationConfig()
    """Widths of the integers."""
    pruning: PruningConfig = PruningConfig()
    """Which weights become zero."""
    epochs: int = Field(4, gt=0)
    """Passes over the training events while the quantized twin is fine-tuned."""
    batch_size: int = Field(64, gt=0)
    """Events per step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of Adam at the first step; it falls to zero along a half cosine."""
    distillation: float = Field(0.0, ge=0, le=0.5)
    """Share of the float model's prediction in the targets that the compressed model learns."""
    control: bool = True
    """Give a copy of the float model the same extra epochs at the same learning rates, neither pruned nor
    quantized: what compression costs is measured against it, since the extra epochs alone change a model."""
    post_training: tuple[Scheme, ...] = ()
    """Quantizations of the float model by LiteRT, without training, judged beside the others. ``dynamic``:
    weights of 8 bits; ``float16``: weights of 16 bits; ``int8``: weights and activations of 8 bits, with
    ranges that training events show."""
    seed: int | None = Field(None, ge=0)
    """Of the events' order while compressing; null: the experiment's. Swept: how far trainings differ."""

    @model_validator(mode="after")
    def _each_once(self) -> "CompressionConfig":
        if len(set(self.post_training)) != len(self.post_training):
            raise ValueError("post_training names a scheme twice")
        return self

    @model_validator(mode="after")
    def _steps_are_sound(self) -> "CompressionConfig":
        if self.steps is not None and (why := misplaced(self.steps)):
            raise ValueError(f"steps: {why}")
        learns = any(isinstance(item, LearnBitsStep) for item in self.recipe)
        if learns and self.budget is None:
            raise ValueError("steps: learn-bits needs a budget, as compression.budget: {lut: 40000}")
        if self.budget is not None and not learns:
            raise ValueError("budget: no step meets it: add learn-bits to the steps")
        return self

    @property
    def recipe(self) -> tuple[StepConfig, ...]:
        """The steps, in order."""
        if self.steps is not None:
            return self.steps
        fold, quantize = FoldStep(), QuantizeStep(**self.quantization.model_dump())
        pruning = self.pruning.model_dump()
        if self.budget is not None:
            epochs = self.pruning.epochs + self.epochs
            return fold, quantize, LearnBitsStep(epochs=epochs, learning_rate=self.learning_rate)
        tuned = FineTuneStep(epochs=self.epochs, learning_rate=self.learning_rate)
        if self.pruning.sparsity == 0:
            return fold, quantize, tuned
        if self.pruning.epochs > 0:
            return PruneStep(**pruning), fold, quantize, tuned
        own = {"epochs": self.epochs, "learning_rate": self.learning_rate}
        return fold, quantize, PruneStep(**(pruning | own))

    @property
    def trainings(self) -> tuple[Training, ...]:
        """Trainings that compression is made of, in order."""
        return tuple(
            Training(
                f"{number}-{item.step}",
                item.epochs,
                item.learning_rate,
                item.share if isinstance(item, DistilStep) else self.distillation,
            )
            for number, item in enumerate(self.recipe, start=1)
            if isinstance(item, PruneStep | TrainingStep)
        )
