"""From charges and times to the integers that the network reads."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.core.config import InputConfig
from trigger_ml.events.noise import PixelNoise
from trigger_ml.events.table import EventTable
from trigger_ml.instrument.camera import AxialGrid

Counts = NDArray[np.unsignedinteger]


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

    def to_grid(self, pixels: NDArray[np.floating]) -> NDArray[np.floating]:
        """Images of shape (n, H, W) from pixels of shape (n, pixels)."""


def count_dtype(bits: int) -> type[np.uint8] | type[np.uint16]:
    """Smallest unsigned type that holds ``bits`` bits (at most 16)."""
    return np.uint8 if bits <= 8 else np.uint16


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count(value: np.float32, scale: np.float32, top: np.float32) -> np.float32:
    return min(max(np.rint(value * scale), np.float32(0)), top)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count_above(
    value: np.float32, scale: np.float32, pedestal: np.float32, least: np.float32, top: np.float32
) -> np.float32:
    # float32 holds these integers exactly; a charge far beyond them saturates either way
    count = np.rint(value * scale) - pedestal
    return min(count, top) if count >= least else np.float32(0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quantize(values: NDArray[np.float32], scale: np.float32, top: np.float32, out: Counts) -> None:
    for i in range(len(values)):
        out[i] = _count(values[i], scale, top)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _charge_to_cells(
    pixels: NDArray[np.float32],
    block: NDArray[np.int64],
    pedestal: NDArray[np.float32],
    least: NDArray[np.float32],
    pixel_of_cell: NDArray[np.int64],
    scale: np.float32,
    top: np.float32,
    out: Counts,
) -> None:
    # an image's counts stay in the core's nearest cache; the last of them is that of cells without a pixel
    n, n_pixels = pixels.shape
    counts = np.zeros(n_pixels + 1, out.dtype)
    for i in range(n):
        b = block[i]
        for pixel in range(n_pixels):
            counts[pixel] = _count_above(pixels[i, pixel], scale, pedestal[b, pixel], least[b, pixel], top)
        for cell in range(len(pixel_of_cell)):
            out[i, cell] = counts[pixel_of_cell[cell]]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _charge_read_out(
    pixels: NDArray[np.float32],
    bits: NDArray[np.int32],
    block: NDArray[np.int64],
    pedestal: NDArray[np.float32],
    least: NDArray[np.float32],
    dead: NDArray[np.bool_],
    pixel_of_cell: NDArray[np.int64],
    scale: np.float32,
    top: np.float32,
    out: Counts,
    broken: NDArray[np.bool_],
    lit: NDArray[np.int32],
) -> None:
    # as _charge_to_cells; in the same pass: living pixels that are not finite, and counts that are not zero
    n, n_pixels = pixels.shape
    counts = np.zeros(n_pixels + 1, out.dtype)
    for i in range(n):
        b = block[i]
        wrong, above = np.int32(0), np.int32(0)
        for pixel in range(n_pixels):
            # the exponent of NaN and infinities has all bits set
            wrong |= ((bits[i, pixel] & 0x7F800000) == 0x7F800000) & ~dead[b, pixel]
            counts[pixel] = _count_above(pixels[i, pixel], scale, pedestal[b, pixel], least[b, pixel], top)
            above += counts[pixel] != 0
        broken[i], lit[i] = wrong, above
        for cell in range(len(pixel_of_cell)):
            out[i, cell] = counts[pixel_of_cell[cell]]


def _scale(lsb: float, bits: int) -> tuple[np.float32, np.float32]:
    """Counts for each unit of the values, and the largest count."""
    return np.float32(1 / lsb), np.float32(2**bits - 1)


def quantize(values: NDArray[np.floating], lsb: float, bits: int) -> Counts:
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


@dataclass(frozen=True, eq=False)
class ChargeRule:
    """What a charge must exceed to count, in counts: integers, as a camera would hold them.

    A pixel's count is ``rint(charge / lsb) - pedestal``, and 0 where that is below ``least``.

    Parameters
    ----------
    pedestal, least : numpy.ndarray of float32, shape (blocks, pixels)
        Whole numbers. ``least`` is at least 1.
    """

    pedestal: NDArray[np.float32]
    least: NDArray[np.float32]


def charge_rule(config: InputConfig, noise: PixelNoise | None, n_pixels: int) -> ChargeRule:
    """The rule of an input configuration, from the pixels' noise.

    Parameters
    ----------
    config : InputConfig
    noise : PixelNoise or None
        Needed with ``pedestal: pixel``. Dead pixels never count.
    n_pixels : int
        Of the camera.

    Returns
    -------
    ChargeRule
        A row for each block of the noise; one row without noise.

    Raises
    ------
    ValueError
        If the configuration needs the noise and there is none, or it is another camera's.
    """
    if config.pedestal == "none":
        return ChargeRule(np.zeros((1, n_pixels), np.float32), np.ones((1, n_pixels), np.float32))
    if noise is None or noise.mean.shape[1] != n_pixels:
        raise ValueError(f"the noise of {n_pixels} pixels is needed")
    spreads = (config.threshold * noise.factors(config.threshold))[:, np.newaxis].astype(np.float32)
    above = np.maximum(spreads * noise.spread, config.threshold_charge)
    least = np.maximum(np.ceil(above / config.charge_lsb), 1)
    return ChargeRule(
        pedestal=np.rint(noise.mean / config.charge_lsb).astype(np.float32),
        least=np.where(noise.dead, np.inf, least).astype(np.float32),
    )


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


def to_counts(
    table: EventTable,
    config: InputConfig,
    grid: PixelMap,
    rule: ChargeRule | None = None,
    out: Counts | None = None,
) -> Counts:
    """Network input of all events.

    On the exact grid pixels are quantized first, as a camera's electronics would; an interpolating map works
    on charges, so quantization comes after it. The time of a pixel whose charge does not count is 0.

    Parameters
    ----------
    table : EventTable
        With finite images (and peak times where the configuration uses them).
    config : InputConfig
    grid : AxialGrid or BilinearMap
        Of the events' camera.
    rule : ChargeRule, optional
        From `charge_rule`; may be left out with ``pedestal: none``. An event's row is its ``block``; without
        blocks there is one row for all.
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
    if rule is None:
        rule = charge_rule(config, None, grid.n_pixels)
    block = np.zeros(len(table), dtype=np.int64)
    if len(rule.least) > 1:
        if table.block is None or (table.block < 0).any():
            raise ValueError("events without a block, and the noise differs between blocks")
        block = table.block
    for index, channel in enumerate(config.channels):
        pixels = channel_values(table, channel)
        if isinstance(grid, AxialGrid):
            grid.check(pixels)
            cells = counts[..., index].reshape(len(table), grid.mask.size, copy=False)
            if channel == "image":
                scale, top = _scale(config.charge_lsb, config.bits)
                _charge_to_cells(
                    pixels, block, rule.pedestal, rule.least, grid.pixel_of_cell, scale, top, cells
                )
            else:
                times = np.where(_counts_at_all(table.image, config, rule, block), pixels, np.float32(0))
                cells[:] = grid.to_grid(quantize(times, config.time_lsb, config.bits)).reshape(cells.shape)
        else:
            lit = _counts_at_all(table.image, config, rule, block)
            if channel == "image":
                lsb = config.charge_lsb
                light = np.where(lit, pixels - rule.pedestal[block] * np.float32(lsb), np.float32(0))
            else:
                lsb, light = config.time_lsb, np.where(lit, pixels, np.float32(0))
            counts[..., index] = quantize(grid.to_grid(light), lsb, config.bits)
    return counts


def read_out(
    table: EventTable, config: InputConfig, grid: AxialGrid, rule: ChargeRule, dead: NDArray[np.bool_]
) -> tuple[Counts, NDArray[np.bool_], NDArray[np.int32]]:
    """Input of charges alone, in one pass over the pixels: as a camera reads them out.

    Parameters
    ----------
    table : EventTable
        With ``block`` where the rule has several rows.
    config : InputConfig
        Its only channel is the charge.
    grid : AxialGrid
    rule : ChargeRule
        Dead pixels never count in it.
    dead : numpy.ndarray of bool, shape (blocks, pixels)

    Returns
    -------
    counts : numpy.ndarray of uint8 or uint16, shape (n, H, W, 1)
        As `to_counts`; of no use where the event is not usable.
    usable : numpy.ndarray of bool, shape (n,)
        Every living pixel is finite, and there is one.
    lit : numpy.ndarray of int32, shape (n,)
        Pixels that count.
    """
    grid.check(table.image)
    n = len(table)
    counts = np.empty((n, *grid.shape, 1), dtype=count_dtype(config.bits))
    block = np.zeros(n, dtype=np.int64) if len(rule.least) == 1 else table.block
    image = np.ascontiguousarray(table.image)
    broken, lit = np.empty(n, dtype=np.bool_), np.empty(n, dtype=np.int32)
    _charge_read_out(
        image,
        image.view(np.int32),
        block,
        rule.pedestal,
        rule.least,
        dead,
        grid.pixel_of_cell,
        *_scale(config.charge_lsb, config.bits),
        counts.reshape(n, -1),
        broken,
        lit,
    )
    return counts, ~broken & ~dead.all(axis=1)[block], lit


def _counts_at_all(
    charge: NDArray[np.float32], config: InputConfig, rule: ChargeRule, block: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Pixels whose charge gives a count above 0, shape (n, pixels); all without a pedestal."""
    if config.pedestal == "none":
        return np.ones(charge.shape, dtype=bool)
    scale = _scale(config.charge_lsb, config.bits)[0]
    return np.rint(charge * scale) - rule.pedestal[block] >= rule.least[block]
