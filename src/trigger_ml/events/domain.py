"""The conditions under which a network was trained, and whether events were taken under such conditions.

A network is right about events like those that it learned from. Its metadata holds the range of what a camera
knows about itself; whoever feeds it compares.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Self

import numpy as np
from ctapipe.containers import EventType
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.errors import InputError

__all__ = [
    "QUANTITIES",
    "Domain",
    "DomainGuard",
    "Place",
    "Tally",
    "add_tallies",
    "dark_fraction",
    "training_domain",
]

QUANTITIES = {
    "pedestal": ("median charge of a pixel without light", "p.e."),
    "spread": ("median spread of that charge", "p.e."),
    "dead": ("dead pixels", "of all"),
    "dark": ("pixels whose count is zero", "of all"),
}
"""What is compared: words and unit. The first three are the same for all events of a block."""
OF_EVENTS = ("dark",)
"""Quantities that differ from event to event: their range leaves out a half per cent at either end."""
BETTER_BELOW = ("dead",)
"""Quantities of which less is no other condition: a network that copes with dead pixels needs none."""
EDGE = 0.1
"""How far beyond the range, as a part of its width, is still the edge: there a network is rarely off by much,
and a spread measured with a few dozen events is uncertain by as much."""
LEAST_EDGE = 0.03
"""The same as a part of the value, for ranges that are narrow because nothing was varied."""


class Place(IntEnum):
    """Where a value lies."""

    INSIDE = 0
    EDGE = 1
    OUTSIDE = 2


@dataclass(frozen=True)
class Domain:
    """Ranges of a training.

    Parameters
    ----------
    ranges : mapping of str to (float, float)
        Least and largest value by the names of `QUANTITIES`.
    triggers : tuple of str
        Kinds of events: names of ctapipe's ``EventType``.
    """

    ranges: Mapping[str, tuple[float, float]]
    triggers: tuple[str, ...]

    def place(self, name: str, values: ArrayLike) -> NDArray[np.int8]:
        """Where values of a quantity lie, as numbers of `Place`; those that are not finite lie outside."""
        value = np.asarray(values, dtype=np.float64)
        low, high = self.ranges[name]
        slack = max(EDGE * (high - low), LEAST_EDGE * abs(high))
        if name in BETTER_BELOW:
            low = -np.inf
        with np.errstate(invalid="ignore"):
            inside = (value >= low) & (value <= high)
            near = (value >= low - slack) & (value <= high + slack)
        return np.where(inside, Place.INSIDE, np.where(near, Place.EDGE, Place.OUTSIDE)).astype(np.int8)

    def to_dict(self) -> dict[str, object]:
        """Content as plain values for JSON."""
        return {
            "ranges": {name: list(ends) for name, ends in self.ranges.items()},
            "triggers": list(self.triggers),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        ranges = {name: (float(low), float(high)) for name, (low, high) in values["ranges"].items()}
        return cls(ranges, tuple(values["triggers"]))


@dataclass
class Tally:
    """How events lie in a quantity; tallies of parts of a file add up to that of the file.

    Parameters
    ----------
    events, edge, outside : int
        Events seen, and how many of them lie at the edge and outside.
    low, high : float
        Least and largest finite value; infinities before there is one.
    finite : int
        Events with a finite value.
    total : float
        Sum of the finite values.
    """

    events: int = 0
    edge: int = 0
    outside: int = 0
    low: float = np.inf
    high: float = -np.inf
    finite: int = 0
    total: float = 0.0

    @classmethod
    def of(cls, places: NDArray[np.int8], values: NDArray[np.float64]) -> Self:
        """The tally of some events: where they lie, and their values."""
        finite = values[np.isfinite(values)]
        return cls(
            len(values),
            int((places == Place.EDGE).sum()),
            int((places == Place.OUTSIDE).sum()),
            float(finite.min(initial=np.inf)),
            float(finite.max(initial=-np.inf)),
            len(finite),
            float(finite.sum()),
        )

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.events + other.events,
            self.edge + other.edge,
            self.outside + other.outside,
            min(self.low, other.low),
            max(self.high, other.high),
            self.finite + other.finite,
            self.total + other.total,
        )

    @property
    def mean(self) -> float:
        """Of the finite values."""
        return self.total / self.finite if self.finite else np.nan


Tallies = Mapping[str, Tally]
"""By the names of `QUANTITIES`."""


def add_tallies(parts: Iterable[Tallies]) -> dict[str, Tally]:
    """The tallies of all parts together."""
    total: dict[str, Tally] = {}
    for part in parts:
        for name, tally in part.items():
            total[name] = total.get(name, Tally()) + tally
    return total


class DomainGuard:
    """Compares the events that a network is fed with those that it was trained with.

    Files are judged whole: where they are read in pieces, in any order, `places` counts and `judge` decides.

    Parameters
    ----------
    domain : Domain or None
        None where the network does not tell: then nothing is judged, and said so.
    """

    def __init__(self, domain: Domain | None) -> None:
        self._domain = domain

    @classmethod
    def of_network(cls, metadata: Mapping[str, Any]) -> Self:
        """The guard of a network, from its metadata."""
        return cls(Domain.from_dict(metadata["domain"]) if "domain" in metadata else None)

    def places(self, values: Mapping[str, NDArray[np.float64]]) -> tuple[NDArray[np.int8], dict[str, Tally]]:
        """Where each event of a table lies, the worst of all quantities; and the count of them.

        Parameters
        ----------
        values : mapping of str to numpy.ndarray, shape (events,)
            By the names of `QUANTITIES`; others are ignored.
        """
        worst = np.zeros(len(next(iter(values.values()))), dtype=np.int8)
        tallies: dict[str, Tally] = {}
        for name in self._domain.ranges if self._domain is not None else ():
            if name in values:
                place = self._domain.place(name, values[name])  # type: ignore[union-attr]
                tallies[name] = Tally.of(place, values[name])
                worst = np.maximum(worst, place)
        return worst, tallies

    def judge(self, tallies: Tallies, path: Path) -> None:
        """Refuse a file of which half of the events or more lie outside in one quantity.

        Parameters
        ----------
        tallies : mapping of str to Tally
            Of all its events.
        path : pathlib.Path
            Of the events, for the message.

        Raises
        ------
        InputError
        """
        for name, tally in tallies.items():
            if tally.events and 2 * tally.outside >= tally.events:
                words, unit = QUANTITIES[name]
                least, most = self._range(name)
                raise InputError(
                    str(path),
                    f"{words}: {tally.mean:.3g} {unit}, the network was trained from "
                    f"{least:.3g} to {most:.3g}: its answers would mean nothing",
                    "Use a network trained under such conditions, or --outside-domain for answers anyway",
                )

    def _range(self, name: str) -> tuple[float, float]:
        assert self._domain is not None
        return self._domain.ranges[name]

    def warnings(self, tallies: Tallies) -> tuple[str, ...]:
        """What a user must know of all events, in words."""
        if self._domain is None:
            return ("the network does not tell the conditions of its training: not compared",)
        texts = []
        for name, tally in tallies.items():
            words, unit = QUANTITIES[name]
            least, most = self._range(name)
            for number, where in ((tally.edge, "at the edge of"), (tally.outside, "outside")):
                if number:
                    texts.append(
                        f"{number} of {tally.events} events {where} the training's conditions: {words} "
                        f"{tally.low:.3g} to {tally.high:.3g} {unit}, trained from {least:.3g} to {most:.3g}"
                    )
        return tuple(texts)


def dark_fraction(counts: NDArray[np.unsignedinteger], n_pixels: int) -> NDArray[np.float64]:
    """Fraction of a camera's pixels that count nothing.

    Parameters
    ----------
    counts : numpy.ndarray, shape (events, height, width, channels)
        The first channel is the charge; cells without a pixel are 0.
    n_pixels : int
        Of the camera.

    Returns
    -------
    numpy.ndarray, shape (events,)
    """
    lit = np.count_nonzero(counts[..., 0], axis=(1, 2))
    return np.asarray(1 - lit / n_pixels, dtype=np.float64)


def training_domain(values: Mapping[str, NDArray[np.float64]], event_type: ArrayLike | None) -> Domain:
    """The domain of training events.

    Parameters
    ----------
    values : mapping of str to numpy.ndarray, shape (events,)
        By the names of `QUANTITIES`; one that is nowhere finite is left out.
    event_type : array_like of int, shape (events,), or None
        ctapipe's codes; None means triggered showers.

    Returns
    -------
    Domain
    """
    ranges = {}
    for name, value in values.items():
        finite = value[np.isfinite(value)]
        if len(finite):
            ends = np.quantile(finite, (0.005, 0.995)) if name in OF_EVENTS else (finite.min(), finite.max())
            ranges[name] = (float(ends[0]), float(ends[1]))
    kinds = np.unique(np.asarray(EventType.SUBARRAY.value if event_type is None else event_type))
    return Domain(ranges, tuple(EventType(int(kind)).name for kind in kinds))
