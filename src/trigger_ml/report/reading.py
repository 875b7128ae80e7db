"""Reading the model's and the firmware's JSON files, where a run has them."""

from collections.abc import Mapping
from typing import Any

__all__ = [
    "dig", "firmware_clocks", "firmware_figure", "histories", "layer_rows", "size", "sparsity_rows",
]  # fmt: skip


def dig(content: Any, *keys: str, default: Any = None) -> Any:
    """A nested value, or the default where any key on the way is missing."""
    for key in keys:
        if not isinstance(content, Mapping) or key not in content:
            return default
        content = content[key]
    return content


HISTORIES = {
    "float": ("float", "history"),
    "pruning": ("compressed", "pruning_history"),
    "compressed": ("compressed", "history"),
}


def histories(model: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Per-epoch values of each training in ``model.json``; those without are left out."""
    found = {name: dig(model, *path, "metrics") for name, path in HISTORIES.items()}
    return {name: metrics for name, metrics in found.items() if metrics}


def sparsity_rows(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Layer name, fraction of zeros and number of weights of the compressed model."""
    return [
        {"name": row["layer"], "sparsity": row["sparsity"], "weights": row["weights"]}
        for row in dig(model, "compressed", "sparsity_by_layer", default=[])
    ]


SIZES = {
    key: (key,)
    for key in (
        "parameters",
        "weights",
        "nonzero_weights",
        "sparsity",
        "n_layers",
        "macs",
        "macs_nonzero",
        "gflops",
    )
} | {key: ("bytes", key) for key in ("dense", "packed", "gzip")}
"""Where `model.json` keeps each size of a model."""


def size(model: Mapping[str, Any], name: str, key: str) -> Any:
    """A size of the ``float`` or ``compressed`` model by a key of ``SIZES``; None where unknown."""
    return dig(model, name, *SIZES[key])


PROJECTS = ("rtl", "hls")


def firmware_figure(resources: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The total closest to hardware, of the RTL project before the HLS project; None where there is none.

    ``resources.json`` orders the figures from prediction to implementation; those for another part than
    the project's do not count. The part's ``device`` is added.
    """
    for name in PROJECTS:
        for figure in reversed(dig(resources, name, "figures", default=[])):
            if figure["layer"] == "total" and "lut" in figure and "part" not in figure:
                return {**figure, "device": dig(resources, name, "part", "device")}
    return None


def firmware_clocks(resources: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Clocks closest to hardware, with the period asked for; None where there are none."""
    for name in PROJECTS:
        found = dig(resources, name, "clocks", default=[])
        if found:
            return {**found[-1], "clock_period_ns": resources[name]["clock_period_ns"]}
    return None


LAYER_COLUMNS = {
    "type": "Type",
    "output_shape": "Output shape",
    "parameters": "Parameters",
    "weights": "Weights",
    "macs": "Multiplications",
    "asked": "Sparsity asked",
    "sparsity": "Sparsity reached",
    "pruned": "Zero by pruning",
    "rounded": "Zero by rounding",
    "bits": "Bits",
}


def layer_rows(model: Mapping[str, Any], name: str) -> tuple[list[str], list[list[Any]]]:
    """Layers of a model as a table: headings, and for each layer its name and what is known of it."""
    table = dig(model, name, "layers")
    rows = [row for row in table if isinstance(row, Mapping)] if isinstance(table, list) else []
    keys = [key for key in LAYER_COLUMNS if any(row.get(key) not in (None, "") for row in rows)]
    cells = [[row["name"], *(row.get(key) for key in keys)] for row in rows]
    return ["Layer", *(LAYER_COLUMNS[key] for key in keys)], cells
