"""Configuration of quantization."""

from pydantic import Field

from trigger_ml.core.config.base import Section

__all__ = ["BitsConfig", "QuantizationConfig"]


class BitsConfig(Section):
    """Widths of one layer's integers; ``integer`` counts bits left of the point, without the sign."""

    weights: int = Field(6, ge=2, le=16)
    """Width of a weight, sign included."""
    weights_integer: int = Field(0, ge=-8, le=8)
    """Used without calibration."""
    bias: int = Field(10, ge=2, le=24)
    """Width of a bias, sign included. Calibrated, a bias is never finer than the products it is added to."""
    bias_integer: int = Field(2, ge=-8, le=12)
    """Used without calibration."""
    activations: int = Field(6, ge=1, le=16)
    """Width of what leaves the layer after its ReLU (unsigned), or enters a sum (signed)."""
    activations_integer: int = Field(2, ge=0, le=12)
    """Used without calibration."""


class QuantizationConfig(Section):
    """Widths for all layers, and exceptions by layer name."""

    default: BitsConfig = BitsConfig()
    """Widths where ``layers`` does not say otherwise."""
    layers: dict[str, BitsConfig] = {}
    """Exceptions by the name of the convolution or dense layer (see the model summary)."""
    pooled_bits: int = Field(10, ge=1, le=16)
    """Width of the features after average pooling: there are few, so bits cost little."""
    calibrate: bool = True
    """Choose the integer bits of each activation from the float model's values on training events,
    and those of weights and biases from the folded weights, instead of the ``integer`` numbers."""
    coverage: float = Field(0.999, gt=0.5, le=1)
    """Least fraction of a layer's activations that the calibrated range holds; the rest saturates."""
