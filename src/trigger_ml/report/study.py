"""The page of a study of three tasks: what compression costs in the reconstructed response."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from trigger_ml.core.files import write_text
from trigger_ml.report import formatting
from trigger_ml.report.content import RunContent, read_run
from trigger_ml.report.figures import HOLLOW, draw_all
from trigger_ml.report.figures_irf import irf_specs
from trigger_ml.report.firmware import lut_tile
from trigger_ml.report.page import HEADLINES, PERCENTAGES, TASKS, Tile, environment, value_pair
from trigger_ml.report.reading import dig, size
from trigger_ml.report.reference import read_reference

__all__ = ["write_study"]

# the figures of merit of the response, the one that all others lead to first
ORDER = (
    "mean_sensitivity",
    "background_rate",
    "signal_rate",
    "angular_resolution",
    "energy_resolution",
    "energy_bias",
)
SHORT = {
    "mean_sensitivity": "Sensitivity",
    "signal_rate": "Crab Nebula rate",
    "angular_resolution": "Angular resolution",
    "energy_resolution": "Energy resolution",
}


def _headline(evaluation: Mapping[str, Any]) -> tuple[str, list[Tile], dict[str, Any]]:
    """The answer, the tiles below it, and the response's figures of merit in their order."""
    found = evaluation["irf"]["metrics"]
    metrics = {name: found[name] for name in ORDER if name in found}
    sentences, tiles = [], []
    for name, comparison in metrics.items():
        quantity = evaluation["quantities"][name]
        label = SHORT.get(name, quantity["label"])
        if name in ("mean_sensitivity", "angular_resolution", "energy_resolution"):
            sentences.append(f"{label}: {comparison['verdict']}.")
        unit = f" {quantity['unit']}" if quantity["unit"] else ""
        value = value_pair(comparison, name in PERCENTAGES, 3) + unit
        tiles.append(Tile(label, value, comparison["verdict"], comparison["state"]))
    return " ".join(sentences), tiles, metrics


def _member(task: str, content: RunContent, folder: Path) -> dict[str, Any]:
    """One network of the study: what it costs, what it saves, and where its report is."""
    evaluation = content.evaluation
    costs = [
        {
            "label": evaluation["quantities"][name]["label"],
            "value": value_pair(evaluation["metrics"][name], name in PERCENTAGES),
            "state": evaluation["metrics"][name]["state"],
            "verdict": evaluation["metrics"][name]["verdict"],
        }
        for name in HEADLINES[task]
        if name in dig(evaluation, "metrics", default={})
    ]
    sizes = [size(content.model, "float", "dense"), size(content.model, "compressed", "packed")]
    bits = dig(content.config, "compression", "quantization", "default", "weights")
    sparsity = dig(content.model, "compressed", "sparsity")
    luts = lut_tile(content.resources)
    backends = dig(content.verification, "backends", default={})
    wrong = sum(b.get("mismatches") or 0 for b in backends.values())
    report = content.path / "report.html"
    return {
        "task": TASKS[task],
        "link": os.path.relpath(report, folder) if report.is_file() else "",
        "costs": costs,
        "size": " → ".join(formatting.bytes_(s) for s in sizes) if None not in sizes else formatting.DASH,
        "weights": f"{bits} bit, {formatting.percent(sparsity)} zero" if sparsity is not None else "",
        "lut": formatting.DASH if luts is None else f"{luts[0]} ({luts[1]})",
        "exact": "not measured" if not backends else "equal" if not wrong else f"{wrong:,} mismatches",
        "backends": ", ".join(f"{name} {b.get('events', 0):,}" for name, b in backends.items()),
    }


def write_study(directory: Path, runs: Mapping[str, Path], reference: Path | None = None) -> Path:
    """Write ``report.html`` and ``figures/`` of a study.

    Parameters
    ----------
    directory : Path
        Holds ``manifest.json`` and the ``evaluation.json`` of the reconstructed response.
    runs : mapping of str to Path
        The run directory of each task.
    reference : Path, optional
        Published curves to lay over (see `trigger_ml.report.reference.read_reference`).

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InputError
        If a folder is no run directory or a file in it cannot be read.
    """
    content = read_run(directory)
    members = {task: read_run(path) for task, path in runs.items()}
    evaluation = content.evaluation
    bars = HOLLOW.format(confidence=evaluation["settings"]["confidence"])
    curves = [] if reference is None else read_reference(reference)
    figures = draw_all(irf_specs(content, bars, curves), directory / "figures")
    answer, tiles, metrics = _headline(evaluation)
    gaps = [str(flag) for flag in evaluation["flags"]]
    gaps += [f"{TASKS[task]}: {reason}" for task, run in members.items() for reason in run.missing.values()]
    page = (
        environment()
        .get_template("study.html")
        .render(
            content=content,
            evaluation=evaluation,
            answer=answer,
            tiles=tiles,
            metrics=metrics,
            members=[_member(task, run, directory) for task, run in members.items()],
            figures=figures,
            gaps=gaps,
            run_facts={
                "Command": content.manifest.get("command"),
                "Started": content.manifest.get("started"),
                "Seed": dig(content.manifest, "seeds", "experiment"),
            }.items(),
            configs={
                task: yaml.safe_dump(dict(run.config), sort_keys=False) for task, run in members.items()
            },
            percentages=PERCENTAGES,
        )
    )
    target = directory / "report.html"
    write_text(target, page)
    return target
