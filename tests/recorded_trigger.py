"""Recorded files that every installation has, and readouts of the firmware written down a second time."""

from importlib.resources import files
from pathlib import Path

import numpy as np

from trigger_ml.events.trigger_record import TriggerRecord
from trigger_ml.instrument.digicam import digicam

PATCHES = digicam().patches


def resource(name) -> Path:
    """A file that comes with the reader of zfits files."""
    return Path(str(files("protozfits") / "tests" / "resources" / name))


NIGHT_2018 = resource("example_SST1M_20180822.fits.fz")
LABORATORY_2017 = resource("example_10evts.fits.fz")


def firmware_window(rng, event_id, threshold, pixel_most=4095, noise=6.0, flash=0):
    """One readout by loops that follow the hardware clock by clock; the past is known to nobody else."""
    window, delay, n = 1024, 6, 50
    stream = rng.normal(300, noise, (1296, window + delay + n)).round().astype(np.int64)
    stream += rng.integers(-20, 20, (1296, 1))
    start = window + delay
    if flash:
        lit = np.isin(PATCHES.patch_of_pixel, PATCHES.cluster[200])
        stream[lit, start + 9 : start + 13] += flash
    baseline = np.empty((1296, n), np.int64)
    for k in range(n):
        newest = start + k - delay
        baseline[:, k] = stream[:, newest - window + 1 : newest + 1].sum(axis=1)
    samples = stream[:, start:]
    off = np.minimum(samples - baseline // window, pixel_most)
    sums = np.zeros((432, n), np.int64)
    np.add.at(sums, PATCHES.patch_of_pixel, off)
    inputs = np.clip(sums, 0, 255)
    fired = [
        np.array([inputs[[p for p in members if p >= 0]].sum(axis=0) for members in cluster]) >= least
        for cluster, least in ((PATCHES.cluster, threshold), (PATCHES.cluster_19, 10**6))
    ]
    return TriggerRecord(
        event_id=event_id,
        event_type=32,
        samples=samples.astype(np.int32),
        present=np.ones(1296, dtype=bool),
        baselines=baseline[:, 6] // 64,
        unit=1 / 16,
        inputs=inputs.astype(np.uint8),
        patch7=fired[0],
        patch19=fired[1],
    )
