"""The page of a study of three tasks: what compression costs in the reconstructed response."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trigger_ml.evaluation.reference import against_reference
from trigger_ml.report import formatting
from trigger_ml.report.content import RunContent, read_run
from trigger_ml.report.facts import (
    HEADLINES,
    PERCENTAGES,
    TASKS,
    Tile,
    comparison_tile,
    configuration,
    exactness,
    flags,
    known,
    missing,
    run_facts,
    size_pair,
    value_pair,
    weight_bits,
)
from trigger_ml.report.figures import HOLLOW, draw_all
from trigger_ml.report.figures_irf import irf_specs
from trigger_ml.report.firmware import lut_tile
from trigger_ml.report.reading import dig
from trigger_ml.report.reference import read_reference
from trigger_ml.report.rendering import write_page

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
        tiles.append(comparison_tile(name, label, quantity["unit"], comparison, digits=3))
    return " ".join(sentences), tiles, metrics


def _member(task: str, content: RunContent, folder: Path) -> dict[str, Any]:
    """One network of the study: what it costs, what it saves, and where its report is."""
    evaluation = content.evaluation
    found = {
        name: against_reference(evaluation, name)
        for name in HEADLINES[task]
        if name in dig(evaluation, "metrics", default={})
    }
    costs = [
        {
            "label": evaluation["quantities"][name]["label"],
            "value": value_pair(row, name in PERCENTAGES),
            "state": row["state"],
            "verdict": row["verdict"],
        }
        for name, row in found.items()
        if row is not None
    ]
    sizes = size_pair(content.model)
    bits, zeros = weight_bits(content)
    luts = lut_tile(content.resources)
    exact = exactness(content.verification)
    report = content.path / "report.html"
    return {
        "task": TASKS[task],
        "link": os.path.relpath(report, folder) if report.is_file() else "",
        "costs": costs,
        "size": formatting.DASH if sizes is None else sizes[0],
        "weights": "" if zeros is None else f"{bits} bit, {zeros} zero",
        "lut": formatting.DASH if luts is None else f"{luts[0]} ({luts[1]})",
        "exact": "not measured" if exact is None else exact.verdict,
        "backends": "" if exact is None else exact.events,
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
    task = "type, energy and direction"
    seed = dig(content.manifest, "seeds", "experiment")
    gaps = flags(evaluation)
    for name, run in members.items():
        gaps += missing(run, TASKS[name])
    return write_page(
        directory / "report.html",
        "study.html",
        content=content,
        evaluation=evaluation,
        answer=answer,
        tiles=tiles,
        task=task,
        metrics=metrics,
        members=[_member(name, run, directory) for name, run in members.items()],
        figures=figures,
        general=known([*run_facts(content.manifest, task), ("Seed", seed)]),
        configs={name: configuration(run) for name, run in members.items()},
        gaps=gaps,
    )
