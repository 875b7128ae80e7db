"""The conditions under which a network was trained, and whether events were taken under such conditions.

A network is right about events like those that it learned from. Its metadata holds the range of what a camera
knows about itself; whoever feeds it compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Self

import numpy as np
from ctapipe.containers import EventType
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.errors import InputError

__all__ = ["QUANTITIES", "Domain", "DomainGuard", "Place", "dark_fraction", "training_domain"]

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

    def to_dict(self) -> dict[str, Any]:
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


class DomainGuard:
    """Watches the events that a network is fed.

    Parameters
    ----------
    domain : Domain or None
        None where the network does not tell: then nothing is judged, and said so.
    accept : bool
        Go on where a file lies outside.
    """

    def __init__(self, domain: Domain | None, *, accept: bool) -> None:
        self._domain, self._accept = domain, accept
        self._counts: dict[tuple[str, Place], int] = {}
        self._seen: dict[str, tuple[float, float]] = {}
        self._events = 0

    @classmethod
    def of_network(cls, metadata: Mapping[str, Any], *, accept: bool) -> Self:
        """The guard of a network, from its metadata."""
        domain = Domain.from_dict(metadata["domain"]) if "domain" in metadata else None
        return cls(domain, accept=accept)

    def places(self, values: Mapping[str, NDArray[np.float64]], path: Path) -> NDArray[np.int8]:
        """Where each event of a table lies: the worst of all quantities.

        Parameters
        ----------
        values : mapping of str to numpy.ndarray, shape (events,)
            By the names of `QUANTITIES`; others are ignored.
        path : pathlib.Path
            Of the events, for the message.

        Raises
        ------
        InputError
            If half of the events or more lie outside in one quantity, and that was not accepted.
        """
        n = len(next(iter(values.values())))
        worst = np.zeros(n, dtype=np.int8)
        self._events += n
        if self._domain is None or n == 0:
            return worst
        for name in self._domain.ranges:
            if name not in values:
                continue
            place = self._domain.place(name, values[name])
            for kind in (Place.EDGE, Place.OUTSIDE):
                self._counts[name, kind] = self._counts.get((name, kind), 0) + int((place == kind).sum())
            low, high = self._seen.get(name, (np.inf, -np.inf))
            self._seen[name] = min(low, float(values[name].min())), max(high, float(values[name].max()))
            worst = np.maximum(worst, place)
            if not self._accept and 2 * int((place == Place.OUTSIDE).sum()) >= n:
                words, unit = QUANTITIES[name]
                least, most = self._domain.ranges[name]
                raise InputError(
                    str(path),
                    f"{words}: {np.median(values[name]):.3g} {unit}, the network was trained from "
                    f"{least:.3g} to {most:.3g}: its answers would mean nothing",
                    "Use a network trained under such conditions, or --outside-domain for answers anyway",
                )
        return worst

    def warnings(self) -> tuple[str, ...]:
        """What a user must know, in words."""
        if self._domain is None:
            return ("the network does not tell the conditions of its training: not compared",)
        texts = []
        for (name, kind), number in self._counts.items():
            if number:
                words, unit = QUANTITIES[name]
                least, most = self._domain.ranges[name]
                low, high = self._seen[name]
                where = "outside" if kind is Place.OUTSIDE else "at the edge of"
                texts.append(
                    f"{number} of {self._events} events {where} the training's conditions: {words} "
                    f"{low:.3g} to {high:.3g} {unit}, trained from {least:.3g} to {most:.3g}"
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
