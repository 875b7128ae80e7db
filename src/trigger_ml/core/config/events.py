"""Configuration of the events: where they come from and how an image becomes the network's input."""

from typing import Literal

from pydantic import Field, model_validator

from trigger_ml.core.config.base import Section
from trigger_ml.core.fixed_point import FixedPoint


class InputConfig(Section):
    """How a camera image becomes the integers that the network reads."""

    channels: tuple[Literal["image", "peak_time"], ...] = ("image",)
    """Per-pixel quantities, in the order of the network's input channels."""
    bits: int = Field(8, ge=1, le=16)
    """Width of one unsigned input integer."""
    charge_lsb: float = Field(0.5, gt=0)
    """Photo-electrons per count; charge below zero becomes 0, charge beyond the range saturates."""
    time_lsb: float = Field(0.25, gt=0)
    """Nanoseconds per count of the peak-time channel."""
    mapping: Literal["axial", "bilinear"] = "axial"
    """``axial``: each pixel is one cell of a rectangular grid, exact (what firmware sees).
    ``bilinear``: CTLearn's interpolation, for off-line comparison; cannot be built into firmware."""

    @property
    def dtype(self) -> FixedPoint:
        """Type of the input: all bits are fraction bits, so values lie in [0, 1)."""
        return FixedPoint(signed=False, width=self.bits, fraction=self.bits)

    @model_validator(mode="after")
    def _some_channel(self) -> "InputConfig":
        if not self.channels or len(set(self.channels)) != len(self.channels):
            raise ValueError("channels must name each of image, peak_time at most once, and at least one")
        return self


class SplitConfig(Section):
    """How showers are divided; all uses of one shower stay on one side."""

    validation: float = Field(0.1, gt=0, lt=1)
    """Fraction of the showers that early stopping watches."""
    test: float = Field(0.25, gt=0, lt=1)
    """Fraction of the showers that verify and evaluate use, never seen in training."""

    @model_validator(mode="after")
    def _leaves_training(self) -> "SplitConfig":
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must leave showers for training (sum below 1)")
        return self


class EventsConfig(Section):
    """Where events come from and what is done to them."""

    files: tuple[str, ...] = ()
    """ctapipe HDF5 files (DL1 images with simulation truth); relative to the configuration file.
    Empty: the ``simulate`` stage makes them."""
    tel_ids: tuple[int, ...] = ()
    """Telescopes to use; empty means all that share the camera."""
    camera: str = "DigiCam"
    """Camera name that the files must have."""
    min_size: float = Field(0.0, ge=0)
    """Least charge in photo-electrons of an image cleaned with tail cuts (8 and 4 photo-electrons); events
    with less are dropped and counted. CTLearn's reader drops those below 50 by default."""
    max_events: int | None = Field(None, gt=0)
    """Use at most this many events of each class (the first ones)."""
    input: InputConfig = InputConfig()
    """How images become integers."""
    split: SplitConfig = SplitConfig()
    """How showers are divided."""
