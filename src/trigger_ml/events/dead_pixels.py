"""Pixels that say nothing: left without light, filled from their neighbours, or refused."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.events.noise import PixelNoise
from trigger_ml.events.table import EventTable

__all__ = [
    "DeadPixels",
    "fill_with_neighbours",
    "interpolated_noise",
    "refuse_dead",
    "silent_by_telescope",
    "silent_pixels",
]

DeadPixels = Literal["interpolate", "zero", "refuse"]
"""What is done with them, as `events.dead_pixels` says."""

Flags = NDArray[np.bool_]

MOST_IMAGES = 1000
"""Images in which a pixel that is NaN is taken for dead."""


def silent_pixels(images: Iterable[NDArray[np.floating]], n_pixels: int) -> Flags:
    """Pixels that are NaN in all of some images, shape (pixels,); none are without images.

    Parameters
    ----------
    images : iterable of numpy.ndarray, shape (events, pixels)
        Read only as long as some pixel was NaN in all.
    n_pixels : int
    """
    silent, seen = np.ones(n_pixels, dtype=bool), False
    for part in images:
        seen |= len(part) > 0
        silent &= np.isnan(part).all(axis=0)
        if not silent.any():
            break
    return silent if seen else np.zeros(n_pixels, dtype=bool)


def silent_by_telescope(tables: Iterable[EventTable], n_pixels: int) -> dict[int, Flags]:
    """`silent_pixels` of each telescope of some events, of as many as `MOST_IMAGES` in all."""
    found: dict[int, Flags] = {}
    seen = 0
    for table in tables:
        for tel_id in np.unique(table.tel_id).tolist():
            silent = silent_pixels([table.image[table.tel_id == tel_id]], n_pixels)
            found[tel_id] = found.get(tel_id, True) & silent
        seen += len(table)
        if seen >= MOST_IMAGES or not any(flags.any() for flags in found.values()):
            break
    return found


def fill_with_neighbours(
    values: NDArray[np.float32], missing: Flags, neighbours: NDArray[np.intp]
) -> tuple[NDArray[np.float32], Flags]:
    """Put the mean of their living neighbours into missing pixels, as ctapipe's ``NeighborAverage`` does.

    That one takes an image at a time; this one all of them.

    Parameters
    ----------
    values : numpy.ndarray of float32, shape (n, pixels)
    missing : numpy.ndarray of bool, shape (n, pixels)
    neighbours : numpy.ndarray of int, shape (pixels, most neighbours)
        From `parameters.neighbour_table`.

    Returns
    -------
    filled : numpy.ndarray of float32, shape (n, pixels)
        0 where no neighbour lives.
    left : numpy.ndarray of bool, shape (n, pixels)
        Pixels without a living neighbour.
    """
    event, pixel = np.nonzero(missing)
    around = neighbours[pixel]
    # the last column is the neighbour that is not there
    alive = np.zeros((len(values), values.shape[1] + 1), dtype=bool)
    alive[:, :-1] = ~missing
    known = alive[event[:, np.newaxis], around]
    near = values[event[:, np.newaxis], np.minimum(around, values.shape[1] - 1)].astype(np.float64)
    number = known.sum(axis=1)
    filled, left = values.copy(), np.zeros_like(missing)
    filled[event, pixel] = np.where(known, near, 0).sum(axis=1) / np.maximum(number, 1)
    left[event, pixel] = number == 0
    return filled, left


def interpolated_noise(noise: PixelNoise, neighbours: NDArray[np.intp]) -> PixelNoise:
    """Noise in which dead pixels have that of their living neighbours; without any they stay dead."""
    if not noise.dead.any():
        return noise
    mean, left = fill_with_neighbours(noise.mean, noise.dead, neighbours)
    spread, _ = fill_with_neighbours(noise.spread, noise.dead, neighbours)
    return replace(noise, mean=mean, spread=spread, dead=left)


def refuse_dead(table: EventTable, missing: Flags, path: str) -> None:
    """Refuse events with dead pixels.

    Parameters
    ----------
    table : EventTable
    missing : numpy.ndarray of bool, shape (n, pixels)
    path : str
        Of the events, for the message.

    Raises
    ------
    InputError
        It names the first such event and its pixels.
    """
    rows = np.flatnonzero(missing.any(axis=1))
    if not len(rows):
        return
    row = int(rows[0])
    pixels = np.flatnonzero(missing[row])
    names = ", ".join(map(str, pixels[:5])) + (f" and {len(pixels) - 5} more" if len(pixels) > 5 else "")
    word, verb = ("pixels", "are") if len(pixels) > 1 else ("pixel", "is")
    raise InputError(
        f"{path}: event {table.event_id[row]} of observation {table.obs_id[row]}, "
        f"telescope {table.tel_id[row]}",
        f"{word} {names} {verb} dead, and `events.dead_pixels` is `refuse`",
        "Set it to `interpolate` or `zero` (and train so), or leave these events out of the file",
    )
