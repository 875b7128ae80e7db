"""Sums over flowers: a patch with its neighbours and theirs, 19 patches (compiled)."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.instrument.patches import Patches
from trigger_ml.trigger.algorithm import Algorithm, Decision, NoiseTail, Waveform
from trigger_ml.trigger.digital_sum import patch_counts, patch_sums

__all__ = ["NAME", "decide", "flower_sum", "flower_tail"]

NAME = "flower-sum"
FLOWER_SIZE = 19
"""Patches of a flower that is not at the edge."""


@njit(cache=True)
def _flowers(sums: NDArray[np.float64], flower: NDArray[np.int64]) -> NDArray[np.float64]:
    """Largest sum of any flower at each sample."""
    n_patches, n = sums.shape
    best = np.zeros(n)
    total = np.empty(n)
    for patch in range(n_patches):
        total[:] = 0.0
        for member in flower[patch]:
            if member >= 0:
                total += sums[member]
        best = np.maximum(best, total)
    return best


def decide(waveform: Waveform, patches: Patches, threshold: float, first: int, last: int, /) -> Decision:
    """Whether a flower reaches the threshold (ADC counts); patches are clipped to [0, 255]."""
    sums = patch_sums(waveform, patches.patch_of_pixel, len(patches), first, last)
    best = _flowers(sums, patches.cluster_19)
    reached = np.flatnonzero(best >= threshold)
    fires = len(reached) > 0
    return Decision(fires, first + int(reached[0]) if fires else -1, float(best.max()))


def flower_tail(patch: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability that a flower's sum at one time is at least 0, 1, 2, ... ADC counts.

    Parameters
    ----------
    patch : numpy.ndarray of int64, shape (256,)
        How often a patch's sum was 0, 1, ... 255.

    Returns
    -------
    numpy.ndarray, shape (19 * 255 + 1,)
    """
    one = patch / patch.sum()
    whole = one
    for _ in range(FLOWER_SIZE - 1):
        whole = np.convolve(whole, one)
    return np.asarray(np.cumsum(whole[::-1])[::-1])


def flower_sum() -> Algorithm:
    """The algorithm, for the registry."""
    return Algorithm(NAME, decide, noise=NoiseTail(patch_counts, flower_tail))
