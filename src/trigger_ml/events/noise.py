"""What the night sky and the electronics add to each pixel: measured, never assumed.

A pixel's charge without a shower has a mean (the extraction takes the highest peak of the window, so it rises
with the night sky) and a spread. Telescopes measure both with clocked events, several times in a night.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.stats import mad_std
from numpy.typing import NDArray
from scipy.stats import t as student

__all__ = ["LEAST_EVENTS", "PixelNoise", "noise_of_images", "threshold_factor"]

LEAST_EVENTS = 16
"""Images from which a pixel's own mean and spread are taken; with fewer, all pixels share one of each."""
CLIP = 4.0
"""Spreads beyond which a charge is light of a shower (or a star that went by), not noise. The charge of the
highest peak has a tail upwards, of which 4 leave the spread within 1 %."""
REFERENCE = 64
"""Windows in which the simulation's monitoring measures the noise, so that of which networks are trained."""


@dataclass(frozen=True, eq=False)
class PixelNoise:
    """Noise of a camera's pixels, one row for each block of events.

    Parameters
    ----------
    mean, spread : numpy.ndarray of float32, shape (blocks, pixels)
        Of the charge without light from showers, photo-electrons.
    dead : numpy.ndarray of bool, shape (blocks, pixels)
        Pixels that say nothing.
    source : str
        How it was measured, in words.
    windows : numpy.ndarray of int64, shape (blocks,), optional
        In how many windows; None: in as many as the simulation's.
    judged : numpy.ndarray of bool, shape (blocks,), optional
        Whether these windows are themselves events that are judged; None: they are not.
    """

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    dead: NDArray[np.bool_]
    source: str
    windows: NDArray[np.int64] | None = None
    judged: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.mean)

    def factors(self, spreads: float) -> NDArray[np.float64]:
        """`threshold_factor` of each block, shape (blocks,)."""
        if self.windows is None:
            return np.ones(len(self))
        judged = np.zeros(len(self), dtype=bool) if self.judged is None else self.judged
        kinds, row = np.unique(np.stack([self.windows, judged]), axis=1, return_inverse=True)
        found = [threshold_factor(int(n), spreads, judged=bool(own)) for n, own in kinds.T.tolist()]
        return np.array(found)[row.ravel()]

    # of thousands of pixels in a hundred blocks, and every chunk of events asks
    @cached_property
    def level(self) -> NDArray[np.float64]:
        """Median over the living pixels of the mean charge, photo-electrons, shape (blocks,)."""
        return _median_of_living(self.mean, self.dead)

    @cached_property
    def width(self) -> NDArray[np.float64]:
        """Median over the living pixels of the spread, photo-electrons, shape (blocks,)."""
        return _median_of_living(self.spread, self.dead)

    @cached_property
    def dead_fraction(self) -> NDArray[np.float64]:
        """Fraction of the pixels that are dead, shape (blocks,)."""
        return np.asarray(self.dead.mean(axis=1))


def threshold_factor(windows: int, spreads: float, *, judged: bool) -> float:
    """Factor to a threshold in measured spreads with which noise passes as often as in the training.

    A mean and a spread measured in few windows are themselves uncertain, so noise of other windows exceeds
    mean and three spreads more often than normal noise would: its studentized deviation has a Student's
    distribution. Noise of the very windows that were measured exceeds it less often, since each value pulls
    mean and spread towards itself (Thompson's distribution, Annals of Mathematical Statistics 6, 1935, 214):
    three times less often with 28 windows. With the factor both pass as often as with `REFERENCE` windows of
    which none is judged.

    Parameters
    ----------
    windows : int
        In which mean and spread were measured.
    spreads : float
        The threshold.
    judged : bool
        Whether it is these windows that are judged.

    Returns
    -------
    float
        1 where nothing is known (fewer than three windows) or asked for (no threshold).
    """
    if windows < 3 or spreads <= 0 or (windows == REFERENCE and not judged):
        return 1.0
    passing = student.sf(spreads / np.sqrt(1 + 1 / REFERENCE), REFERENCE - 1)
    if not judged:
        return float(student.isf(passing, windows - 1) * np.sqrt(1 + 1 / windows) / spreads)
    t = student.isf(passing, windows - 2)
    return float(t * (windows - 1) / np.sqrt(windows * (windows - 2 + t**2)) / spreads)


def _median_of_living(values: NDArray[np.float32], dead: NDArray[np.bool_]) -> NDArray[np.float64]:
    living = np.where(dead, np.nan, values.astype(np.float64))
    return np.array([np.nanmedian(row) if np.isfinite(row).any() else np.nan for row in living])


def noise_of_images(images: Sequence[NDArray[np.floating]], source: str, *, judged: bool) -> PixelNoise:
    """Noise from images, of clocked events or of showers: those light few pixels each.

    Mean and standard deviation of each pixel over the images, without charges that are `CLIP` spreads or more
    from its median. These spreads are median deviations, which a few bright charges among few do not widen: a
    pixel's own, but not less than the camera's median of them, since of few images some come out too small.
    A pixel is dead if none of its charges is finite, or (of at least `LEAST_EVENTS`) all are the same.

    Parameters
    ----------
    images : sequence of numpy.ndarray, shape (events, pixels)
        Photo-electrons.
    source : str
        What the images are.
    judged : bool
        Whether it is their noise that the result is used for; not if other events are judged.

    Returns
    -------
    PixelNoise
        One block. Below `LEAST_EVENTS` images a pixel's own numbers would be luck: then all pixels share
        those of the whole camera.
    """
    charge = np.concatenate([np.asarray(part, dtype=np.float32) for part in images])
    finite = np.ma.masked_invalid(charge)
    dead = ~np.isfinite(charge).any(axis=0)
    if len(charge) >= LEAST_EVENTS:
        dead |= np.ma.filled(finite.min(axis=0) == finite.max(axis=0), fill_value=True)
    axis = 0 if len(charge) >= LEAST_EVENTS else None
    living = finite.filled(np.nan)[:, ~dead]
    mean: float | NDArray[np.floating] = 0.0
    spread: float | NDArray[np.floating] = 0.0
    if living.size:
        deviation = mad_std(living, axis=axis, ignore_nan=True)
        width = CLIP * np.maximum(deviation, np.median(deviation))
        living[np.abs(living - np.nanmedian(living, axis=axis)) > width] = np.nan
        # the sample's standard deviation is what `threshold_factor` speaks of
        mean = np.nanmean(living, axis=axis)
        spread = np.nanstd(living, axis=axis, ddof=min(1, np.isfinite(living).sum() - 1))
    shape = charge.shape[1]
    rows = {}
    for name, values in (("mean", mean), ("spread", spread)):
        rows[name] = np.zeros((1, shape), dtype=np.float32)
        rows[name][0, ~dead] = values
    detail = f"{source}, {len(charge)} images" + ("" if axis == 0 else ", all pixels together")
    # together all pixels' charges are very many windows
    windows = len(charge) if axis == 0 else charge.size
    return PixelNoise(
        rows["mean"],
        rows["spread"],
        dead[np.newaxis],
        detail,
        np.array([windows], dtype=np.int64),
        np.array([judged]),
    )
