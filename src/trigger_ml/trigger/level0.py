"""DigiCam's trigger as built, in integers: baselines, patches of 8 bits, sums over clusters, thresholds.

`digital_sum` is the same trigger for simulated waveforms, whose samples above the baseline are no integers.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.instrument.patches import Patches
from trigger_ml.trigger.baseline import AS_BUILT, Counts, RunningMean, Samples, estimate
from trigger_ml.trigger.digital_sum import PATCH_MAX

__all__ = ["NO_CLIP", "Answer", "Level0", "cluster_sums", "patch_traces"]

type Traces = NDArray[np.uint8]

NO_CLIP = 4095
"""What 12 bits cannot exceed: pixels are not clipped."""


@njit(cache=True)
def patch_traces(
    samples: Samples,
    baseline: Counts,
    patch_of_pixel: NDArray[np.int64],
    n_patches: int,
    pixel_most: int = NO_CLIP,
) -> Traces:
    """Clipped sums of patches: the trigger's input.

    Parameters
    ----------
    samples, baseline : numpy.ndarray of int32, shape (pixels, samples)
        ADC counts.
    patch_of_pixel : numpy.ndarray of int64, shape (pixels,)
    n_patches : int
    pixel_most : int
        ADC counts above the baseline to which each pixel is clipped before it is added.

    Returns
    -------
    numpy.ndarray of uint8, shape (n_patches, samples)
    """
    n_pixels, n = samples.shape
    sums = np.zeros((n_patches, n), np.int32)
    for p in range(n_pixels):
        patch = patch_of_pixel[p]
        for k in range(n):
            sums[patch, k] += min(samples[p, k] - baseline[p, k], pixel_most)
    found = np.empty((n_patches, n), np.uint8)
    for patch in range(n_patches):
        for k in range(n):
            found[patch, k] = min(max(sums[patch, k], 0), PATCH_MAX)
    return found


@njit(cache=True)
def cluster_sums(traces: Traces, cluster: NDArray[np.int64]) -> Counts:
    """Sums of patches over clusters.

    Parameters
    ----------
    traces : numpy.ndarray of uint8, shape (patches, samples)
    cluster : numpy.ndarray of int64, shape (patches, 7 or 19)
        -1 where there is no patch.

    Returns
    -------
    numpy.ndarray of int32, shape (patches, samples)
    """
    n_patches, n = traces.shape
    found = np.zeros((n_patches, n), np.int32)
    for patch in range(n_patches):
        for j in range(cluster.shape[1]):
            member = cluster[patch, j]
            if member >= 0:
                for k in range(n):
                    found[patch, k] += traces[member, k]
    return found


@dataclass(frozen=True, eq=False)
class Answer:
    """What level 0 makes of one window.

    Parameters
    ----------
    traces : numpy.ndarray of uint8, shape (patches, samples)
        Clipped sums of patches.
    patch7, patch19 : numpy.ndarray of bool, shape (patches, samples)
        Clusters that fire.
    sample : int
        First sample at which a cluster fires; -1 if none does.
    """

    traces: Traces
    patch7: NDArray[np.bool_]
    patch19: NDArray[np.bool_]
    sample: int

    @property
    def fires(self) -> bool:
        """Whether the camera is read out."""
        return self.sample >= 0


@dataclass(frozen=True, eq=False)
class Level0:
    """The trigger of a camera.

    Parameters
    ----------
    patches : Patches
    threshold7, threshold19 : int or None
        Least sum, in ADC counts, at which a cluster of 7 or 19 fires; None if such clusters do not count.
    rule : RunningMean
    pixel_most : int
        ADC counts above the baseline to which each pixel is clipped before patches are summed.
    """

    patches: Patches
    threshold7: int | None
    threshold19: int | None = None
    rule: RunningMean = AS_BUILT
    pixel_most: int = NO_CLIP

    def window(self, samples: Samples, recorded: NDArray[np.int64], unit: float) -> Answer:
        """Judge a recorded window, with the baselines of `estimate`.

        Parameters
        ----------
        samples : numpy.ndarray of int32, shape (pixels, samples)
            ADC counts.
        recorded : numpy.ndarray of int64, shape (pixels,)
            Baselines that the camera wrote.
        unit : float
            ADC counts of one unit of these.
        """
        return self.judge(samples, estimate(samples, recorded, unit, self.rule))

    def judge(self, samples: Samples, baseline: Counts) -> Answer:
        """Judge samples from which known baselines are subtracted, both of shape (pixels, samples)."""
        traces = patch_traces(
            samples, baseline, self.patches.patch_of_pixel, len(self.patches), self.pixel_most
        )
        fired = [
            cluster_sums(traces, cluster) >= threshold
            if threshold is not None
            else np.zeros(traces.shape, dtype=np.bool_)
            for cluster, threshold in (
                (self.patches.cluster, self.threshold7),
                (self.patches.cluster_19, self.threshold19),
            )
        ]
        at = np.flatnonzero((fired[0] | fired[1]).any(axis=0))
        return Answer(traces, fired[0], fired[1], int(at[0]) if len(at) else -1)
