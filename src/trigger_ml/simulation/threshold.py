"""The trigger threshold that keeps the rate of accidental triggers, from bias curves of pure night sky.

A telescope sets its threshold by a rate scan: the rate of triggers against the threshold, with the camera
open to the night sky alone. Here the scan counts, in clocked windows, how often the largest cluster sum of a
camera exceeds a threshold. Rates that a telescope can record (some 100 Hz) are too rare to be counted. Their
tail is that of one cluster at one time, which is known much further: it is the seven-fold convolution of the
distribution of a patch's clipped sum, of which every window gives thousands. The rate is that tail times a
factor (how many clusters and times are independent), fitted to the rates that are counted.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from trigger_ml.core.config import SimulationConfig
from trigger_ml.instrument import sst1m
from trigger_ml.simulation import clocked, electronics
from trigger_ml.simulation.electronics import Electronics
from trigger_ml.simulation.nuisances import Nuisances, ranges
from trigger_ml.simulation.telescope import Telescope
from trigger_ml.trigger import digital_sum

Array = NDArray[np.float64]

N_WINDOWS = 600
"""Clocked windows of a rate scan."""
NODES = 6
"""Night-sky rates that are scanned; between them the threshold is interpolated in the rate's root."""
SCAN_SKY = 1 << 20
"""Samples of the recording of the night sky that windows are taken from."""
LEAST_COUNT = 10
"""Windows that must exceed a threshold for its rate to count in the fit."""
MOST_SHARE = 0.2
"""Of the windows, that may exceed it."""
LIVE = (electronics.SEARCH[1] - electronics.SEARCH[0]) * sst1m.SAMPLE * 1e-9
"""Seconds for which a window watches."""


@dataclass(frozen=True, eq=False)
class Scan:
    """What clocked windows tell of the trigger.

    Parameters
    ----------
    maxima : numpy.ndarray, shape (windows,)
        Largest cluster sum of the camera in each window, ADC counts.
    patch : numpy.ndarray of int64, shape (256,)
        How often a patch's sum was so many ADC counts.
    """

    maxima: Array
    patch: NDArray[np.int64]


def scan(rng: np.random.Generator, telescope: Telescope, parts: Electronics, n_windows: int) -> Scan:
    """Watch the night sky through the trigger.

    Parameters
    ----------
    rng : numpy.random.Generator
    telescope : Telescope
        Whose patches are used.
    parts : Electronics
    n_windows : int

    Returns
    -------
    Scan
    """
    sky = electronics.night_sky(rng, parts.pulse, parts.rate, SCAN_SKY)
    noise = rng.standard_normal(SCAN_SKY, dtype=np.float32)
    subtract = clocked.measured_baseline(parts)
    n_pixels = len(parts.gain)
    waveform = np.empty((n_pixels, telescope.n_samples), np.float32)
    unused = np.zeros(n_pixels)
    of_pixel, cluster = telescope.patches.patch_of_pixel, telescope.patches.cluster
    maxima, patch = np.empty(n_windows), np.zeros(digital_sum.PATCH_MAX + 1, dtype=np.int64)
    for i in range(n_windows):
        clocked.record(rng, sky, noise, parts.gain, parts.noise, subtract, waveform, unused, unused)
        maxima[i] = digital_sum.cluster_peak(waveform, of_pixel, cluster, *electronics.SEARCH)
        sums = digital_sum.patch_sums(waveform, of_pixel, len(cluster), *electronics.SEARCH)
        patch += np.bincount(sums.astype(np.int64).ravel(), minlength=len(patch))
    return Scan(maxima, patch)


def cluster_tail(patch: NDArray[np.int64]) -> Array:
    """Probability that a cluster's sum at one time is at least 0, 1, 2, ... ADC counts.

    Parameters
    ----------
    patch : numpy.ndarray of int64, shape (256,)
        Field of :class:`Scan`.

    Returns
    -------
    numpy.ndarray, shape (7 * 255 + 1,)
    """
    one = patch / patch.sum()
    whole = one
    for _ in range(digital_sum.CLUSTER_SIZE - 1):
        # not by Fourier transforms: their rounding is above the tail
        whole = np.convolve(whole, one)
    return np.asarray(np.cumsum(whole[::-1])[::-1])


def bias_curve(found: Scan) -> Array:
    """Rate of triggers in Hz at thresholds of 0, 1, 2, ... ADC counts; see the module's text.

    Raises
    ------
    ValueError
        If too few windows were scanned for a fit.
    """
    tail = cluster_tail(found.patch)
    n = len(found.maxima)
    thresholds = np.arange(len(tail))
    exceeding = n - np.searchsorted(np.sort(found.maxima), thresholds, side="left")
    # fewer are uncertain; of more, windows with several triggers hide the rate
    used = (exceeding >= LEAST_COUNT) & (exceeding <= MOST_SHARE * n)
    if not used.any():
        raise ValueError(f"{n} windows are too few for a rate scan")
    counted = -np.log1p(-exceeding[used] / n) / LIVE
    factor = np.average(np.log(counted / tail[used]), weights=exceeding[used])
    return np.asarray(tail * np.exp(factor))


def threshold_at(found: Scan, rate: float) -> float:
    """Threshold in ADC counts at which the night sky triggers at a rate in Hz."""
    curve = bias_curve(found)
    possible = curve > 0
    # the logarithm falls strictly: interpolated between whole counts
    return float(
        np.interp(-np.log(rate), -np.log(curve[possible]), np.arange(len(curve))[possible].astype(float))
    )


class Threshold:
    """Trigger threshold of a telescope under given conditions; scans once, when first asked.

    Parameters
    ----------
    config : SimulationConfig
    telescope : Telescope
        Whose nominal camera is scanned.
    """

    def __init__(self, config: SimulationConfig, telescope: Telescope) -> None:
        self._config = config
        self._telescope = telescope

    @cached_property
    def _curve(self) -> tuple[Array, Array]:
        """Night-sky rates and thresholds that keep the accidental rate."""
        assert self._config.accidental_rate is not None
        low, high = ranges(self._config)["night_sky"]
        rates = np.array([low]) if low == high else np.geomspace(low, high, NODES)
        found = []
        for rate in rates:
            # the same numbers at every night-sky rate: differences between them are smoother
            rng = np.random.default_rng(11)
            parts = replace(self._telescope.nominal, rate=float(rate) + sst1m.DARK_RATE)
            found.append(
                threshold_at(scan(rng, self._telescope, parts, N_WINDOWS), self._config.accidental_rate)
            )
        return rates, np.maximum.accumulate(found)

    def at(self, nuisances: Nuisances) -> float:
        """ADC counts: fixed, or for the conditions' night sky and gain (a rate scan sees the true gain)."""
        if self._config.accidental_rate is None:
            return self._config.trigger_threshold
        rates, thresholds = self._curve
        if len(rates) == 1:
            return float(thresholds[0]) * nuisances.gain
        curve = PchipInterpolator(np.sqrt(rates), thresholds)
        return float(curve(np.sqrt(nuisances.night_sky))) * nuisances.gain
