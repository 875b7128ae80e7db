"""Configuration of quantization and pruning."""

from typing import Literal

from pydantic import Field, model_validator

from trigger_ml.core.config.base import Section


class BitsConfig(Section):
    """Widths of one layer's integers; ``integer`` counts bits left of the point, without the sign."""

    weights: int = Field(6, ge=2, le=16)
    """Width of a kernel weight."""
    weights_integer: int = Field(0, ge=-8, le=8)
    """Bits left of the point of a kernel weight."""
    bias: int = Field(10, ge=2, le=24)
    """Width of a bias."""
    bias_integer: int = Field(2, ge=-8, le=12)
    """Bits left of the point of a bias."""
    activations: int = Field(6, ge=1, le=16)
    """Width of the layer's quantized output."""
    activations_integer: int = Field(2, ge=-8, le=12)
    """Bits left of the point of the output."""


class QuantizationConfig(Section):
    """Widths for all layers, and exceptions by layer name."""

    default: BitsConfig = BitsConfig()
    """Widths where ``layers`` does not say otherwise."""
    layers: dict[str, BitsConfig] = {}
    """Exceptions by the name of the convolution or dense layer (see the model summary)."""
    calibrate: bool = True
    """Choose the integer bits of each activation from the float model's values on training events
    (a power-of-two range that holds 99.9 %) instead of ``activations_integer``."""


class PruningConfig(Section):
    """Magnitude pruning by tensorflow-model-optimization."""

    sparsity: float = Field(0.5, ge=0, lt=1)
    """Fraction of the weights of each pruned layer that become zero."""
    schedule: Literal["polynomial", "constant"] = "polynomial"
    """``polynomial`` raises the sparsity from zero along a cubic; ``constant`` prunes at once."""
    begin: float = Field(0.0, ge=0, lt=1)
    """Fraction of the fine-tuning steps after which pruning begins."""
    end: float = Field(0.7, gt=0, le=1)
    """Fraction of the fine-tuning steps at which the polynomial reaches the final sparsity."""
    frequency: int = Field(50, gt=0)
    """Steps between updates of the masks."""
    skip: tuple[str, ...] = ()
    """Layers that are not pruned."""

    @model_validator(mode="after")
    def _order(self) -> "PruningConfig":
        if self.begin >= self.end:
            raise ValueError("begin must be smaller than end")
        return self


class CompressionConfig(Section):
    """Fine-tuning of the quantized, pruned twin."""

    quantization: QuantizationConfig = QuantizationConfig()
    """Widths of the integers."""
    pruning: PruningConfig = PruningConfig()
    """Which weights become zero."""
    epochs: int = Field(6, gt=0)
    """Passes over the training events."""
    batch_size: int = Field(64, gt=0)
    """Events per step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of the Adam optimizer."""
