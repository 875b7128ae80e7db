"""The camera's electronics: from photo-electrons to calibrated waveforms, charges and peak times
(compiled).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ctapipe.instrument import CameraReadout
from numba import njit
from numpy.typing import NDArray

from trigger_ml.instrument import sst1m

Array = NDArray[np.float64]
Waveform = NDArray[np.float32]

PHASES = 16
"""Sub-divisions of a sample at which the pulse is tabulated."""
WINDOW_WIDTH = 7
"""Samples of the charge window (the collaboration's ``LocalPeakWindowSum``)."""
WINDOW_SHIFT = 3
"""Samples of the charge window before the peak."""
SEARCH = (8, 40)
"""Samples between which the trigger decision counts: the edges of the window hold the late light."""


@dataclass(frozen=True, eq=False)
class Electronics:
    """Pulse and per-pixel response, as tables for the compiled read-out.

    Parameters
    ----------
    pulse : numpy.ndarray of float32, shape (PHASES, length)
        ADC counts in each sample for a photo-electron that arrives ``phase / PHASES`` of a sample after a
        sample.
    gain : numpy.ndarray, shape (pixels,)
        True gain relative to the mean.
    calibration : numpy.ndarray, shape (pixels,)
        Photo-electrons per ADC count of a waveform's integral, as calibration believes.
    efficiency : numpy.ndarray, shape (pixels,)
        Detection efficiency relative to the mean.
    noise : numpy.ndarray, shape (pixels,)
        ADC counts.
    baseline_error : numpy.ndarray, shape (pixels,)
        ADC counts.
    rate : float
        Night-sky photo-electrons and dark counts per pixel and nanosecond.
    peak : float
        Nanoseconds from the photo-electron to the peak of its pulse.
    correction : float
        One over the part of the pulse in the charge window.
    """

    pulse: Waveform
    gain: Array
    calibration: Array
    efficiency: Array
    noise: Array
    baseline_error: Array
    rate: float
    peak: float
    correction: float

    @cached_property
    def baseline_shift(self) -> float:
        """Mean ADC counts that the night sky adds to every sample."""
        integral = float(self.pulse.mean(axis=0).sum()) * sst1m.SAMPLE
        return self.rate * integral / (1 - sst1m.CROSS_TALK)


def build_electronics(readout: CameraReadout, nsb_rate: float, rng: np.random.Generator) -> Electronics:
    """Tables for a camera; the pixels' spreads are drawn once.

    Parameters
    ----------
    readout : ctapipe.instrument.CameraReadout
        Its reference pulse is used.
    nsb_rate : float
        Night-sky photo-electrons per pixel and nanosecond.
    rng : numpy.random.Generator
    """
    n = int(readout.n_pixels)
    width = readout.reference_pulse_sample_width.to_value("ns")
    shape = np.asarray(readout.reference_pulse_shape[0], dtype=float)
    shape = shape / shape.max()
    time = np.arange(len(shape)) * width
    above = np.flatnonzero(shape > 1e-3)
    length = int(np.ceil(time[above[-1]] / sst1m.SAMPLE)) + 2
    samples = np.arange(length)[np.newaxis] * sst1m.SAMPLE - np.arange(PHASES)[:, np.newaxis] * (
        sst1m.SAMPLE / PHASES
    )
    pulse = sst1m.AMPLITUDE * np.interp(samples, time, shape, left=0.0, right=0.0)
    integral = pulse.sum(axis=1).mean()
    peaks = pulse.argmax(axis=1)
    inside = [
        pulse[k, max(p - WINDOW_SHIFT, 0) : p - WINDOW_SHIFT + WINDOW_WIDTH].sum()
        for k, p in enumerate(peaks)
    ]
    gain = 1 + rng.normal(0, sst1m.GAIN_SPREAD, n)
    believed = gain * (1 + rng.normal(0, sst1m.CALIBRATION_ERROR, n))
    return Electronics(
        pulse=pulse.astype(np.float32),
        gain=gain,
        # the mean cross talk is part of the calibrated photo-electron
        calibration=(1 - sst1m.CROSS_TALK) / (believed * integral),
        efficiency=1 + rng.normal(0, sst1m.EFFICIENCY_SPREAD, n),
        noise=sst1m.ELECTRONIC_NOISE * np.exp(rng.normal(0, sst1m.ELECTRONIC_NOISE_SPREAD, n)),
        baseline_error=rng.normal(0, sst1m.BASELINE_ERROR, n),
        rate=nsb_rate + sst1m.DARK_RATE,
        peak=float(time[shape.argmax()]),
        correction=float(integral / np.mean(inside)),
    )


@njit(cache=True, fastmath=True)
def _charge(rng: np.random.Generator) -> float:
    """Charge of one photo-electron with its cross talk, in units of one cell's."""
    cells = 1
    while rng.random() < sst1m.CROSS_TALK:
        cells += 1
    return cells + sst1m.CHARGE_SPREAD * math.sqrt(cells) * rng.standard_normal()


@njit(cache=True, fastmath=True)
def _add(trace: Waveform, time: float, charge: float, pulse: Waveform) -> None:
    """Add one pulse at a time in nanoseconds from the first sample."""
    position = time / sst1m.SAMPLE
    start = math.floor(position)
    phase = int((position - start) * PHASES)
    first = int(start) + 1
    # sample k of the table is k samples after the last sample before the photo-electron
    shifted = pulse[phase]
    low, high = max(0, 1 - first), min(shifted.shape[0], trace.shape[0] - first + 1)
    for k in range(low, high):
        trace[first - 1 + k] += charge * shifted[k]


@njit(cache=True, fastmath=True)
def night_sky(rng: np.random.Generator, pulse: Waveform, rate: float, n_samples: int) -> Waveform:
    """A long recording of one pixel in the dark, from which pixels and events take random windows.

    Parameters
    ----------
    rng : numpy.random.Generator
    pulse, rate
        Fields of :class:`Electronics`.
    n_samples : int

    Returns
    -------
    numpy.ndarray of float32, shape (n_samples,)
        ADC counts of night sky and dark counts at the mean gain, without electronic noise.
    """
    recording = np.zeros(n_samples, np.float32)
    before = pulse.shape[1] * sst1m.SAMPLE
    duration = before + n_samples * sst1m.SAMPLE
    for _ in range(rng.poisson(rate * duration)):
        _add(recording, rng.random() * duration - before, _charge(rng), pulse)
    return recording


@njit(cache=True, fastmath=True)
def read_out(
    rng: np.random.Generator,
    pixel: NDArray[np.int64],
    time: Array,
    sky: Waveform,
    pulse: Waveform,
    gain: Array,
    noise: Array,
    baseline_error: Array,
    shift: float,
    n_samples: int,
) -> tuple[Waveform, NDArray[np.int32]]:
    """Waveforms of one camera in ADC counts above the measured baseline.

    Parameters
    ----------
    rng : numpy.random.Generator
    pixel : numpy.ndarray of int64, shape (n,)
        Pixels of the Cherenkov photo-electrons; negative ones are ignored.
    time : numpy.ndarray, shape (n,)
        Nanoseconds from the first sample.
    sky : numpy.ndarray of float32
        From :func:`night_sky`.
    pulse, gain, noise, baseline_error
        Fields of :class:`Electronics`.
    shift : float
        ``Electronics.baseline_shift``.
    n_samples : int

    Returns
    -------
    waveform : numpy.ndarray of float32, shape (pixels, samples)
    true_image : numpy.ndarray of int32, shape (pixels,)
        Cherenkov photo-electrons.
    """
    n_pixels = gain.shape[0]
    waveform = np.empty((n_pixels, n_samples), np.float32)
    true_image = np.zeros(n_pixels, np.int32)
    for p in range(n_pixels):
        start = int(rng.random() * (sky.shape[0] - n_samples))
        waveform[p] = sky[start : start + n_samples]
    for i in range(pixel.shape[0]):
        if pixel[i] >= 0:
            true_image[pixel[i]] += 1
            _add(waveform[pixel[i]], time[i], _charge(rng), pulse)
    for p in range(n_pixels):
        offset = np.float32(sst1m.BASELINE)
        scale, spread = np.float32(gain[p]), np.float32(noise[p])
        subtract = np.float32(offset + gain[p] * shift + baseline_error[p])
        for k in range(n_samples):
            value = offset + scale * waveform[p, k] + spread * np.float32(rng.standard_normal())
            counts = min(max(math.floor(value + np.float32(0.5)), 0), sst1m.MAX_ADC)
            waveform[p, k] = counts - subtract
    return waveform, true_image


@njit(cache=True, fastmath=True)
def extract(
    waveform: Waveform, calibration: Array, correction: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Charge and time of the highest peak of every pixel, as ctapipe's ``LocalPeakWindowSum`` gives them.

    Parameters
    ----------
    waveform : numpy.ndarray of float32, shape (pixels, samples)
        ADC counts.
    calibration : numpy.ndarray, shape (pixels,)
        Photo-electrons per ADC count.
    correction : float

    Returns
    -------
    image : numpy.ndarray of float32, shape (pixels,)
        Photo-electrons.
    peak_time : numpy.ndarray of float32, shape (pixels,)
        Nanoseconds from the first sample: mean of the samples in the window weighted with their positive
        charges.
    """
    n_pixels, n_samples = waveform.shape
    image = np.zeros(n_pixels, np.float32)
    peak_time = np.zeros(n_pixels, np.float32)
    for p in range(n_pixels):
        peak = 0
        for k in range(1, n_samples):
            if waveform[p, k] > waveform[p, peak]:
                peak = k
        total, weight, moment = 0.0, 0.0, 0.0
        start = max(peak - WINDOW_SHIFT, 0)
        for k in range(start, min(peak - WINDOW_SHIFT + WINDOW_WIDTH, n_samples)):
            value = waveform[p, k]
            total += value
            if value > 0:
                weight += value
                moment += value * k
        image[p] = total * calibration[p] * correction
        peak_time[p] = sst1m.SAMPLE * (moment / weight if weight > 0 else peak)
    return image, peak_time
