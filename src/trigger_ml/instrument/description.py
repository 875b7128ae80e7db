"""What the project must know of a camera."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ctapipe.instrument import CameraGeometry, CameraReadout, SubarrayDescription

from trigger_ml.core.errors import InputError
from trigger_ml.instrument.camera import AxialGrid, axial_grid
from trigger_ml.instrument.patches import Patches

__all__ = ["Adc", "Camera", "Position"]

type Position = tuple[float, float, float]
"""Metres in ctapipe's ground frame: x north, y west, z up."""


@dataclass(frozen=True)
class Adc:
    """The converter of every pixel.

    Parameters
    ----------
    amplitude : float
        ADC counts at the peak of the pulse of one photo-electron.
    baseline : float
        ADC counts without light.
    maximum : int
        Largest ADC count.
    """

    amplitude: float
    baseline: float
    maximum: int


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera on its telescope.

    Parameters
    ----------
    name : str
        As ctapipe has it, in files and in the geometry.
    geometry : ctapipe.instrument.CameraGeometry
        In the camera frame.
    readout : ctapipe.instrument.CameraReadout
        Sampling rate, samples of the window, pulse of one photo-electron.
    patches : Patches
        What the trigger can add up.
    adc : Adc
    subarray : callable
        From telescope positions to the description of telescopes with this camera at these; ids count from 1.

    Raises
    ------
    InputError
        If these do not fit each other.
    """

    name: str
    geometry: CameraGeometry
    readout: CameraReadout
    patches: Patches
    adc: Adc
    subarray: Callable[[Sequence[Position]], SubarrayDescription]

    def __post_init__(self) -> None:
        n = int(self.geometry.n_pixels)
        if self.geometry.name != self.name:
            raise self._wrong(f"its geometry has the name {self.geometry.name}")
        for part, size in (("readout", self.readout.n_pixels), ("patches", len(self.patches.patch_of_pixel))):
            if size != n:
                raise self._wrong(f"its geometry has {n} pixels, its {part} {size}")

    @cached_property
    def grid(self) -> AxialGrid:
        """Where each pixel is on the rectangular grid that networks read."""
        return axial_grid(self.geometry)

    def _wrong(self, why: str) -> InputError:
        return InputError(f"camera {self.name}", why, "Correct what makes the camera's description")
