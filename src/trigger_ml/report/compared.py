"""What a comparison takes of each run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trigger_ml.core.documents.estimates import Comparison, Quantity
from trigger_ml.core.documents.evaluation import COMPRESSED, Evaluation
from trigger_ml.report.content import RunContent
from trigger_ml.report.facts import HEADLINES
from trigger_ml.report.reading import firmware_clocks, firmware_figure, size

__all__ = ["Run", "quantities_of", "quantity_of", "resource_of"]


@dataclass(frozen=True)
class Run:
    """A run that has been evaluated."""

    content: RunContent
    evaluation: Evaluation

    @property
    def metrics(self) -> Mapping[str, Comparison]:
        """Figures of merit of the compressed model against the float model."""
        return self.evaluation.pair().metrics

    @property
    def bins(self) -> Mapping[str, tuple[Comparison, ...]]:
        """The same in energy bins."""
        return self.evaluation.pair().bins

    def size(self, key: str) -> int | float | None:
        """A size of the compressed model."""
        return size(self.content.model, COMPRESSED, key)


def quantities_of(runs: Sequence[Run], task: str) -> list[str]:
    """Figures of merit that some run has, the headline ones first."""
    found = {name for run in runs for name in run.metrics}
    first = [name for name in HEADLINES[task] if name in found]
    order = runs[0].metrics
    return first + [name for name in order if name in found and name not in first]


def quantity_of(runs: Sequence[Run], name: str) -> Quantity:
    """Words for a figure of merit that some run has."""
    return next(run.evaluation.quantities[name] for run in runs if name in run.evaluation.quantities)


def resource_of(run: Run, what: Literal["lut", "latency"]) -> tuple[int | None, str]:
    """Lookup tables or clocks with their source; None where they are not known."""
    if what == "lut":
        figure = firmware_figure(run.content.resources)
        return (None, "") if figure is None else (figure[0].lut, figure[0].source)
    clocks = firmware_clocks(run.content.resources)
    return (None, "") if clocks is None else (clocks[0].latency, clocks[0].source)
