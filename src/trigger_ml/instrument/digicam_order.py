"""In which order DigiCam's read-out writes its 432 trigger patches.

The camera is three sectors, each turned by 120 degrees against the one before; a sector's trigger board sees
12 x 12 patches, three pixels each. What goes into the board arrives by modules of 2 x 2 patches, 6 x 6 of
them; what it decides leaves by rows of 12. The rule was found in the camera's configuration table
(``camera_config.cfg`` of digicampipe: sector, module in sector, patch in module, patch of the trigger's
output), with which a test compares it.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from trigger_ml.instrument import sst1m
from trigger_ml.instrument.digicam import digicam

__all__ = ["SECTORS", "SECTOR_PATCHES", "SECTOR_SLOTS", "PatchOrder", "patch_order"]

SECTORS = 3
SECTOR_PATCHES = 144
"""Patches of a sector."""
SECTOR_SLOTS = 192
"""Bytes that a sector's inputs take for each sample; those behind its patches hold nothing of the camera."""

SIDE = 12
"""Patches along a side of a sector."""
MODULE = 2
"""Patches along a side of a module."""
FIRST = 204
"""Patch at the corner of the first sector, the camera's centre."""
# steps of the first sector's columns and rows in rows of pixels and half pitches (`patches_of_three`)
COLUMN_STEP = np.array([np.sqrt(3) / 2, 1.5])
ROW_STEP = np.array([-np.sqrt(3), 0.0])


@dataclass(frozen=True, eq=False)
class PatchOrder:
    """Patch numbers in the order of the file's arrays.

    Parameters
    ----------
    inputs, outputs : numpy.ndarray of int64, shape (432,)
        The patch (number of `Patches`) of each element of a sample's ``trigger_input_traces``, of the bits of
        its ``trigger_output_patch7`` and ``trigger_output_patch19``.
    """

    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]


@cache
def patch_order() -> PatchOrder:
    """Order of DigiCam's patches in raw files."""
    camera = digicam()
    geometry, patch = camera.geometry, camera.patches.patch_of_pixel
    pixel = (
        np.stack([-geometry.pix_x.to_value("m"), -geometry.pix_y.to_value("m")], axis=1) / sst1m.PIXEL_PITCH
    )
    size = np.bincount(patch)[:, np.newaxis]
    centre = np.stack([np.bincount(patch, weights=axis) for axis in pixel.T], axis=1) / size

    row, column = (axis.ravel() for axis in np.mgrid[:SIDE, :SIDE])
    first = centre[FIRST] + row[:, np.newaxis] * ROW_STEP + column[:, np.newaxis] * COLUMN_STEP
    outputs = np.concatenate([_nearest(_turned(first, sector), centre) for sector in range(SECTORS)])
    module = row // MODULE * (SIDE // MODULE) + column // MODULE
    in_module = row % MODULE * MODULE + column % MODULE
    arrival = np.argsort(module * MODULE**2 + in_module)
    inputs = outputs.reshape(SECTORS, SECTOR_PATCHES)[:, arrival].ravel()
    return PatchOrder(inputs, outputs)


def _turned(position: NDArray[np.float64], sector: int) -> NDArray[np.float64]:
    angle = -2 * np.pi / 3 * sector
    cosine, sine = np.cos(angle), np.sin(angle)
    return position @ np.array([[cosine, sine], [-sine, cosine]])


def _nearest(position: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.int64]:
    distance = np.hypot(*(position[:, np.newaxis] - centre).transpose(2, 0, 1))
    return np.asarray(distance.argmin(axis=1), dtype=np.int64)
