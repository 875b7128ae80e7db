"""How the emulated trigger compares with a recorded one: the document that ``hardware-check`` leaves."""

from dataclasses import dataclass

from trigger_ml.core.documents.base import Kind

__all__ = [
    "HARDWARE_CHECK", "Agreement", "Clusters", "HardwareCheck", "Outputs", "PatchRow", "Rule",
    "TraceDifference", "Traces",
]  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """Values that were compared, and how many of them are equal."""

    compared: int
    equal: int


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The settings that the comparison uses, found in the even events of the file's first ones.

    Parameters
    ----------
    window : int
        Samples of a pixel that are averaged.
    delay : int
        Clocks between a sample and the first one from which a baseline with it is subtracted.
    recorded_at : int
        Sample of the readout for which the recorded baseline is the one that was subtracted.
    unit : float
        ADC counts of one unit of the recorded baselines.
    pixel_most : int or None
        ADC counts above the baseline to which each pixel is clipped; None if none was.
    largest_pixel : int
        Largest such count that was added at that sample: beyond it nothing is known of the clipping.
    derived, confirmed : Agreement
        Trigger inputs at that sample with the recorded baseline: even events, odd events.
    sigmas : float
        Spreads by which what was not recorded may lie off.
    """

    window: int
    delay: int
    recorded_at: int
    unit: float
    pixel_most: int | None
    largest_pixel: int
    derived: Agreement
    confirmed: Agreement
    sigmas: float


@dataclass(frozen=True, kw_only=True)
class TraceDifference:
    """A trigger input that no admissible baseline explains."""

    event_id: int
    patch: int
    sample: int
    hardware: int
    emulated: int
    low: int
    high: int


@dataclass(frozen=True, kw_only=True)
class Traces:
    """Trigger inputs: the hardware's against those from the samples.

    Parameters
    ----------
    physics, clocked : Agreement
        With the best guess of the baselines.
    within_one : int
        Of all, that differ by one count at most.
    largest : int
        Difference, ADC counts.
    decided : Agreement
        For which every admissible baseline gives the same.
    undecided : Agreement
        For the others: how many are one of the possible values.
    by_sample : tuple of float
        Part that is equal, for each sample of the window.
    differences : tuple of TraceDifference
        What nothing admissible explains, at most `MOST_LISTED`.
    """

    physics: Agreement
    clocked: Agreement
    within_one: int
    largest: int
    decided: Agreement
    undecided: Agreement
    by_sample: tuple[float, ...]
    differences: tuple[TraceDifference, ...]

    @property
    def unexplained(self) -> int:
        """Inputs that contradict the rule."""
        return sum(part.compared - part.equal for part in (self.decided, self.undecided))


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Bits that fired, against a threshold."""

    missed: int
    false: int


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """The hardware's decisions over clusters of one size.

    Parameters
    ----------
    bits, fired : int
    largest_quiet : int
        Largest sum that did not fire, of all events.
    smallest_fired : int or None
        Smallest that fired.
    threshold : int or None
        Least sum that fires, from the even events (or given); None if nothing fired.
    given : bool
        Whether the user named it.
    even, odd : Outputs
        From the hardware's own inputs, with that threshold.
    emulated : Outputs or None
        From the samples, best guess of the baselines.
    decided : Agreement or None
        From the samples: bits that every admissible baseline decides alike.
    """

    bits: int
    fired: int
    largest_quiet: int
    smallest_fired: int | None
    threshold: int | None
    given: bool
    even: Outputs
    odd: Outputs
    emulated: Outputs | None
    decided: Agreement | None

    @property
    def differs(self) -> bool:
        """Whether a decision contradicts the rule."""
        wrong = sum(half.missed + half.false for half in (self.even, self.odd))
        return wrong > 0 or (self.decided is not None and self.decided.equal < self.decided.compared)


@dataclass(frozen=True, kw_only=True)
class PatchRow:
    """Trigger inputs of one patch; nothing is compared where it is silent or a pixel was not read out."""

    patch: int
    compared: int
    equal: int
    unexplained: int
    largest: int


@dataclass(frozen=True, kw_only=True)
class HardwareCheck:
    """Emulated level 0 against the recorded; ``silent`` are patches whose inputs are 0 in all of the file."""

    file: str
    events: int
    physics: int
    clocked: int
    samples: int
    saturated: int
    silent: tuple[int, ...]
    rule: Rule
    traces: Traces
    patch7: Clusters
    patch19: Clusters
    patches: tuple[PatchRow, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing contradicts the rule."""
        return not (self.traces.unexplained or self.patch7.differs or self.patch19.differs)


HARDWARE_CHECK = Kind(
    HardwareCheck, "comparison with the recorded trigger", 1, "hardware-check", explicit=True
)
