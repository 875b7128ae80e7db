"""Configuration of quantization and pruning."""

from typing import Literal

from pydantic import Field, model_validator

from trigger_ml.core.config.base import Section

Scheme = Literal["dynamic", "float16", "int8"]


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


class CompressionConfig(Section):
    """Pruning, quantization and fine-tuning."""

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

    @property
    def trainings(self) -> tuple[tuple[str, int, float], ...]:
        """Trainings that compression is made of, in order: name, epochs, learning rate at the first step."""
        tuned = ("fine-tuning", self.epochs, self.learning_rate)
        if self.pruning.sparsity > 0 and self.pruning.epochs > 0:
            return (("pruning", self.pruning.epochs, self.pruning.learning_rate), tuned)
        return (tuned,)
