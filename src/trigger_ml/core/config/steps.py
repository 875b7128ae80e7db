"""The steps that compression can be made of, and in which order they may come."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from trigger_ml.core.config.base import Section
from trigger_ml.core.config.pruning import PruningConfig
from trigger_ml.core.config.quantization import QuantizationConfig

__all__ = [
    "BudgetConfig",
    "DistilStep",
    "FineTuneStep",
    "FoldStep",
    "LearnBitsStep",
    "PostTrainingStep",
    "PruneStep",
    "QuantizeStep",
    "StepConfig",
    "TrainingStep",
    "misplaced",
]


class BudgetConfig(Section):
    """What the network may cost as firmware, by the prediction for ``firmware.rtl``."""

    lut: int = Field(gt=0)
    """Lookup tables. Learned bits are steered to them."""
    latency_clocks: int | None = Field(None, gt=0)
    """From the first pixel to the result; null for any."""
    interval: int | None = Field(None, gt=0)
    """Clocks between results; null for any. It follows from the topology and ``pixels_per_clock``."""


class PruneStep(PruningConfig):
    """Magnitude pruning of the model as it is: float, folded or quantized."""

    step: Literal["prune"] = "prune"
    epochs: int = Field(4, gt=0)
    """Passes over the training events."""


class FoldStep(Section):
    """Batch normalization becomes a part of the weights before it."""

    step: Literal["fold"] = "fold"


class QuantizeStep(QuantizationConfig):
    """A quantized twin of the folded model, its ranges calibrated on training events."""

    step: Literal["quantize"] = "quantize"


class PostTrainingStep(QuantizationConfig):
    """As ``quantize``, and its biases corrected on training events: for a model that is not trained again."""

    step: Literal["post-training-quantize"] = "post-training-quantize"


class TrainingStep(Section):
    """What steps that train share."""

    epochs: int = Field(4, gt=0)
    """Passes over the training events."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of Adam at the first step; it falls to zero along a half cosine."""


class FineTuneStep(TrainingStep):
    """Training of the model as it is; what was pruned stays zero, and bits that were learned stay."""

    step: Literal["fine-tune"] = "fine-tune"


class DistilStep(TrainingStep):
    """Fine-tuning on what the float model says of the training events."""

    step: Literal["distil"] = "distil"
    share: float = Field(0.5, gt=0, le=0.5)
    """Of the float model's prediction in the targets, instead of ``compression.distillation``."""


class LearnBitsStep(TrainingStep):
    """Numbers of bits, one for each weight and each activation, trained with the weights under the budget.

    High-granularity quantization (Sun et al. 2024, arXiv:2405.00645), with this project's prediction of
    lookup tables as cost. A weight whose bits reach zero is pruned.
    """

    step: Literal["learn-bits"] = "learn-bits"
    fall: float = Field(0.6, gt=0, le=1)
    """Fraction of the steps in which the cost falls to the budget."""
    travel: float = Field(12.0, gt=0)
    """Bits that a weight can about lose or gain in the whole training: how large the bits' steps are."""


type StepConfig = Annotated[
    PruneStep | FoldStep | QuantizeStep | PostTrainingStep | FineTuneStep | DistilStep | LearnBitsStep,
    Field(discriminator="step"),
]


QUANTIZING = ("quantize", "post-training-quantize")


def misplaced(steps: Sequence[StepConfig]) -> str | None:
    """Why a list of steps cannot be followed, in one line; None if it can."""
    state, learned, sparsity = "float", False, 0.0
    for number, item in enumerate(steps, start=1):
        where = f"step {number}, {item.step}"
        if item.step == "fold":
            if state != "float":
                return f"{where}: the model is {state} already, so there is no normalization left to fold"
            state = "folded"
        elif item.step in QUANTIZING:
            if state != "folded":
                before = "put fold before it" if state == "float" else "it can be quantized once"
                return f"{where}: the model is {state}: {before}"
            state = "quantized"
        elif item.step == "learn-bits":
            if state != "quantized":
                return f"{where}: the model is {state}: put quantize before it"
            learned = True
        elif isinstance(item, PruneStep):
            if learned:
                return f"{where}: the bits are learned, which prunes already: put it before learn-bits"
            if item.sparsity < sparsity:
                return f"{where}: sparsity {item.sparsity} after {sparsity}: pruned weights do not come back"
            sparsity = item.sparsity
    if state != "quantized":
        return f"the last step leaves a {state} model, which has no firmware: add {_missing(state)}"
    return None


def _missing(state: str) -> str:
    return "fold and quantize" if state == "float" else "quantize"
