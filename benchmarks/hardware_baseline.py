"""Which rule of the running baseline reproduces the trigger inputs that a DigiCam recorded.

Usage: python benchmarks/hardware_baseline.py FILE.fits.fz

Without any rule, least squares tell how a baseline follows samples. Rules are then compared on the even
events and confirmed on the odd ones. Each gives a best guess of every input, and bounds: what is not in the
file (samples that leave a mean, bits of it that were not written) may be whatever recorded samples are. An
input outside of its bounds contradicts the rule. A recursive mean, b += (x - b) / 2**shift, has no samples
that leave: its bounds are the missing bits alone.

The last line asks how many inputs the best guess of the mean would hit if the rule were true: the past of
each event is a recorded window of another. Those hold showers' light, a real past hardly ever does: more may
be hit.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trigger_ml.events.trigger_record import read_trigger_records
from trigger_ml.instrument.digicam import digicam
from trigger_ml.trigger.baseline import bounds, estimate, spread
from trigger_ml.trigger.hardware_check import SIGMAS
from trigger_ml.trigger.hardware_survey import find_settings
from trigger_ml.trigger.level0 import patch_traces


@dataclass
class Data:
    """A file's events, and what it says of the night sky."""

    records: list
    patches: object
    pixel_most: int
    alive: np.ndarray

    def traces(self, record, baseline):
        """Inputs of patches that deliver something."""
        patch, n = self.patches.patch_of_pixel, len(self.patches)
        return patch_traces(record.samples, baseline, patch, n, self.pixel_most)[self.alive]

    def spread(self):
        """From all events: settings of the night sky, not of the rule."""
        stack = [np.stack([getattr(r, name) for r in self.records]) for name in ("samples", "baselines")]
        return spread(*stack, self.records[0].unit)


def recursive(record, rule, hidden):
    """Baselines by b += (x - b) / 2**shift from the recorded one on."""
    scale = 1 << rule.shift
    start = np.floor(record.baselines * record.unit * scale).astype(np.int64) + hidden
    found = np.empty(record.samples.shape, np.int64)
    now = start
    for k in range(rule.recorded_at, found.shape[1]):
        if k > rule.recorded_at and k >= rule.delay:
            now = now + record.samples[:, k - rule.delay] - (now >> rule.shift)
        found[:, k] = now >> rule.shift
    found[:, : rule.recorded_at] = (start >> rule.shift)[:, np.newaxis]
    return found.astype(np.int32)


def judge(data, half, guess, limits, first=0):
    """Part of inputs that the guess hits, and how many lie outside of the limits, from a sample on."""
    equal = compared = outside = 0
    for record in data.records[half::2]:
        inputs = record.inputs[data.alive][:, first:]
        low, high = limits(record)
        equal += int((data.traces(record, guess(record))[:, first:] == inputs).sum())
        smallest, largest = data.traces(record, high)[:, first:], data.traces(record, low)[:, first:]
        outside += int(((inputs < smallest) | (inputs > largest)).sum())
        compared += inputs.size
    return equal / compared, outside, compared


def mean_rule(data, known, rule, half):
    """A mean over a window."""
    return judge(
        data,
        half,
        lambda r: estimate(r.samples, r.baselines, r.unit, rule),
        lambda r: bounds(r.samples, r.baselines, r.unit, known, SIGMAS, rule),
    )


def recursive_rule(data, rule, half):
    """A recursive mean, from the recorded sample on."""
    hidden = round(data.records[0].unit * (1 << rule.shift))
    return judge(
        data,
        half,
        lambda r: recursive(r, rule, hidden // 2),
        lambda r: (recursive(r, rule, 0), recursive(r, rule, hidden - 1)),
        first=rule.recorded_at,
    )


def constant(data, half):
    """The recorded baseline for all of the window."""

    def frozen(record):
        whole = np.floor(record.baselines * record.unit).astype(np.int32)
        return np.broadcast_to(whole[:, np.newaxis], record.samples.shape).copy()

    return judge(data, half, frozen, lambda r: (frozen(r), frozen(r)))


def expected(data, rule, rng):
    """Part of inputs that the best guess hits if the rule is true, from the recorded sample on."""
    scale = 1 << rule.shift
    equal = compared = 0
    for i, record in enumerate(data.records):
        past = data.records[(i + 1 + rng.integers(len(data.records) - 1)) % len(data.records)]
        gone = past.samples - np.floor(past.baselines * past.unit).astype(np.int64)[:, np.newaxis]
        gone = gone - round(float(np.median(gone.mean(axis=1))))
        level = np.floor(record.baselines * record.unit).astype(np.int64)
        hidden = rng.integers(max(round(record.unit * scale), 1), size=len(level))
        total = np.floor(record.baselines * record.unit * scale).astype(np.int64) + hidden
        baseline = np.empty(record.samples.shape, np.int32)
        for k in range(rule.recorded_at, baseline.shape[1]):
            if k > rule.recorded_at:
                arrives = record.samples[:, k - rule.delay]
                total = total + arrives - level - gone[:, k - rule.delay]
            baseline[:, k] = total >> rule.shift
        cut = slice(rule.recorded_at, None)
        truth = data.traces(record, baseline)[:, cut]
        guess = data.traces(record, estimate(record.samples, record.baselines, record.unit, rule))[:, cut]
        equal += int((truth == guess).sum())
        compared += truth.size
    return equal / compared


def response(data, lags):
    """How much a baseline moves from one clock to the next, per count of a sample so many clocks before.

    Least squares over all patches and samples whose input is not clipped: no rule is assumed.

    Returns
    -------
    weight, error : numpy.ndarray, shape (lags,)
    """
    patch, n_patches = data.patches.patch_of_pixel, len(data.patches)
    normal, right, n, squares = 0.0, 0.0, 0, 0.0
    for record in data.records:
        off = record.samples - (record.baselines * record.unit)[:, np.newaxis]
        sums = np.zeros((n_patches, off.shape[1]))
        np.add.at(sums, patch, off)
        hidden = np.zeros((n_patches, off.shape[1]), bool)
        np.logical_or.at(hidden, patch, off >= data.pixel_most - 1)
        raw = np.zeros((n_patches, off.shape[1]), np.int64)
        np.add.at(raw, patch, record.samples)
        usable = (record.inputs > 0) & (record.inputs < 255) & ~hidden & data.alive[:, np.newaxis]
        level = raw - record.inputs
        low, high = max(lags), off.shape[1] + min(lags)
        for k in range(low + 1, high):
            good = usable[:, k] & usable[:, k - 1]
            step = (level[:, k] - level[:, k - 1])[good].astype(float)
            features = np.stack([sums[good, k - lag] for lag in lags] + [np.ones(int(good.sum()))], axis=1)
            normal = normal + features.T @ features
            right = right + features.T @ step
            n, squares = n + len(step), squares + float(step @ step)
    weight = np.linalg.solve(normal, right)
    residual = (squares - weight @ right) / n
    return weight[:-1], np.sqrt(residual * np.diag(np.linalg.inv(normal)))[:-1]


def main():
    records = list(read_trigger_records(Path(sys.argv[1])))
    patches = digicam().patches
    settings = find_settings(records[::2], patches)
    alive = np.any([record.inputs.any(axis=1) for record in records], axis=0)
    data = Data(records, patches, settings.pixel_most, alive)
    known = data.spread()
    base = settings.rule
    print(f"{len(records)} events, {int(alive.sum())} patches; recorded at sample {base.recorded_at}")

    lags = range(-2, 13)
    print("movement of the baseline per count of a sample, times 1024:")
    for lag, weight, error in zip(lags, *response(data, lags), strict=True):
        print(f"  {lag:3d} clocks before: {1024 * weight:6.2f} +- {1024 * error:.2f}")

    def show(name, found):
        print(f"{name:45s} hit {100 * found[0]:7.3f} %   outside {found[1]:7d} of {found[2]}")

    for half, name in enumerate(("even events", "odd events")):
        print(name)
        show("constant", constant(data, half))
        for shift in (8, 9, 10, 11, 12):
            rule = replace(base, shift=shift)
            show(f"mean of {1 << shift}, delay {base.delay}", mean_rule(data, known, rule, half))
        for delay in (0, 2, 4, 5, 7, 8, 10):
            rule = replace(base, delay=delay)
            show(f"mean of {1 << base.shift}, delay {delay}", mean_rule(data, known, rule, half))
        for at in (4, 5, 7, 8):
            rule = replace(base, recorded_at=at)
            show(f"mean of {1 << base.shift}, recorded at {at}", mean_rule(data, known, rule, half))
        for shift in (9, 10, 11):
            rule = replace(base, shift=shift)
            show(f"recursive mean, 2**{shift}", recursive_rule(data, rule, half))
    cut = judge(
        data,
        0,
        lambda r: estimate(r.samples, r.baselines, r.unit, base),
        lambda r: bounds(r.samples, r.baselines, r.unit, known, SIGMAS, base),
        first=base.recorded_at,
    )
    truth = expected(data, base, np.random.default_rng(1))
    print(f"from sample {base.recorded_at} on: hit {100 * cut[0]:.2f} %, expected {100 * truth:.2f} %")


if __name__ == "__main__":
    main()
