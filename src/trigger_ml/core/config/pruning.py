"""Configuration of pruning."""

from typing import Literal

from pydantic import Field, model_validator

from trigger_ml.core.config.base import Section

__all__ = ["PruningConfig"]


class PruningConfig(Section):
    """Magnitude pruning by tensorflow-model-optimization.

    By default the float model is pruned first, while batch normalization still keeps its activations in
    range; the quantized twin is then fine-tuned at that sparsity. Pruning the twin itself (``epochs: 0``)
    takes one training less, but at high sparsity its activations can die out.
    """

    sparsity: float = Field(0.5, ge=0, lt=1)
    """Fraction of the weights of all pruned layers together that become zero, to the nearest whole weight; at
    least one weight of each layer stays. Corners that a hexagonal kernel masks count among the zeros."""
    allocation: Literal["lamp", "uniform"] = "lamp"
    """Which layers give them. ``lamp``: layer-adaptive magnitudes (Lee et al. 2021): each weight counts
    relative to what its layer would have left, so small layers (the first, shortcuts, the head) lose few.
    ``uniform``: the same fraction of each layer."""
    schedule: Literal["polynomial", "constant"] = "polynomial"
    """``polynomial`` raises the sparsity from zero along a cubic; ``constant`` prunes at once."""
    epochs: int = Field(4, ge=0)
    """Epochs of pruning the float model, before it is quantized; 0 prunes the quantized twin during its
    own fine-tuning."""
    learning_rate: float = Field(2e-3, gt=0)
    """While the float model is pruned."""
    begin: float = Field(0.0, ge=0, lt=1)
    """Fraction of the steps (of the training in which pruning happens) after which it begins."""
    end: float = Field(0.7, gt=0, le=1)
    """Fraction of those steps at which the polynomial reaches the final sparsity."""
    frequency: int = Field(50, gt=0)
    """Steps between updates of the masks (fewer when the training is short)."""
    skip: tuple[str, ...] = ()
    """Layers that are not pruned."""

    @model_validator(mode="after")
    def _order(self) -> "PruningConfig":
        if self.begin >= self.end:
            raise ValueError("begin must be smaller than end")
        return self
