"""Configuration of the events: where they come from and how an image becomes the network's input."""

from collections.abc import Mapping
from typing import Literal, Self

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
    pedestal: Literal["pixel", "none"] = "pixel"
    """``pixel``: each pixel's mean charge without light is subtracted first, as its clocked events (or the
    file's images) tell, so that the night sky adds nothing. ``none``: charge as the file gives it."""
    threshold: float = Field(3.0, ge=0)
    """Least charge above the pedestal that counts, in spreads of the pixel's own noise; less becomes 0. Only
    with ``pedestal: pixel``."""
    threshold_charge: float = Field(0.0, ge=0)
    """Least charge above the pedestal that counts, in photo-electrons, however quiet the pixel. Only with
    ``pedestal: pixel``."""
    time_lsb: float = Field(0.25, gt=0)
    """Nanoseconds per count of the peak-time channel."""
    mapping: Literal["axial", "bilinear"] = "axial"
    """``axial``: each pixel is one cell of a rectangular grid, exact (what firmware sees).
    ``bilinear``: CTLearn's interpolation, for off-line comparison; cannot be built into firmware, so
    ``firmware.hls`` and ``firmware.rtl`` must be null."""

    @classmethod
    def of_network(cls, values: Mapping[str, object]) -> Self:
        """Input configuration as a network's metadata hold it; those written before 0.2 knew no pedestals."""
        return cls.model_validate({"pedestal": "none", **values})

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
    night_sky_files: tuple[str, ...] = ()
    """ctapipe HDF5 files of clocked events (no shower): half of them are background to the training of a
    classifier, half are judged. ``simulation.night_sky_events`` makes some."""
    tel_ids: tuple[int, ...] = ()
    """Telescopes to use; empty means all that share the camera."""
    camera: str = "DigiCam"
    """Camera name that the files must have."""
    dead_pixels: Literal["interpolate", "zero", "refuse"] = "zero"
    """Pixels that the file flags as dead, whose pedestal has no spread, or that are NaN in all of its images.
    ``zero``: they count nothing; an event with another pixel that is no number is dropped and counted.
    ``interpolate``: they, and pixels that are NaN in one event, get the mean of their living neighbours.
    ``refuse``: a file with such a pixel is refused, and the pixel named. The network keeps this for whoever
    feeds it."""
    min_size: float = Field(0.0, ge=0)
    """Least charge in photo-electrons of an image cleaned with tail cuts (8 and 4 photo-electrons, or 4 and 2
    spreads of the image's dark pixels where that is more) above its median; events with less are dropped
    and counted. CTLearn's reader drops those below 50 by default."""
    max_events: int | None = Field(None, gt=0)
    """Use at most this many events of each class (the first ones)."""
    input: InputConfig = InputConfig()
    """How images become integers."""
    split: SplitConfig = SplitConfig()
    """How showers are divided."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """All files that the user gives."""
        return (*self.files, *self.night_sky_files)
