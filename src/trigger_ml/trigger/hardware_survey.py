"""What a raw file tells of the camera's settings: the rule of its baselines, its clipping, its thresholds.

Each is found in the even events; the odd ones confirm it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trigger_ml.core.documents.hardware import Agreement, Outputs
from trigger_ml.events.trigger_record import TriggerRecord
from trigger_ml.instrument.patches import Patches
from trigger_ml.trigger.baseline import AS_BUILT, RunningMean
from trigger_ml.trigger.digital_sum import PATCH_MAX
from trigger_ml.trigger.level0 import NO_CLIP, cluster_sums

__all__ = ["SIZES", "Settings", "Survey", "cluster_outputs", "find_settings", "read_out"]

SIZES = (7, 19)
"""Patches of a cluster."""

type Bits = NDArray[np.bool_]


def read_out(record: TriggerRecord, patches: Patches) -> Bits:
    """Patches of which every pixel was read out."""
    missing = np.bincount(patches.patch_of_pixel, weights=~record.present, minlength=len(patches))
    return np.asarray(missing == 0)


def cluster_outputs(record: TriggerRecord, patches: Patches) -> Iterator[tuple[int, NDArray[np.int64], Bits]]:
    """Of each size of clusters: the size, the clusters' patches, and the hardware's decisions."""
    yield SIZES[0], patches.cluster, record.patch7
    yield SIZES[1], patches.cluster_19, record.patch19


@dataclass(frozen=True)
class Settings:
    """What inputs depend on.

    Parameters
    ----------
    rule : RunningMean
    pixel_most : int
        ADC counts above the baseline to which pixels are clipped; `NO_CLIP` if no pixel was.
    largest_pixel : int
        Largest such count that was added; above it nothing is known of the clipping.
    """

    rule: RunningMean
    pixel_most: int
    largest_pixel: int


@njit(cache=True)
def _equal_by_sample(
    off: NDArray[np.int32], patch: NDArray[np.int64], inputs: NDArray[np.uint8], counted: Bits
) -> NDArray[np.int64]:
    """For each sample, patches whose sum gives the recorded input."""
    n = off.shape[1]
    sums = np.zeros((len(counted), n), np.int64)
    for p in range(len(patch)):
        sums[patch[p]] += off[p]
    found = np.zeros(n, np.int64)
    for q in range(len(counted)):
        for k in range(n):
            found[k] += counted[q] and min(max(sums[q, k], 0), PATCH_MAX) == inputs[q, k]
    return found


def _off(record: TriggerRecord) -> NDArray[np.int32]:
    whole = np.floor(record.baselines * record.unit).astype(np.int32)
    return record.samples - whole[:, np.newaxis]


def find_settings(records: Sequence[TriggerRecord], patches: Patches) -> Settings:
    """Settings that fit the recorded inputs best.

    The recorded baseline was subtracted at one sample: there inputs follow from samples without any history.

    Parameters
    ----------
    records : sequence of TriggerRecord
    patches : Patches
    """
    patch = patches.patch_of_pixel
    # a patch that never delivers anything tells nothing
    silent = ~np.any([record.inputs.any(axis=1) for record in records], axis=0)
    known = [(record, _off(record), read_out(record, patches) & ~silent) for record in records]
    by_sample = np.sum(
        [_equal_by_sample(off, patch, record.inputs, counted) for record, off, counted in known], axis=0
    )
    best = int(by_sample.argmax())
    usual = AS_BUILT.recorded_at
    if usual < len(by_sample) and by_sample[usual] == by_sample[best]:
        best = usual

    at = [
        (record.inputs[:, best : best + 1], off[:, best : best + 1], counted)
        for record, off, counted in known
    ]
    used = [off[record_counted[patch], 0] for _, off, record_counted in at]
    largest = int(max((part.max(initial=0) for part in used), default=0))
    pixel_most, most_equal = NO_CLIP, -1
    for limit in (NO_CLIP, *range(largest - 1, 0, -1)):
        equal = sum(
            int(_equal_by_sample(np.minimum(off, limit), patch, inputs, counted)[0])
            for inputs, off, counted in at
        )
        if equal > most_equal:
            pixel_most, most_equal = limit, equal
    return Settings(replace(AS_BUILT, recorded_at=best), pixel_most, min(largest, pixel_most))


@dataclass(eq=False)
class Sums:
    """How often each sum of a cluster was quiet or fired, in even and odd events."""

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, size: int) -> "Sums":
        """Nothing counted yet, for clusters of so many patches."""
        return cls(np.zeros((2, 2, size * PATCH_MAX + 1), dtype=np.int64))

    def add(self, half: int, sums: NDArray[np.int32], fired: Bits) -> None:
        """Count an event's sums and decisions, shape (patches, samples)."""
        for state in (0, 1):
            chosen = sums[fired == bool(state)]
            self.counts[half, state] += np.bincount(chosen, minlength=self.counts.shape[2])

    def threshold(self) -> int | None:
        """Least sum that fires in the even events, or in all if none of these fires; None if none does."""
        for quiet, fired in (self.counts[0], self.counts.sum(axis=0)):
            if fired.any():
                # errors of a threshold at each sum: those below that fired, those from it on that did not
                wrong = np.cumsum(fired) - fired + np.cumsum(quiet[::-1])[::-1]
                wrong[fired == 0] = wrong.max() + 1
                return int(wrong.argmin())
        return None

    def outputs(self, half: int, threshold: int | None) -> Outputs:
        """Errors of a threshold."""
        quiet, fired = self.counts[half]
        if threshold is None:
            return Outputs(missed=int(fired.sum()), false=0)
        return Outputs(missed=int(fired[:threshold].sum()), false=int(quiet[threshold:].sum()))

    def extremes(self) -> tuple[int, int | None]:
        """Largest sum that did not fire and smallest that did."""
        quiet, fired = (np.flatnonzero(state) for state in self.counts.sum(axis=0))
        return int(quiet.max(initial=0)), int(fired.min()) if len(fired) else None


@dataclass(eq=False)
class Survey:
    """First pass over a file, with the hardware's own inputs: sums over clusters, and how settings fit."""

    patches: Patches
    settings: Settings
    sums: dict[int, Sums] = field(default_factory=lambda: {size: Sums.of(size) for size in SIZES})
    # by half: inputs at the sample of the recorded baseline, compared and equal, by patch
    compared: NDArray[np.int64] = field(init=False)
    equal: NDArray[np.int64] = field(init=False)
    # patches that delivered something
    alive: Bits = field(init=False)
    events: int = 0

    def __post_init__(self) -> None:
        self.compared, self.equal = (np.zeros((2, len(self.patches)), dtype=np.int64) for _ in range(2))
        self.alive = np.zeros(len(self.patches), dtype=np.bool_)

    def add(self, record: TriggerRecord) -> None:
        """Count an event."""
        half = self.events % 2
        self.events += 1
        at = self.settings.rule.recorded_at
        off = np.minimum(_off(record)[:, at], self.settings.pixel_most)
        sums = np.bincount(self.patches.patch_of_pixel, weights=off, minlength=len(self.patches))
        counted = read_out(record, self.patches)
        self.compared[half] += counted
        self.equal[half] += counted & (np.clip(sums, 0, PATCH_MAX) == record.inputs[:, at])
        self.alive |= record.inputs.any(axis=1)
        for size, cluster, fired in cluster_outputs(record, self.patches):
            self.sums[size].add(half, cluster_sums(record.inputs, cluster), fired)

    def agreement(self, half: int) -> Agreement:
        """Inputs at the sample of the recorded baseline, of patches that deliver something."""
        return Agreement(*(int(part[half, self.alive].sum()) for part in (self.compared, self.equal)))
