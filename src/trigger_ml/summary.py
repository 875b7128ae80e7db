"""What a run found, in a few lines on the terminal."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["print_summary"]


def _interval(values: dict[str, Any], digits: int = 4, sign: str = "") -> str:
    if values["value"] is None:
        return f"undefined ({values.get('flag', 'too few events')})"
    number = f"{values['value']:{sign}.{digits}f}"
    if values["low"] is None:
        return number
    return f"{number}  [{values['low']:{sign}.{digits}f}, {values['high']:{sign}.{digits}f}]"


def _physics(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, comparison in evaluation["metrics"].items():
        if evaluation["task"] == "type" and name not in ("auc", "hadron_efficiency", "gamma_efficiency"):
            continue
        label = evaluation["quantities"][name]["label"]
        if name == "auc":
            rows.append((f"{label}, float", _interval(comparison["float"])))
            rows.append((f"{label}, compressed", _interval(comparison["compressed"])))
            rows.append(("difference, paired", _interval(comparison["difference"], sign="+")))
        rows.append((f"{label}, change", comparison["verdict"]))
    return rows


def print_summary(directory: Path, console: Console) -> None:
    """Print figures of merit with intervals, sparsity, widths, mismatches, and where the report is.

    Parameters
    ----------
    directory : Path
        A run directory with all stages done.
    console : rich.console.Console
    """
    files = ("evaluation.json", "verification.json", "model/model.json", "manifest.json")
    evaluation, verification, model, manifest = (json.loads((directory / f).read_text()) for f in files)
    content = 100 * evaluation["settings"]["confidence"]
    title = f"{manifest['name']}: {evaluation['events']['used']} test events, \\[{content:g} % intervals]"
    table = Table(title=title, title_justify="left", show_header=False)
    for label, value in _physics(evaluation):
        table.add_row(label, value)
    table.add_section()
    sizes, bits = model["compressed"], manifest["config"]["compression"]["quantization"]["default"]
    table.add_row("sparsity", f"{100 * sizes['sparsity']:.1f} % of {sizes['weights']} weights are zero")
    table.add_row("bits", f"weights {bits['weights']}, activations {bits['activations']}")
    small, large = sizes["bytes"]["packed"], model["float"]["bytes"]["dense"]
    table.add_row("size", f"{large / 1000:.1f} kB → {small / 1000:.1f} kB ({large / small:.1f} x smaller)")
    table.add_section()
    for name, backend in verification["backends"].items():
        table.add_row(
            f"{name}, bit for bit",
            f"{backend['mismatches']} mismatches in {backend['events']} events "
            f"and {backend['corner_inputs']} corner inputs",
        )
    exact = "proven for every layer" if verification["exact_float32"] else "not proven: see verification.json"
    table.add_row("float32 exact", exact)
    seconds = sum(stage["seconds"] for stage in manifest["stages"].values())
    table.add_row("time of all stages", f"{seconds / 60:.1f} minutes")
    console.print(table)
    console.print(f"report: {directory / 'report.html'}", highlight=False, soft_wrap=True)
