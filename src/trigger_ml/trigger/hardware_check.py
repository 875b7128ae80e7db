"""The emulated level 0 against the recorded one, bit for bit where a file tells enough.

A file lacks the samples before its windows (`baseline`): what every possible history decides alike must be
equal, the rest must be one of the possible values; anything else contradicts the rule and is listed.
"""

from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
from ctapipe.containers import EventType
from numpy.typing import NDArray

from trigger_ml.core.documents.hardware import (
    Agreement,
    Clusters,
    HardwareCheck,
    Outputs,
    PatchRow,
    Rule,
    TraceDifference,
    Traces,
)
from trigger_ml.core.errors import InputError
from trigger_ml.events.trigger_record import TriggerRecord, read_trigger_records
from trigger_ml.instrument import sst1m
from trigger_ml.instrument.digicam import digicam
from trigger_ml.instrument.patches import Patches
from trigger_ml.trigger.baseline import Spread, bounds, estimate, spread
from trigger_ml.trigger.hardware_survey import (
    SIZES,
    Settings,
    Sums,
    Survey,
    cluster_outputs,
    find_settings,
    read_out,
)
from trigger_ml.trigger.level0 import NO_CLIP, cluster_sums, patch_traces

__all__ = ["MOST_LISTED", "SIGMAS", "check_hardware"]

SIGMAS = 5.0
"""Spreads by which samples that were not recorded may lie off."""
FIRST_EVENTS = 256
"""Events that tell the settings and how the night sky spreads."""
MOST_LISTED = 1000
"""Differences in the document."""

type Bits = NDArray[np.bool_]


@dataclass(eq=False)
class _Chain:
    """Decisions from the samples, for clusters of one size."""

    missed: int = 0
    false: int = 0
    decided: int = 0
    right: int = 0

    def add(self, fired: Bits, sums: tuple[NDArray[np.int32], ...], threshold: int) -> None:
        """``sums`` are those of the best guess, the smallest and the largest possible."""
        guess, low, high = (part >= threshold for part in sums)
        self.missed += int((fired & ~guess).sum())
        self.false += int((~fired & guess).sum())
        decided = low == high
        self.decided += int(decided.sum())
        self.right += int((decided & (low == fired)).sum())


@dataclass(eq=False)
class _Count:
    """Values that were compared."""

    compared: int = 0
    equal: int = 0

    def add(self, equal: Bits) -> None:
        self.compared += equal.size
        self.equal += int(equal.sum())

    def result(self) -> Agreement:
        return Agreement(self.compared, self.equal)


@dataclass(eq=False)
class _Comparison:
    """Second pass: the samples through the emulation, against the hardware's inputs and outputs."""

    patches: Patches
    settings: Settings
    known: Spread
    alive: Bits
    thresholds: dict[int, int | None]
    chains: dict[int, _Chain] = field(default_factory=lambda: {size: _Chain() for size in SIZES})
    # by whether events are clocked
    events: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    kinds: dict[bool, _Count] = field(default_factory=lambda: {True: _Count(), False: _Count()})
    decided: _Count = field(default_factory=_Count)
    undecided: _Count = field(default_factory=_Count)
    within_one: int = 0
    saturated: int = 0
    differences: list[TraceDifference] = field(default_factory=list)
    # by patch: compared, equal, unexplained, largest difference
    rows: NDArray[np.int64] = field(init=False)
    by_sample: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = np.zeros((len(self.patches), 4), dtype=np.int64)
        self.by_sample = np.zeros(self.known.of_sum.shape[1] - 1, dtype=np.int64)

    def _emulated(self, record: TriggerRecord) -> tuple[NDArray[np.uint8], ...]:
        """Inputs with the best guess of the baselines, and the smallest and the largest possible."""
        window = (record.samples, record.baselines, record.unit)
        least, most = bounds(*window, self.known, SIGMAS, self.settings.rule)
        return tuple(
            patch_traces(
                record.samples,
                baseline,
                self.patches.patch_of_pixel,
                len(self.patches),
                self.settings.pixel_most,
            )
            for baseline in (estimate(*window, self.settings.rule), most, least)
        )

    def add(self, record: TriggerRecord) -> None:
        emulated = self._emulated(record)
        counted = read_out(record, self.patches) & self.alive
        clocked = record.event_type == EventType.SKY_PEDESTAL.value
        self.events[clocked] += 1
        self.saturated += int((record.samples[record.present] >= sst1m.MAX_ADC).sum())
        self._traces(record, np.flatnonzero(counted), emulated, self.kinds[clocked])
        for size, cluster, fired in cluster_outputs(record, self.patches):
            threshold = self.thresholds[size]
            if threshold is not None:
                # of a cluster with a patch that is not compared nothing is known from the samples
                whole = np.where(cluster >= 0, counted[cluster], True).all(axis=1)
                sums = tuple(cluster_sums(part, cluster)[whole] for part in emulated)
                self.chains[size].add(fired[whole], sums, threshold)

    def _traces(
        self,
        record: TriggerRecord,
        chosen: NDArray[np.int64],
        emulated: tuple[NDArray[np.uint8], ...],
        kind: _Count,
    ) -> None:
        inputs = record.inputs[chosen]
        guess, low, high = (part[chosen] for part in emulated)
        off = np.abs(guess.astype(np.int32) - inputs)
        equal = off == 0
        fits = (low <= inputs) & (inputs <= high)
        certain = low == high
        kind.add(equal)
        self.decided.add(fits[certain])
        self.undecided.add(fits[~certain])
        self.within_one += int((off <= 1).sum())
        self.by_sample += equal.sum(axis=0)
        self.rows[chosen, 0] += off.shape[1]
        self.rows[chosen, 1] += equal.sum(axis=1)
        self.rows[chosen, 2] += (~fits).sum(axis=1)
        self.rows[chosen, 3] = np.maximum(self.rows[chosen, 3], off.max(axis=1))
        for row, sample in np.argwhere(~fits)[: MOST_LISTED - len(self.differences)].tolist():
            values = (int(part[row, sample]) for part in (inputs, guess, low, high))
            names = ("hardware", "emulated", "low", "high")
            self.differences.append(
                TraceDifference(
                    event_id=record.event_id,
                    patch=int(chosen[row]),
                    sample=sample,
                    **dict(zip(names, values, strict=True)),
                )
            )

    def traces(self) -> Traces:
        events = max(int(self.rows[:, 0].sum()) // len(self.by_sample), 1)
        return Traces(
            physics=self.kinds[False].result(),
            clocked=self.kinds[True].result(),
            within_one=self.within_one,
            largest=int(self.rows[:, 3].max()),
            decided=self.decided.result(),
            undecided=self.undecided.result(),
            by_sample=tuple((self.by_sample / events).tolist()),
            differences=tuple(self.differences),
        )

    def patch_rows(self) -> tuple[PatchRow, ...]:
        names = ("compared", "equal", "unexplained", "largest")
        return tuple(
            PatchRow(patch=patch, **dict(zip(names, row, strict=True)))
            for patch, row in enumerate(self.rows.tolist())
        )


def _clusters(sums: Sums, found: _Chain, threshold: int | None, given: bool) -> Clusters:
    quiet, smallest = sums.extremes()
    known = threshold is not None
    return Clusters(
        bits=int(sums.counts.sum()),
        fired=int(sums.counts[:, 1].sum()),
        largest_quiet=quiet,
        smallest_fired=smallest,
        threshold=threshold,
        given=given,
        even=sums.outputs(0, threshold),
        odd=sums.outputs(1, threshold),
        emulated=Outputs(missed=found.missed, false=found.false) if known else None,
        decided=Agreement(found.decided, found.right) if known else None,
    )


def check_hardware(
    path: Path, threshold7: int | None = None, threshold19: int | None = None
) -> HardwareCheck:
    """Compare the emulation with what a raw file of DigiCam recorded of its trigger.

    Parameters
    ----------
    path : pathlib.Path
        zfits file of the camera server.
    threshold7, threshold19 : int or None
        Least sum at which a cluster fires, ADC counts; None to find it in the file.

    Returns
    -------
    HardwareCheck

    Raises
    ------
    InputError
        If the file cannot be read, holds no events, or no trigger inputs and outputs.
    """
    patches = digicam().patches
    records = read_trigger_records(path)
    first = list(islice(records, FIRST_EVENTS))
    if not first:
        raise InputError(str(path), "holds no events", "Give a raw data file of DigiCam, whole")
    settings = find_settings(first[::2], patches)
    unit = first[0].unit
    known = spread(np.stack([r.samples for r in first]), np.stack([r.baselines for r in first]), unit)
    survey = Survey(patches, settings)
    for record in chain(first, records):
        survey.add(record)
    del first
    given = {7: threshold7, 19: threshold19}
    thresholds = {
        size: survey.sums[size].threshold() if given[size] is None else given[size] for size in SIZES
    }
    comparison = _Comparison(patches, settings, known, survey.alive, thresholds)
    for record in read_trigger_records(path):
        comparison.add(record)
    clusters = {
        size: _clusters(survey.sums[size], comparison.chains[size], thresholds[size], given[size] is not None)
        for size in SIZES
    }
    rule = settings.rule
    return HardwareCheck(
        file=str(path),
        events=survey.events,
        physics=comparison.events[False],
        clocked=comparison.events[True],
        samples=len(comparison.by_sample),
        saturated=comparison.saturated,
        silent=tuple(np.flatnonzero(~survey.alive).tolist()),
        rule=Rule(
            window=1 << rule.shift,
            delay=rule.delay,
            recorded_at=rule.recorded_at,
            unit=unit,
            pixel_most=None if settings.pixel_most == NO_CLIP else settings.pixel_most,
            largest_pixel=settings.largest_pixel,
            derived=survey.agreement(0),
            confirmed=survey.agreement(1),
            sigmas=SIGMAS,
        ),
        traces=comparison.traces(),
        patch7=clusters[7],
        patch19=clusters[19],
        patches=comparison.patch_rows(),
    )
