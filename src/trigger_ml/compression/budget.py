"""What a network may cost in hardware, what it does cost, and how far that is from it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trigger_ml.core.config import BudgetConfig
from trigger_ml.core.keras_types import Model

__all__ = ["TOLERANCE", "Hardware", "Measure", "Verdict", "excess", "judge"]

TOLERANCE = 0.05
"""A budget of lookup tables is used where a network takes at least all but this share of it."""


@dataclass(frozen=True)
class Hardware:
    """What a quantized model costs, and what changes of it would cost.

    Parameters
    ----------
    lut, latency_clocks, interval : int
    per_digit : mapping of str to float
        Lookup tables that a signed digit of a layer's weights takes, by the name of the layer.
    per_bit : mapping of str to float
        Lookup tables that a bit of what leaves a quantizer takes, by the name of the quantizer.
    """

    lut: int
    latency_clocks: int
    interval: int
    per_digit: Mapping[str, float] = field(default_factory=dict, repr=False)
    per_bit: Mapping[str, float] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, int]:
        """Lookup tables and clocks as a plain dictionary for JSON."""
        return {"lut": self.lut, "latency_clocks": self.latency_clocks, "interval": self.interval}


type Measure = Callable[[Model], Hardware]
"""Costs of a quantized model, whoever knows them."""


@dataclass(frozen=True)
class Verdict:
    """Whether a network is within its budget.

    Parameters
    ----------
    asked : dict of str to int
        The quantities of the budget.
    found : dict of str to int
        What the network takes of them.
    met : bool
    says : str
        In one line.
    """

    asked: dict[str, int]
    found: dict[str, int]
    met: bool
    says: str

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return asdict(self)


_WORDS = {"lut": "LUT", "latency_clocks": "clocks of latency", "interval": "clocks between events"}


def _asked(budget: BudgetConfig) -> dict[str, int]:
    return {name: value for name, value in budget.model_dump().items() if value is not None}


def excess(hardware: Hardware, budget: BudgetConfig) -> float:
    """By which part of itself a budget is exceeded, in the worst of its quantities; 0 where none is."""
    found = hardware.to_dict()
    return max(max(0.0, found[name] / value - 1.0) for name, value in _asked(budget).items())


def judge(hardware: Hardware, budget: BudgetConfig) -> Verdict:
    """Compare a network's costs with its budget."""
    asked = _asked(budget)
    found = {name: hardware.to_dict()[name] for name in asked}
    over = [
        f"{found[name]:,} {_WORDS[name]} instead of {value:,} ({found[name] - value:+,})"
        for name, value in asked.items()
        if found[name] > value
    ]
    if over:
        return Verdict(asked, found, False, f"budget not met, the best found takes {', '.join(over)}")
    used = ", ".join(f"{found[name]:,} of {value:,} {_WORDS[name]}" for name, value in asked.items())
    note = ""
    if found["lut"] < (1 - TOLERANCE) * asked["lut"]:
        note = "; no more of it was needed"
    return Verdict(asked, found, True, f"budget met: {used}{note}")
