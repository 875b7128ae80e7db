"""From charges and times to the integers that the network reads."""

from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.core.config import InputConfig
from trigger_ml.events.camera import AxialGrid
from trigger_ml.events.table import EventTable

Counts = NDArray[np.unsignedinteger[Any]]


class PixelMap(Protocol):
    """What lays a camera's pixels out as an image: `AxialGrid` or `BilinearMap`."""

    @property
    def camera(self) -> str:
        """Name of the camera."""

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""

    def to_grid(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Images of shape (n, H, W) from pixels of shape (n, pixels)."""


def count_dtype(bits: int) -> type[np.uint8] | type[np.uint16]:
    """Smallest unsigned type that holds ``bits`` bits (at most 16)."""
    return np.uint8 if bits <= 8 else np.uint16


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count(value: Any, scale: Any, top: Any) -> Any:
    return min(max(np.rint(value * scale), np.float32(0)), top)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quantize(values: Any, scale: Any, top: Any, out: Any) -> None:
    for i in range(len(values)):
        out[i] = _count(values[i], scale, top)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quantize_to_cells(pixels: Any, pixel_of_cell: Any, scale: Any, top: Any, out: Any) -> None:
    # an image's counts stay in the core's nearest cache; the last of them is that of cells without a pixel
    n, n_pixels = pixels.shape
    counts = np.zeros(n_pixels + 1, out.dtype)
    for i in range(n):
        for pixel in range(n_pixels):
            counts[pixel] = _count(pixels[i, pixel], scale, top)
        for cell in range(len(pixel_of_cell)):
            out[i, cell] = counts[pixel_of_cell[cell]]


def _scale(lsb: float, bits: int) -> tuple[np.float32, np.float32]:
    """Counts for each unit of the values, and the largest count."""
    return np.float32(1 / lsb), np.float32(2**bits - 1)


def quantize(values: NDArray[np.floating[Any]], lsb: float, bits: int) -> Counts:
    """Round to counts of ``lsb`` (half to even), clipped to [0, 2**bits - 1].

    Parameters
    ----------
    values : numpy.ndarray
        Finite.
    lsb : float
        Size of one count, in the unit of the values.
    bits : int
        Width of the result.

    Returns
    -------
    numpy.ndarray of uint8 (up to 8 bits) or uint16, same shape
    """
    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
    counts = np.empty(flat.shape, dtype=count_dtype(bits))
    _quantize(flat, *_scale(lsb, bits), counts)
    return counts.reshape(values.shape)


def channel_values(table: EventTable, channel: str) -> NDArray[np.float32]:
    """Per-pixel column of a channel, shape (n, pixels).

    Raises
    ------
    ValueError
        If the table lacks it.
    """
    values = table.image if channel == "image" else table.peak_time
    if values is None:
        raise ValueError(f"the events have no {channel}")
    return values


def to_counts(table: EventTable, config: InputConfig, grid: PixelMap, out: Counts | None = None) -> Counts:
    """Network input of all events.

    On the exact grid pixels are quantized first, as a camera's electronics would; an interpolating map works
    on charges, so quantization comes after it.

    Parameters
    ----------
    table : EventTable
        With finite images (and peak times where the configuration uses them).
    config : InputConfig
    grid : AxialGrid or BilinearMap
        Of the events' camera.
    out : numpy.ndarray, shape (n, H, W, C), optional
        Where to put the result, of the dtype that `count_dtype` gives.

    Returns
    -------
    numpy.ndarray of uint8 or uint16, shape (n, H, W, C)
        Channels in the order of ``config.channels``; cells without a pixel are 0.
    """
    counts = out
    if counts is None:
        counts = np.empty((len(table), *grid.shape, len(config.channels)), dtype=count_dtype(config.bits))
    for index, channel in enumerate(config.channels):
        lsb = config.charge_lsb if channel == "image" else config.time_lsb
        pixels = channel_values(table, channel)
        if isinstance(grid, AxialGrid):
            grid.check(pixels)
            cells = counts[..., index].reshape(len(table), grid.mask.size, copy=False)
            _quantize_to_cells(pixels, grid.pixel_of_cell, *_scale(lsb, config.bits), cells)
        else:
            counts[..., index] = quantize(grid.to_grid(pixels), lsb, config.bits)
    return counts


def values(counts: Counts, bits: int) -> NDArray[np.float32]:
    """Values that the counts stand for: ``counts * 2**-bits``, exact in float32."""
    return counts.astype(np.float32) * np.float32(2.0**-bits)
