"""Configuration of the float model and its training."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from trigger_ml.core.config.base import Section


class StageConfig(Section):
    """A group of blocks of equal width."""

    filters: int = Field(gt=0)
    """Output channels of each block."""
    blocks: int = Field(1, gt=0)
    """Number of blocks."""
    strides: int = Field(1, ge=1)
    """Of the group's first block."""


UnitName = Literal["fraction", "counts", "photo-electrons"]


class UnitConfig(Section):
    """Unit of a given model's input: ``scale * q + offset``, where ``q`` is what ``of`` says."""

    of: UnitName = "counts"
    """What is scaled: counts divided by ``2**bits``, whole counts, or photo-electrons (and nanoseconds)."""
    scale: float | tuple[float, ...] = 1.0
    """One factor, or one for each channel."""
    offset: float | tuple[float, ...] = 0.0
    """One summand, or one for each channel."""

    @model_validator(mode="after")
    def _no_zero(self) -> "UnitConfig":
        if 0 in (self.scale if isinstance(self.scale, tuple) else (self.scale,)):
            raise ValueError("scale must not be 0")
        return self


def _named_unit(value: object) -> object:
    """A unit's name as what it stands for."""
    if not isinstance(value, str):
        return value
    if value not in get_args(UnitName):
        raise ValueError(f"is {', '.join(get_args(UnitName))}, or a mapping of: of, scale, offset")
    return UnitConfig(of=value)


def _or_a_name(schema: dict[str, Any]) -> None:
    schema["anyOf"].insert(0, {"enum": list(get_args(UnitName))})


OWN_FAMILIES = ("cnn", "resnet")
"""Model families that need no package."""


class ModelConfig(Section):
    """Topology of the network."""

    family: str = "resnet"
    """``resnet`` with residual connections, a plain ``cnn``, or a family that an installed package adds
    (docs/plugins.md)."""
    block: Literal["basic", "bottleneck"] = "basic"
    """Residual block of a ResNet: two 3x3 convolutions, or 1x1, 3x3, 1x1."""
    bottleneck: int = Field(4, gt=0)
    """How many times narrower than its output the middle of a bottleneck block is."""
    stem_filters: int = Field(8, gt=0)
    """Output channels of the first convolution."""
    stem_kernel: int = Field(3, gt=0)
    """Size of the first convolution."""
    stem_strides: int = Field(2, ge=1)
    """Stride of the first convolution."""
    stages: tuple[StageConfig, ...] = (
        StageConfig(filters=8, blocks=1, strides=1),
        StageConfig(filters=16, blocks=1, strides=2),
        StageConfig(filters=16, blocks=1, strides=2),
    )
    """Groups of blocks after the stem."""
    kernel: Literal["square", "hexagonal"] = "square"
    """``hexagonal`` masks the two corners of a 3x3 kernel that are no neighbours on the axial grid."""
    pooling: Literal["auto", "average", "flatten"] = "auto"
    """How the last feature map becomes a vector. ``auto`` flattens it for the task ``direction``, since an
    average forgets where in the camera the light was, and averages it for the other tasks."""
    head_units: tuple[int, ...] = ()
    """Hidden dense layers before the output."""
    batch_norm: bool = True
    """Train with batch normalization; it is folded into the weights before quantization."""
    weights: str | None = None
    """A Keras model file (Keras 2, or CTLearn's Keras 3) to use instead of training one."""
    input: Annotated[UnitConfig | None, BeforeValidator(_named_unit)] = Field(
        None, json_schema_extra=_or_a_name
    )
    """What the model of ``weights`` takes. ``fraction``: counts divided by ``2**bits``, as the models trained
    here; ``counts``: whole counts; ``photo-electrons``: charge (and nanoseconds) as in DL1 files, CTLearn's
    unit; or ``{of, scale, offset}``. The factor and the summand are folded into the first weights. null:
    fraction, which is refused if the model does clearly better in another unit."""
    input_loss: float = Field(0.02, ge=0, le=1)
    """Most that a given model may lose when its input becomes counts: of the AUC by its own framework on its
    own input, for other tasks of the correlation with the truth. More than that is an error."""

    @model_validator(mode="after")
    def _unit_of_something(self) -> "ModelConfig":
        if self.input is not None and self.weights is None:
            raise ValueError("input is the unit of a model of yours: name it in weights, or leave input out")
        return self


class TrainConfig(Section):
    """Training of the float model."""

    epochs: int = Field(8, gt=0)
    """At most this many passes over the training events."""
    batch_size: int = Field(64, gt=0)
    """Events per step."""
    learning_rate: float = Field(2e-3, gt=0)
    """Of Adam; it stays until the plateau, or until the epochs run out, then falls to zero along a half
    cosine."""
    cooldown: float = Field(0.25, gt=0, le=1)
    """Fraction of the planned epochs in which the rate falls; 1: from the first step on, and nothing is said
    of a plateau."""
    patience: int = Field(3, gt=0)
    """Epochs of a window: training is on its plateau when the mean validation loss of the last so many
    epochs at full rate is less than ``tolerance`` below that of as many before them."""
    tolerance: float = Field(0.01, ge=0, lt=1)
    """Relative fall of the validation loss between these windows that counts as none."""
    regression_loss: Literal["huber", "mse"] = "huber"
    """Loss of the tasks ``energy`` and ``direction``."""
    augment: bool = False
    """Show each training event, also while pruning and fine-tuning, through a rotation or reflection of the
    camera onto itself, drawn anew in each epoch. For particles from all around the pointing (``view_cone``
    above 0), whose type and energy do not depend on which way the image lies; not for ``direction``."""
    tensorboard: bool = True
    """Write TensorBoard logs to the run directory."""
