"""Reading the model's and the firmware's JSON files, tolerant to parts that a run does not have."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["dig", "firmware_number", "histories", "layer_rows", "size", "sparsity_rows"]


def dig(content: Any, *keys: str, default: Any = None) -> Any:
    """A nested value, or the default where any key on the way is missing."""
    for key in keys:
        if not isinstance(content, Mapping) or key not in content:
            return default
        content = content[key]
    return content


def histories(model: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Per-epoch values of each model that has a loss, by ``float`` and ``compressed``."""
    result = {}
    for name in ("float", "compressed"):
        history = dig(model, name, "history") or dig(model, "history", name) or {}
        # per-epoch lists may lie beside the totals or under a key of their own
        for candidate in (history, *(v for v in history.values() if isinstance(v, Mapping))):
            lists = {k: v for k, v in candidate.items() if isinstance(v, list) and v}
            if "loss" in lists:
                result[name] = {k: v for k, v in lists.items() if len(v) == len(lists["loss"])}
                break
    return result


def sparsity_rows(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Layer name, fraction of zeros and number of weights of the compressed model."""
    table = dig(model, "compressed", "sparsity_by_layer") or dig(model, "compressed", "layers") or []
    rows: Iterable[tuple[Any, Any]]
    if isinstance(table, Mapping):
        rows = table.items()
    elif isinstance(table, list):
        rows = [(row.get("name") or row.get("layer"), row) for row in table if isinstance(row, Mapping)]
    else:
        return []
    result = []
    for name, row in rows:
        value = row if isinstance(row, int | float) else dig(row, "sparsity", default=dig(row, "reached"))
        weights = (
            0 if isinstance(row, int | float) else dig(row, "weights", default=dig(row, "total", default=0))
        )
        if isinstance(value, int | float):
            result.append({"name": str(name), "sparsity": float(value), "weights": int(weights or 0)})
    return result


SIZES: dict[str, tuple[tuple[str, ...], ...]] = {
    "parameters": (("parameters",),),
    "nonzero": (("nonzero",),),
    "weights": (("weights",),),
    "nonzero_weights": (("nonzero_weights",),),
    "sparsity": (("sparsity",),),
    "n_layers": (("n_layers",),),
    "macs": (("macs",),),
    "macs_nonzero": (("macs_nonzero",),),
    "gflops": (("gflops",),),
    "dense": (("bytes", "dense"), ("bytes_float32",)),
    "packed": (("bytes", "packed"), ("bytes_packed",)),
    "gzip": (("bytes", "gzip"), ("bytes_gzip",)),
}


def size(model: Mapping[str, Any], name: str, key: str) -> Any:
    """A size of the ``float`` or ``compressed`` model by a key of ``SIZES``; None where unknown."""
    for path in SIZES[key]:
        for root in ((name,), (name, "size")):
            found = dig(model, *root, *path)
            if isinstance(found, int | float):
                return found
    if key == "n_layers":
        return len(layer_rows(model, name)[1]) or None
    return None


def firmware_number(resources: Any, names: tuple[str, ...]) -> tuple[float, str] | None:
    """First number under one of some keys (any case) anywhere in the resources, and its source."""

    def walk(content: Any, source: str) -> tuple[float, str] | None:
        if isinstance(content, Mapping):
            source = str(content.get("source", source))
            for key, value in content.items():
                if str(key).lower() in names and isinstance(value, int | float) and value is not True:
                    return float(value), source
            parts: Iterable[Any] = content.values()
        elif isinstance(content, list):
            parts = content
        else:
            return None
        for part in parts:
            if (found := walk(part, source)) is not None:
                return found
        return None

    return walk(resources, "")


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
    cells = [[row.get("name") or row.get("layer") or "", *(row.get(key) for key in keys)] for row in rows]
    return ["Layer", *(LAYER_COLUMNS[key] for key in keys)], cells
