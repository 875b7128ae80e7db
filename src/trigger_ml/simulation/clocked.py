"""Clocked windows: the night sky alone, and what a camera knows of its pixels from it."""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.instrument import sst1m
from trigger_ml.simulation.electronics import Electronics, Waveform, extract, read_out

N_WINDOWS = 64
"""Clocked windows from which a block's pedestals are measured."""
NOISE_SAMPLES = 1 << 17
"""Length of the recording of electronic noise that clocked windows are made with."""
DEAD_SPREAD = 0.25
"""A pixel is flagged dead if its charge spreads less than this part of the camera's median."""


@dataclass(frozen=True, eq=False)
class Pedestal:
    """What clocked windows tell of every pixel; arrays of shape (pixels,).

    Parameters
    ----------
    mean, median, std : numpy.ndarray of float32
        Of the extracted charge, photo-electrons.
    baseline_mean, baseline_std : numpy.ndarray of float32
        Of all samples, photo-electrons per sample.
    dead : numpy.ndarray of bool
        Flagged for its missing noise.
    """

    mean: NDArray[np.float32]
    median: NDArray[np.float32]
    std: NDArray[np.float32]
    baseline_mean: NDArray[np.float32]
    baseline_std: NDArray[np.float32]
    dead: NDArray[np.bool_]


def window(
    rng: np.random.Generator, parts: Electronics, sky: Waveform, n_samples: int
) -> tuple[Waveform, NDArray[np.int32]]:
    """Waveforms without a shower, as :func:`~trigger_ml.simulation.electronics.read_out` gives them."""
    return read_out(
        rng,
        np.zeros(0, np.int64),
        np.zeros(0),
        sky,
        parts.pulse,
        parts.gain,
        parts.noise,
        parts.baseline_error,
        parts.baseline_shift,
        n_samples,
    )


def measured_baseline(parts: Electronics) -> NDArray[np.float64]:
    """ADC counts that the camera subtracts from every pixel's samples, shape (pixels,)."""
    return np.asarray(sst1m.BASELINE + parts.gain * parts.baseline_shift + parts.baseline_error)


@njit(cache=True, fastmath=True)
def record(
    rng: np.random.Generator,
    sky: Waveform,
    unit_noise: Waveform,
    gain: NDArray[np.float64],
    noise: NDArray[np.float64],
    subtract: NDArray[np.float64],
    waveform: Waveform,
    total: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> None:
    """Fill in a window as ``read_out`` does, its electronic noise taken from a recording.

    Parameters
    ----------
    rng : numpy.random.Generator
    sky : numpy.ndarray of float32
        Recording of the night sky.
    unit_noise : numpy.ndarray of float32
        Standard normal numbers.
    gain, noise : numpy.ndarray, shape (pixels,)
        Fields of :class:`~trigger_ml.simulation.electronics.Electronics`.
    subtract : numpy.ndarray, shape (pixels,)
        From :func:`measured_baseline`.
    waveform : numpy.ndarray of float32, shape (pixels, samples)
        Overwritten: ADC counts above the baseline.
    total, squares : numpy.ndarray, shape (pixels,)
        To which each pixel's samples and their squares are added, in ADC counts with the baseline: integers,
        whose sums are exact. Sums of float32 depend on their order, which a compiler chooses by where the
        arrays happen to lie in memory.
    """
    n_samples = waveform.shape[1]
    for p in range(waveform.shape[0]):
        start = int(rng.random() * (sky.shape[0] - n_samples))
        other = int(rng.random() * (unit_noise.shape[0] - n_samples))
        scale, spread = np.float32(gain[p]), np.float32(noise[p])
        offset, less = np.float32(sst1m.BASELINE + 0.5), np.float32(subtract[p])
        first, second = 0.0, 0.0
        for k in range(n_samples):
            value = offset + scale * sky[start + k] + spread * unit_noise[other + k]
            counts = np.float32(min(max(math.floor(value), 0), sst1m.MAX_ADC))
            waveform[p, k] = counts - less
            first += float(counts)
            second += float(counts) * float(counts)
        total[p] += first
        squares[p] += second


def measure_pedestal(
    rng: np.random.Generator, parts: Electronics, sky: Waveform, n_samples: int, n_windows: int = N_WINDOWS
) -> Pedestal:
    """Pedestals of a camera from clocked windows, with the extractor of the images.

    Parameters
    ----------
    rng : numpy.random.Generator
    parts : Electronics
    sky : numpy.ndarray of float32
        Recording of the night sky.
    n_samples : int
        Of a window.
    n_windows : int

    Returns
    -------
    Pedestal
    """
    n_pixels = len(parts.gain)
    charge = np.empty((n_windows, n_pixels), np.float32)
    total, squares = np.zeros(n_pixels), np.zeros(n_pixels)
    unit_noise = rng.standard_normal(NOISE_SAMPLES, dtype=np.float32)
    subtract = measured_baseline(parts)
    waveform = np.empty((n_pixels, n_samples), np.float32)
    for i in range(n_windows):
        record(rng, sky, unit_noise, parts.gain, parts.noise, subtract, waveform, total, squares)
        charge[i], _ = extract(waveform, parts.calibration, parts.correction)
    n = n_windows * n_samples
    mean = total / n - subtract.astype(np.float32)
    spread = np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0))
    std = charge.std(axis=0, ddof=1)
    return Pedestal(
        mean=charge.mean(axis=0),
        median=np.median(charge, axis=0),
        std=std,
        baseline_mean=(mean * parts.calibration).astype(np.float32),
        baseline_std=(spread * parts.calibration).astype(np.float32),
        dead=std < DEAD_SPREAD * np.median(std),
    )
