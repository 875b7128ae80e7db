"""The trigger threshold that keeps the rate of accidental triggers, from bias curves of pure night sky.

A telescope sets its threshold by a rate scan: the rate of triggers against the threshold, with the camera
open to the night sky alone. Here the scan counts, in clocked windows, how often the largest value of the
trigger algorithm exceeds a threshold. Rates that a telescope can record (some 100 Hz) are too rare to be
counted. Their tail is that of the value in one place at one time, which the algorithm knows much further: for
the digital sum it is the seven-fold convolution of the distribution of a patch's clipped sum, of which every
window gives thousands. The rate is that tail times a factor (how many places and times are independent),
fitted to the rates that are counted.
"""

import math
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
        Largest value of the algorithm in each window.
    tail : numpy.ndarray
        Probability that its value in one place at one time is at least 0, 1, 2, ...
    """

    maxima: Array
    tail: Array


def scan(rng: np.random.Generator, telescope: Telescope, parts: Electronics, n_windows: int) -> Scan:
    """Watch the night sky through the trigger.

    Parameters
    ----------
    rng : numpy.random.Generator
    telescope : Telescope
        Whose patches and algorithm are used; the algorithm must know its `NoiseTail`.
    parts : Electronics
    n_windows : int

    Returns
    -------
    Scan
    """
    noise = telescope.algorithm.noise
    assert noise is not None
    sky = electronics.night_sky(rng, parts.pulse, parts.rate, SCAN_SKY)
    unit_noise = rng.standard_normal(SCAN_SKY, dtype=np.float32)
    subtract = clocked.measured_baseline(parts)
    n_pixels = len(parts.gain)
    waveform = np.empty((n_pixels, telescope.n_samples), np.float32)
    unused = np.zeros(n_pixels)
    patches, decide = telescope.patches, telescope.algorithm.decide
    maxima, counts = np.empty(n_windows), np.zeros((), dtype=np.int64)
    for i in range(n_windows):
        clocked.record(rng, sky, unit_noise, parts.gain, parts.noise, subtract, waveform, unused, unused)
        maxima[i] = decide(waveform, patches, math.inf, *electronics.SEARCH).peak
        counts = counts + noise.count(waveform, patches, *electronics.SEARCH)
    return Scan(maxima, noise.probability(counts))


def bias_curve(found: Scan) -> Array:
    """Rate of triggers in Hz at thresholds of 0, 1, 2, ...; see the module's text.

    Raises
    ------
    ValueError
        If too few windows were scanned for a fit.
    """
    tail = found.tail
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
    """Threshold at which the night sky triggers at a rate in Hz."""
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
        """Fixed, or for the conditions' night sky and gain (a rate scan sees the true gain)."""
        if self._config.accidental_rate is None:
            return self._config.trigger_threshold
        rates, thresholds = self._curve
        if len(rates) == 1:
            return float(thresholds[0]) * nuisances.gain
        curve = PchipInterpolator(np.sqrt(rates), thresholds)
        return float(curve(np.sqrt(nuisances.night_sky))) * nuisances.gain
