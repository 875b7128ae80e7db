"""Numbers with their uncertainty, alone and compared, as documents keep them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Comparison", "Estimate", "Pair", "Quantity"]


@dataclass(frozen=True)
class Estimate:
    """An estimate and its central interval.

    Parameters
    ----------
    value, low, high : float or None
        None where undefined.
    flag : str
        Why the numbers are missing or doubtful; empty when they are neither.
    events : int or None
        Events behind the estimate, where that is informative.
    """

    value: float | None
    low: float | None
    high: float | None
    flag: str = ""
    events: int | None = None


@dataclass(frozen=True)
class Quantity:
    """A figure of merit.

    Parameters
    ----------
    label : str
        What a reader sees.
    better : {"higher", "lower", "zero"}
        Where a better model moves it; ``zero`` for biases, judged by their absolute value.
    unit : str
        Empty for pure numbers.
    """

    label: str
    better: Literal["higher", "lower", "zero"]
    unit: str = ""


@dataclass(frozen=True)
class Comparison:
    """A figure of merit of a model and of the reference, on the same resampled showers.

    Parameters
    ----------
    reference, model : Estimate
    difference : Estimate
        Model minus reference.
    ratio : Estimate
        Model divided by reference.
    state : str
        ``unchanged``, ``worse``, ``better``, ``unresolved`` or ``undefined``.
    verdict : str
        The same in words, with the size of the change.
    """

    reference: Estimate
    model: Estimate
    difference: Estimate
    ratio: Estimate
    state: str
    verdict: str


@dataclass(frozen=True)
class Pair:
    """Every figure of merit of a model against the reference.

    Parameters
    ----------
    metrics : mapping of str to Comparison
        Over all events, by name of the figure.
    bins : mapping of str to tuple of Comparison
        The same in each energy bin; empty where only all events were judged.
    """

    metrics: Mapping[str, Comparison]
    bins: Mapping[str, tuple[Comparison, ...]] = field(default_factory=dict)
