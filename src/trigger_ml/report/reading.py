"""What several pages read from the model's and the firmware's documents."""

from collections.abc import Mapping
from typing import Any

from trigger_ml.core.documents.model import CONSTANT, History, LayerFacts, ModelSummary
from trigger_ml.core.documents.resources import TOTAL, Clocks, Project, ResourceFigure, Resources

__all__ = [
    "SIZES",
    "cautions",
    "dig",
    "firmware_clocks",
    "firmware_figure",
    "histories",
    "layer_rows",
    "predicted_lut",
    "size",
]


def dig(content: object, *keys: str, default: Any = None) -> Any:
    """A nested value of a configuration or manifest, or the default where a key on the way is missing."""
    for key in keys:
        if not isinstance(content, Mapping) or key not in content:
            return default
        content = content[key]
    return content


def histories(model: ModelSummary) -> dict[str, History]:
    """The trainings of a run; those that left nothing are left out."""
    found = {
        "float": model.float.history,
        "pruning": model.compressed.pruning_history,
        "compressed": model.compressed.history,
    }
    return {name: history for name, history in found.items() if history is not None}


def cautions(model: ModelSummary) -> list[str]:
    """What must be known of the compressed model before its figures: that it is constant, its budget."""
    found = model.compressed
    said = [CONSTANT] if found.constant else []
    return said if found.budget is None else [*said, found.budget.says]


SIZES = (
    "parameters", "weights", "nonzero_weights", "sparsity", "n_layers", "macs", "macs_nonzero", "gflops",
    "dense", "packed", "gzip",
)  # fmt: skip
"""The sizes of a model."""


def size(model: ModelSummary, name: str, key: str) -> int | float | None:
    """A size of the ``float`` or ``compressed`` model, one of ``SIZES``; None where unknown."""
    facts = model.of(name)
    found: int | float | None = getattr(facts.bytes if key in ("dense", "packed", "gzip") else facts, key)
    return found


def firmware_figure(resources: Resources) -> tuple[ResourceFigure, Project] | None:
    """The total closest to hardware, of the RTL project before the HLS project; None where there is none.

    The figures are ordered from prediction to implementation; those for another part than the project's do
    not count.
    """
    for project in resources.projects.values():
        for figure in reversed(project.figures):
            if figure.layer == TOTAL and figure.lut is not None and figure.part is None:
                return figure, project
    return None


def predicted_lut(resources: Resources) -> int | None:
    """LUTs of the whole RTL design, or else of another, as predicted; None where there is no prediction."""
    for project in resources.projects.values():
        for figure in project.figures:
            if figure.layer == TOTAL and figure.source.startswith("prediction"):
                return figure.lut
    return None


def firmware_clocks(resources: Resources) -> tuple[Clocks, Project] | None:
    """Clocks closest to hardware; None where there are none."""
    for project in resources.projects.values():
        if project.clocks:
            return project.clocks[-1], project
    return None


LAYER_COLUMNS = {"type": "Type", "output_shape": "Output shape", "parameters": "Parameters"}


def layer_rows(model: ModelSummary, name: str) -> tuple[list[str], list[list[str | int | None]]]:
    """Layers of a model as a table: headings, and for each layer its name and what is known of it."""

    def cells(layer: LayerFacts) -> dict[str, str | int | None]:
        return {key: getattr(layer, key) for key in LAYER_COLUMNS}

    rows = [(layer.name, cells(layer)) for layer in model.of(name).layers]
    keys = [key for key in LAYER_COLUMNS if any(row[key] not in (None, "") for _, row in rows)]
    table = [[layer, *(row[key] for key in keys)] for layer, row in rows]
    return ["Layer", *(LAYER_COLUMNS[key] for key in keys)], table
