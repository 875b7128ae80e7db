"""What models do when the conditions of the camera change, as ``evaluation.json`` keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trigger_ml.core.documents.estimates import Estimate

__all__ = [
    "Accepted", "Change", "ChangeDifference", "Condition", "ConditionDifference", "ConditionModel",
    "Largest", "NightSkyAccepted", "Robustness",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Accepted(Estimate):
    """Part of some independent events that is accepted; ``accepted`` is their number."""

    accepted: int


@dataclass(frozen=True, kw_only=True)
class Change(Estimate):
    """Last bin minus first; ``seen`` where the central 95 % exclude none."""

    seen: bool


@dataclass(frozen=True, kw_only=True)
class Largest(Estimate):
    """Largest relative change of any bin; ``chance`` is what statistics alone would give."""

    chance: float | None = None


@dataclass(frozen=True, kw_only=True)
class ChangeDifference(Estimate):
    """A model's change minus the reference's, with a verdict."""

    state: str
    verdict: str


@dataclass(frozen=True)
class ConditionModel:
    """One model over one condition.

    Parameters
    ----------
    auc, gamma, hadron : tuple of Estimate
        AUC, and the parts of gammas and hadrons that are accepted, in each bin.
    change : mapping of str to Change
        Of each of these three; of acceptances, relative to that over all events.
    largest : mapping of str to Largest
        Of the acceptances.
    """

    auc: tuple[Estimate, ...]
    gamma: tuple[Estimate, ...]
    hadron: tuple[Estimate, ...]
    change: Mapping[str, Change]
    largest: Mapping[str, Largest]


@dataclass(frozen=True)
class ConditionDifference:
    """A model minus a reference over one condition, as `ConditionModel`."""

    change: Mapping[str, ChangeDifference]
    largest: Mapping[str, Estimate]
    auc: tuple[Estimate, ...]


@dataclass(frozen=True)
class Condition:
    """One condition that varies among the events.

    Parameters
    ----------
    label, unit : str
    edges : tuple of float
        Of the bins.
    flag : str
        Why there are fewer bins than asked for.
    unknown : int
        Events whose condition is not known.
    medians : tuple of float
    values : tuple of int
        Number of different values in each bin.
    events, showers : mapping of str to tuple of int
        In each bin, by class.
    flags : tuple of str
        Of the bins.
    models : mapping of str to ConditionModel
    differences : mapping of str to mapping of str to ConditionDifference
        By reference, then by model.
    night_sky : mapping of str to tuple of Accepted
        By model; empty where windows without showers do not tell the condition.
    """

    label: str
    unit: str
    edges: tuple[float, ...]
    flag: str
    events: Mapping[str, tuple[int, ...]]
    flags: tuple[str, ...]
    models: Mapping[str, ConditionModel]
    differences: Mapping[str, Mapping[str, ConditionDifference]]
    unknown: int = 0
    medians: tuple[float, ...] = ()
    values: tuple[int, ...] = ()
    showers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    night_sky: Mapping[str, tuple[Accepted, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class NightSkyAccepted:
    """Windows without a shower that models accept, or the ``reason`` why none were judged.

    Parameters
    ----------
    reason : str
    models : mapping of str to Accepted
    not_judged : mapping of str to str
        By model, why it gave no answers.
    """

    reason: str = ""
    models: Mapping[str, Accepted] = field(default_factory=dict)
    not_judged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Robustness:
    """All conditions; only the ``reason`` where nothing could be measured.

    Parameters
    ----------
    reason : str
    bins, least_showers : int, optional
        Bins asked for, and the fewest showers of a class in one.
    gamma_efficiency : float, optional
        Over all events, which sets each model's threshold.
    thresholds : mapping of str to float
        Logit, by model.
    overall : mapping of str to mapping of str to Estimate
        The figures over all events, by model.
    conditions : mapping of str to Condition
    night_sky : NightSkyAccepted, optional
    """

    reason: str = ""
    bins: int | None = None
    least_showers: int | None = None
    gamma_efficiency: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    overall: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    night_sky: NightSkyAccepted | None = None
