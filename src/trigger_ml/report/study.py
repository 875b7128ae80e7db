"""The page of a study of three tasks: what compression costs in the reconstructed response."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trigger_ml.core.documents.estimates import Comparison
from trigger_ml.core.documents.evaluation import Evaluation
from trigger_ml.core.errors import InputError
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


def _headline(evaluation: Evaluation) -> tuple[str, list[Tile], dict[str, Comparison]]:
    """The answer, the tiles below it, and the response's figures of merit in their order."""
    found = evaluation.response().metrics
    metrics = {name: found[name] for name in ORDER if name in found}
    sentences, tiles = [], []
    for name, comparison in metrics.items():
        quantity = evaluation.quantities[name]
        label = SHORT.get(name, quantity.label)
        if name in ("mean_sensitivity", "angular_resolution", "energy_resolution"):
            sentences.append(f"{label}: {comparison.verdict}.")
        tiles.append(comparison_tile(name, label, quantity.unit, comparison, digits=3))
    return " ".join(sentences), tiles, metrics


@dataclass(frozen=True)
class Cost:
    """A figure of merit of a network of the study."""

    label: str
    value: str
    state: str
    verdict: str


def _costs(task: str, evaluation: Evaluation) -> list[Cost]:
    found = ((name, against_reference(evaluation, name)) for name in HEADLINES[task])
    return [
        Cost(evaluation.quantities[name].label, value_pair(row, name in PERCENTAGES), row.state, row.verdict)
        for name, row in found
        if row is not None
    ]


def _member(task: str, content: RunContent, folder: Path) -> dict[str, object]:
    """One network of the study: what it costs, what it saves, and where its report is."""
    sizes = size_pair(content.model)
    bits, zeros = weight_bits(content)
    luts = lut_tile(content.resources)
    exact = exactness(content.verification)
    report = content.path / "report.html"
    return {
        "task": TASKS[task],
        "link": os.path.relpath(report, folder) if report.is_file() else "",
        "costs": [] if content.evaluation is None else _costs(task, content.evaluation),
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
    if evaluation is None:
        raise InputError(str(directory), content.missing["evaluation"], "Run `trigger-ml reconstruct` again")
    bars = HOLLOW.format(confidence=evaluation.settings.confidence)
    curves = [] if reference is None else read_reference(reference)
    figures = draw_all(irf_specs(evaluation, bars, curves), directory / "figures")
    answer, tiles, metrics = _headline(evaluation)
    task = "type, energy and direction"
    seed = dig(content.manifest, "seeds", "experiment")
    gaps = list(evaluation.flags)
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
        response=evaluation.response(),
        members=[_member(name, run, directory) for name, run in members.items()],
        figures=figures,
        general=known([*run_facts(content.manifest, task), ("Seed", seed)]),
        configs={name: configuration(run) for name, run in members.items()},
        gaps=gaps,
    )
