"""DigiCam's running baseline: what the trigger subtracts from a pixel's samples, in integers.

The firmware keeps the sum of a pixel's last 1024 samples. With the samples ``x`` in clocks of 4 ns, what is
subtracted from ``x[k]`` is::

    sum[k] = x[k - 6] + x[k - 7] + ... + x[k - 6 - 1023]
    baseline[k] = sum[k] >> 10

and a raw file holds ``sum >> 6`` (sixteenths of a count; ``sum >> 10`` in 2017), as it was for one sample of
its window, the seventh. How that was found in recorded data, and how other rules fail, is in
``benchmarks/hardware_baseline.py`` and docs/trigger.md.

A window of 50 samples lacks the samples that leave the sum while it lasts: they came 1024 clocks earlier.
The baseline is then known exactly at one sample, and uncertain by a random walk around it; `estimate` gives
its best guess and `bounds` what is possible.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["AS_BUILT", "RunningMean", "Spread", "bounds", "estimate", "running_baseline", "spread"]

type Samples = NDArray[np.int32]
type Counts = NDArray[np.int32]


@dataclass(frozen=True)
class RunningMean:
    """The rule.

    Parameters
    ----------
    shift : int
        Two to this power samples are averaged.
    delay : int
        Clocks between a sample and the first one from which a baseline with it is subtracted.
    recorded_at : int
        Sample of the window for which the recorded baseline is the one that was subtracted.
    """

    shift: int = 10
    delay: int = 6
    recorded_at: int = 6


AS_BUILT = RunningMean()
"""DigiCam's."""


def running_baseline(stream: Samples, rule: RunningMean = AS_BUILT) -> tuple[Counts, NDArray[np.int64]]:
    """Baselines of an unbroken stream of samples, as the firmware has them.

    Parameters
    ----------
    stream : numpy.ndarray of int, shape (pixels, samples)
        ADC counts.
    rule : RunningMean

    Returns
    -------
    baseline : numpy.ndarray of int32, shape (pixels, samples - window - delay + 1)
        Whole counts that are subtracted from the samples from ``window + delay - 1`` on.
    total : numpy.ndarray of int64, of the same shape
        The sums.

    Raises
    ------
    ValueError
        If the stream is shorter than the window and the delay.
    """
    window = 1 << rule.shift
    n = stream.shape[1] - window - rule.delay + 1
    if n < 1:
        raise ValueError(f"{stream.shape[1]} samples hold no mean of {window}, {rule.delay} clocks old")
    sums = np.concatenate(
        [np.zeros((len(stream), 1), dtype=np.int64), np.cumsum(stream, axis=1, dtype=np.int64)], axis=1
    )
    total = sums[:, window : window + n] - sums[:, :n]
    return (total >> rule.shift).astype(np.int32), total


def _scaled(recorded: NDArray[np.int64], unit: float, rule: RunningMean) -> NDArray[np.int64]:
    """The least sum that a recorded baseline stands for."""
    return np.rint(recorded * (unit * (1 << rule.shift))).astype(np.int64)


@njit(cache=True)
def _estimate(
    samples: Samples, total: NDArray[np.int64], hidden: int, shift: int, delay: int, recorded_at: int
) -> Counts:
    n_pixels, n = samples.shape
    found = np.empty((n_pixels, n), np.int32)
    for p in range(n_pixels):
        # what leaves the sum is taken to be its mean
        mean = (total[p] + hidden // 2) >> shift
        rest = total[p] + hidden // 2 - (mean << shift)
        start = total[p] + hidden // 2
        now = start
        for k in range(recorded_at, n):
            if k > recorded_at and k >= delay:
                now += samples[p, k - delay] - mean
            # the part of the mean below a count leaves, too
            found[p, k] = (now - (((k - recorded_at) * rest) >> shift)) >> shift
        now = start
        for k in range(recorded_at - 1, -1, -1):
            if k + 1 >= delay:
                now -= samples[p, k + 1 - delay] - mean
            found[p, k] = now >> shift
    return found


def estimate(
    samples: Samples, recorded: NDArray[np.int64], unit: float, rule: RunningMean = AS_BUILT
) -> Counts:
    """Best guess of the baselines of a recorded window.

    Parameters
    ----------
    samples : numpy.ndarray of int32, shape (pixels, samples)
        ADC counts.
    recorded : numpy.ndarray of int64, shape (pixels,)
        Baselines that the camera wrote.
    unit : float
        ADC counts of one unit of these.
    rule : RunningMean

    Returns
    -------
    numpy.ndarray of int32, shape (pixels, samples)
        Whole counts; exact at ``rule.recorded_at``.
    """
    hidden = max(round(unit * (1 << rule.shift)), 1)
    return _estimate(
        np.ascontiguousarray(samples, dtype=np.int32),
        _scaled(recorded, unit, rule),
        hidden,
        rule.shift,
        rule.delay,
        rule.recorded_at,
    )


@dataclass(frozen=True, eq=False)
class Spread:
    """How far sums of samples of the night sky lie off as many baselines.

    Parameters
    ----------
    of_sum : numpy.ndarray of float64, shape (pixels, samples + 1)
        Root mean square of the sum of so many consecutive samples, less the baseline, in ADC counts.
    """

    of_sum: NDArray[np.float64]


# median of the square of a normal variable of unit spread
MEDIAN_SQUARE = 0.4549


def spread(samples: Samples, recorded: NDArray[np.int64], unit: float) -> Spread:
    """What recorded windows tell of those that were not.

    Parameters
    ----------
    samples : numpy.ndarray of int32, shape (events, pixels, samples)
    recorded : numpy.ndarray of int64, shape (events, pixels)
    unit : float

    Returns
    -------
    Spread
        From medians over the events, which a shower does not move; a pixel has at least the median of all.
    """
    off = samples - (recorded * unit)[..., np.newaxis]
    sums = np.concatenate([np.zeros((*off.shape[:2], 1)), np.cumsum(off, axis=2)], axis=2) ** 2
    typical = np.median(sums, axis=(0, 1))
    return Spread(np.sqrt(np.maximum(np.median(sums, axis=0), typical) / MEDIAN_SQUARE))


def bounds(
    samples: Samples,
    recorded: NDArray[np.int64],
    unit: float,
    known: Spread,
    sigmas: float,
    rule: RunningMean = AS_BUILT,
) -> tuple[Counts, Counts]:
    """Smallest and largest baseline that the rule allows in a recorded window.

    Unknown are the bits of the sum that the file lacks, and the samples outside of the window, whose sums are
    taken to lie as far off as recorded ones do.

    Parameters
    ----------
    samples, recorded, unit, rule
        As of `estimate`.
    known : Spread
    sigmas : float
        How many spreads are possible.

    Returns
    -------
    low, high : numpy.ndarray of int32, shape (pixels, samples)
    """
    n = samples.shape[1]
    window = 1 << rule.shift
    off = samples - (recorded * unit)[:, np.newaxis]
    sums = np.concatenate([np.zeros((len(off), 1)), np.cumsum(off, axis=1)], axis=1)
    k = np.arange(n)
    # from the recorded clock to the sample's: how many samples came in or went, and which of them are known
    clocks = np.abs(k - rule.recorded_at)
    last, first = np.maximum(k, rule.recorded_at), np.minimum(k, rule.recorded_at)
    stop, start = (np.clip(edge - rule.delay + 1, 0, n) for edge in (last, first))
    moved = np.where(k >= rule.recorded_at, 1, -1) * (sums[:, stop] - sums[:, start])
    unseen = clocks - (stop - start)
    walk = sigmas * np.hypot(known.of_sum[:, clocks], known.of_sum[:, unseen])
    least = (recorded * unit)[:, np.newaxis] * window + moved
    hidden = max(unit * window, 1) - 1
    low, high = np.floor((least - walk) / window), np.floor((least + hidden + walk) / window)
    return low.astype(np.int32), high.astype(np.int32)
