"""DigiCam's own trigger: sums of patches of three pixels over clusters of seven patches (compiled)."""

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.instrument.patches import Patches
from trigger_ml.trigger.algorithm import Algorithm, Decision, NoiseTail, Waveform

__all__ = ["NAME", "PATCH_MAX", "cluster_tail", "decide", "digital_sum", "least_light", "patch_sums"]

NAME = "digital-sum"
PATCH_MAX = 255
"""A patch's sum is clipped to 8 bits."""
CLUSTER_SIZE = 7
"""Patches of a cluster that is not at the edge."""
LEAST_LIGHT = 0.45
"""Part of the threshold that Cherenkov light must give; with less, the night sky would have to trigger."""
SKY_SIGMAS = 3.5
"""Fluctuation of a cluster's night sky at one time that is not expected to help light over the threshold."""


@njit(cache=True)
def patch_sums(
    waveform: Waveform, patch_of_pixel: NDArray[np.int64], n_patches: int, first: int, last: int
) -> NDArray[np.float64]:
    """Clipped sum of every patch in the samples [first, last), ADC counts, shape (patches, last - first)."""
    sums = np.zeros((n_patches, last - first))
    for p in range(waveform.shape[0]):
        for k in range(first, last):
            sums[patch_of_pixel[p], k - first] += waveform[p, k]
    for patch in range(n_patches):
        for k in range(last - first):
            sums[patch, k] = min(max(np.floor(sums[patch, k]), 0.0), PATCH_MAX)
    return sums


@njit(cache=True)
def _cluster_sum(sums: NDArray[np.float64], cluster: NDArray[np.int64], patch: int, k: int) -> float:
    total = 0.0
    for j in range(CLUSTER_SIZE):
        if cluster[patch, j] >= 0:
            total += sums[cluster[patch, j], k]
    return total


@njit(cache=True)
def _judge(
    waveform: Waveform,
    patch_of_pixel: NDArray[np.int64],
    cluster: NDArray[np.int64],
    threshold: float,
    first: int,
    last: int,
) -> tuple[float, int]:
    """Largest cluster sum of a camera, and the first sample at which one is at least the threshold, or -1."""
    sums = patch_sums(waveform, patch_of_pixel, cluster.shape[0], first, last)
    best = 0.0
    for patch in range(cluster.shape[0]):
        for k in range(last - first):
            best = max(best, _cluster_sum(sums, cluster, patch, k))
    if best < threshold:
        return best, -1
    # a second pass, which ends early and which most readouts do not need
    for k in range(last - first):
        for patch in range(cluster.shape[0]):
            if _cluster_sum(sums, cluster, patch, k) >= threshold:
                return best, first + k
    return best, first


def decide(waveform: Waveform, patches: Patches, threshold: float, first: int, last: int) -> Decision:
    """Whether a cluster of seven patches reaches the threshold.

    Parameters
    ----------
    waveform : numpy.ndarray of float32, shape (pixels, samples)
        ADC counts above the baseline.
    patches : Patches
    threshold : float
        ADC counts.
    first, last : int
        Samples [first, last) to look at.

    Returns
    -------
    Decision
        Its peak is in ADC counts: patches are clipped to [0, 255] as the hardware does.
    """
    peak, sample = _judge(waveform, patches.patch_of_pixel, patches.cluster, threshold, first, last)
    return Decision(peak >= threshold, sample, peak)


def least_light(threshold: float, sky: Sequence[Waveform], patches: Patches, first: int, last: int) -> float:
    """ADC counts that light must add; see `LeastLight`.

    A bright sky gives a large part of the threshold: what it rarely exceeds need not be light.
    """
    least = LEAST_LIGHT * threshold
    if not sky:
        return least
    sums = [patch_sums(waveform, patches.patch_of_pixel, len(patches), first, last) for waveform in sky]
    # a cluster is the sum of seven patches, which the night sky lights independently
    level, spread = CLUSTER_SIZE * float(np.mean(sums)), math.sqrt(CLUSTER_SIZE) * float(np.std(sums))
    return min(least, threshold - level - SKY_SIGMAS * spread)


def patch_counts(waveform: Waveform, patches: Patches, first: int, last: int) -> NDArray[np.int64]:
    """How often a patch's sum was 0, 1, ... 255 ADC counts, shape (256,)."""
    sums = patch_sums(waveform, patches.patch_of_pixel, len(patches), first, last)
    return np.bincount(sums.astype(np.int64).ravel(), minlength=PATCH_MAX + 1)


def cluster_tail(patch: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability that a cluster's sum at one time is at least 0, 1, 2, ... ADC counts.

    Parameters
    ----------
    patch : numpy.ndarray of int64, shape (256,)
        From `patch_counts`.

    Returns
    -------
    numpy.ndarray, shape (7 * 255 + 1,)
    """
    one = patch / patch.sum()
    whole = one
    for _ in range(CLUSTER_SIZE - 1):
        # not by Fourier transforms: their rounding is above the tail
        whole = np.convolve(whole, one)
    return np.asarray(np.cumsum(whole[::-1])[::-1])


def digital_sum() -> Algorithm:
    """The algorithm, for the registry."""
    return Algorithm(NAME, decide, least_light, NoiseTail(patch_counts, cluster_tail))
