"""Clocked windows: what is summed of them."""

import numpy as np

from trigger_ml.simulation.clocked import record

PIXELS, SAMPLES, RECORDED = 1296, 50, 4000


def arrays(gap):
    """Recordings and a waveform in one piece of memory, so many float32 apart."""
    memory = np.zeros(2 * RECORDED + PIXELS * SAMPLES + 3 * gap + 64, np.float32)
    rng = np.random.default_rng(5)
    noise = memory[:RECORDED]
    noise[:] = rng.standard_normal(RECORDED, dtype=np.float32)
    first = RECORDED + gap
    waveform = memory[first : first + PIXELS * SAMPLES].reshape(PIXELS, SAMPLES)
    behind = first + PIXELS * SAMPLES + gap
    sky = memory[behind : behind + RECORDED]
    sky[:] = rng.gamma(2.0, 3.0, RECORDED)
    return sky, noise, waveform


def recorded(gap):
    sky, noise, waveform = arrays(gap)
    rng = np.random.default_rng(6)
    gain, spread = rng.uniform(0.9, 1.1, PIXELS), rng.uniform(1, 3, PIXELS)
    # a whole number of counts, so that those of the window are known from it
    subtract = rng.integers(190, 210, PIXELS).astype(float)
    total, squares = np.zeros(PIXELS), np.zeros(PIXELS)
    windows = []
    for _ in range(20):
        record(rng, sky, noise, gain, spread, subtract, waveform, total, squares)
        windows.append(waveform.astype(np.int64) + subtract.astype(np.int64)[:, np.newaxis])
    return total, squares, np.stack(windows)


def test_sums_of_windows_are_exact():
    total, squares, counts = recorded(1000)
    np.testing.assert_array_equal(total, counts.sum(axis=(0, 2)))
    np.testing.assert_array_equal(squares, (counts**2).sum(axis=(0, 2)))


def test_sums_do_not_depend_on_where_arrays_lie():
    expected = recorded(1000)
    for gap in (0, 1, 16):
        for found, same in zip(recorded(gap), expected, strict=True):
            np.testing.assert_array_equal(found, same)
