"""Triggers on how many neighbouring patches are bright: multiplicity, and clustering in space and time.

A patch at a sample is the core of a cluster if its sum and those of at least ``least - 1`` of its neighbours
reach the threshold. Neighbours are the patches around it at the same sample (multiplicity of next
neighbours), or those and itself also one sample before and after (density-based clustering in space and time:
the core points of DBSCAN; M. Ester et al., KDD 1996). The camera fires when there is a core.

Both are given as a value that a threshold cuts: the highest threshold at which a patch is a core, the smaller
of its own sum and the ``least``-th largest of its neighbourhood.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.stats import binom

from trigger_ml.instrument.patches import Patches
from trigger_ml.trigger.algorithm import Algorithm, Decision, NoiseTail, Waveform
from trigger_ml.trigger.digital_sum import CLUSTER_SIZE, patch_counts, patch_sums

__all__ = ["CLUSTERING", "MULTIPLICITIES", "clustering", "decide", "multiplicities"]

MULTIPLICITIES = {"multiplicity-2": 2, "multiplicity-3": 3, "multiplicity-4": 4}
"""Patches that must be bright, by the algorithm's name."""
CLUSTERING = "clustering"
CLUSTERING_LEAST = 8
"""Of up to 21 patches and samples: two or three patches for as long as a pulse lasts."""
CLUSTERING_SPAN = 1
"""Samples before and after."""


@njit(cache=True)
def _value(
    sums: NDArray[np.float64], members: NDArray[np.int64], patch: int, k: int, least: int, span: int
) -> float:
    """The highest threshold at which a patch is a core at a sample; 0 if its neighbourhood is too small."""
    largest = np.full(least, -1.0)
    for j in range(len(members)):
        if members[j] < 0:
            continue
        for s in range(max(k - span, 0), min(k + span + 1, sums.shape[1])):
            new = sums[members[j], s]
            # the smallest of the largest so far stands first
            if new > largest[0]:
                i = 0
                while i + 1 < least and largest[i + 1] < new:
                    largest[i] = largest[i + 1]
                    i += 1
                largest[i] = new
    return max(min(largest[0], sums[patch, k]), 0.0)


@njit(cache=True)
def _judge(
    sums: NDArray[np.float64], cluster: NDArray[np.int64], least: int, span: int, threshold: float
) -> tuple[float, int]:
    """Largest value of a camera, and the first sample at which one is at least the threshold, or -1."""
    best = 0.0
    n_patches, n = sums.shape
    for patch in range(n_patches):
        for k in range(n):
            # a value is never above its own sum
            if sums[patch, k] > best:
                best = max(best, _value(sums, cluster[patch], patch, k, least, span))
    if best < threshold:
        return best, -1
    for k in range(n):
        for patch in range(n_patches):
            own = sums[patch, k] >= threshold
            if own and _value(sums, cluster[patch], patch, k, least, span) >= threshold:
                return best, k
    return best, 0


def decide(
    waveform: Waveform,
    patches: Patches,
    threshold: float,
    first: int,
    last: int,
    /,
    *,
    least: int,
    span: int,
) -> Decision:
    """Whether enough neighbouring patches reach the threshold.

    Parameters
    ----------
    waveform : numpy.ndarray of float32, shape (pixels, samples)
        ADC counts above the baseline.
    patches : Patches
    threshold : float
        ADC counts of a patch.
    first, last : int
        Samples [first, last) to look at.
    least : int
        Of a neighbourhood, the patch itself included.
    span : int
        Samples before and after that belong to it.

    Returns
    -------
    Decision
        Its peak is the highest threshold at which it would fire; patches are clipped to [0, 255].
    """
    sums = patch_sums(waveform, patches.patch_of_pixel, len(patches), first, last)
    peak, sample = _judge(sums, patches.cluster, least, span, threshold)
    return Decision(peak >= threshold, first + sample if sample >= 0 else -1, peak)


def _tail(least: int, patch: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability that a patch is a core at thresholds of 0, 1, 2, ...; patches are lit independently."""
    reach = np.cumsum(patch[::-1])[::-1] / patch.sum()
    return np.asarray(reach * binom.sf(least - 2, CLUSTER_SIZE - 1, reach))


def _multiplicity(name: str, least: int) -> Algorithm:
    tail = NoiseTail(patch_counts, partial(_tail, least))
    return Algorithm(name, partial(decide, least=least, span=0), noise=tail)


def multiplicities() -> dict[str, Callable[[], Algorithm]]:
    """The algorithms by name, for the registry."""
    return {name: partial(_multiplicity, name, least) for name, least in MULTIPLICITIES.items()}


def clustering() -> Algorithm:
    """The algorithm, for the registry.

    It does not know its tail: a pulse lights a patch for several samples, which are not independent.
    """
    return Algorithm(CLUSTERING, partial(decide, least=CLUSTERING_LEAST, span=CLUSTERING_SPAN))
