"""The trigger threshold that keeps the rate of accidental triggers, from bias curves of pure night sky.

A telescope sets its threshold by a rate scan: the rate of triggers against the threshold, with the shutter
open to the night sky alone. Here the scan counts, in clocked windows, how often the largest cluster sum of a
camera exceeds a threshold. Rates that a telescope can record (some 100 Hz) are too rare to be counted; the
scan is extrapolated by a parabola in the logarithm of the rate, between an exponential (the tail of few
large pulses) and a Gaussian (the sum of many small ones).
"""

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from trigger_ml.core.config import SimulationConfig
from trigger_ml.simulation import clocked, electronics, patch_trigger
from trigger_ml.simulation import parameters as sst1m
from trigger_ml.simulation.electronics import Electronics
from trigger_ml.simulation.nuisances import Nuisances, ranges
from trigger_ml.simulation.telescope import Telescope

Array = NDArray[np.float64]

N_WINDOWS = 1500
"""Clocked windows of a rate scan."""
NODES = 6
"""Night-sky rates that are scanned; between them the threshold is interpolated in the rate's root."""
SCAN_SKY = 1 << 20
"""Samples of the recording of the night sky that windows are taken from."""
LIVE = (electronics.SEARCH[1] - electronics.SEARCH[0]) * sst1m.SAMPLE * 1e-9
"""Seconds for which a window watches."""


def cluster_maxima(
    rng: np.random.Generator, telescope: Telescope, parts: Electronics, n_windows: int
) -> Array:
    """Largest cluster sum in ADC counts of each of many windows of pure night sky, shape (n_windows,)."""
    sky = electronics.night_sky(rng, parts.pulse, parts.rate, SCAN_SKY)
    patches, found = telescope.patches, np.empty(n_windows)
    for i in range(n_windows):
        waveform, _ = clocked.window(rng, parts, sky, telescope.n_samples)
        found[i] = patch_trigger.cluster_peak(
            waveform, patches.patch_of_pixel, patches.cluster, *electronics.SEARCH
        )
    return found


def bias_curve(maxima: Array) -> tuple[Array, Array]:
    """Counted rate of triggers in Hz, at thresholds in ADC counts.

    Parameters
    ----------
    maxima : numpy.ndarray, shape (n,)
        From :func:`cluster_maxima`.

    Returns
    -------
    threshold, rate : numpy.ndarray, shape (m,)
        Thresholds ascend; windows in which several triggers are likely are left out.
    """
    ordered = np.sort(maxima)
    exceeds = 1 - (np.arange(len(ordered)) + 0.5) / len(ordered)
    counted = exceeds < 0.8
    return ordered[counted], -np.log1p(-exceeds[counted]) / LIVE


def threshold_at(maxima: Array, rate: float) -> float:
    """Threshold in ADC counts at which the night sky triggers at a rate in Hz; see the module's text."""
    threshold, counted = bias_curve(maxima)
    centre, scale = float(np.mean(threshold)), float(np.std(threshold))
    x, y = (threshold - centre) / scale, np.log(counted)
    # each order statistic of the tail weighs by its events: few are far out
    weight = np.sqrt(counted / counted.max())
    square, slope, level = np.polyfit(x, y, 2, w=weight)
    # the tail of a sum of pulses never flattens
    if square >= -1e-9:
        slope, level = np.polyfit(x, y, 1, w=weight)
        return float(centre + scale * (np.log(rate) - level) / slope)
    root = np.sqrt(slope**2 - 4 * square * (level - np.log(rate)))
    return float(centre + scale * (-slope - root) / (2 * square))


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
                threshold_at(
                    cluster_maxima(rng, self._telescope, parts, N_WINDOWS), self._config.accidental_rate
                )
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
