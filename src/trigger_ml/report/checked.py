"""Whether the files of a run hold what a comparison needs: they may be of another version, or damaged."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trigger_ml.core import layout
from trigger_ml.core.foreign import reading
from trigger_ml.evaluation.reference import against_reference
from trigger_ml.report.content import RunContent
from trigger_ml.report.facts import HEADLINES, TASKS
from trigger_ml.report.reading import firmware_clocks, firmware_figure, size

__all__ = ["require_comparable"]

ESTIMATE = ("value", "low", "high")
KIND = "{} of this version"


def _numbers(content: Mapping[str, Any], *keys: str) -> None:
    """Values that are numbers, or null; an estimate without an interval has no ends.

    Raises
    ------
    KeyError, TypeError, ValueError
    """
    for key in keys:
        if content[key] is not None:
            float(content[key])


def _evaluation(content: Mapping[str, Any]) -> None:
    if content["task"] not in TASKS:
        raise ValueError(f"task {content['task']!r} is not known")
    _numbers(content["events"], "used")
    _numbers(content["settings"], "seed")
    for name, row in content["metrics"].items():
        quantity = content["quantities"][name]
        _ = quantity["label"] + str(quantity["unit"]) + quantity["better"]
        _numbers(row["float"], "value")
        _numbers(row["compressed"], *ESTIMATE)
    for name in (*HEADLINES[content["task"]], "gamma_efficiency"):
        found = against_reference(content, name)
        if found is not None:
            _ = found["verdict"] + found["state"]
            _numbers(found["ratio"], *ESTIMATE)
    for name, rows in content["bins"].items():
        edges = np.asarray(content["energy_bins"]["edges"], dtype=np.float64)
        if name not in content["quantities"] or len(rows) != len(edges) - 1:
            raise ValueError(f"the bins of {name} are not those of the energy")
        for row in rows:
            for what in ("compressed", "ratio"):
                _numbers(row[what], *ESTIMATE)


def require_comparable(run: RunContent) -> None:
    """Refuse a run whose files lack what the page shows.

    Raises
    ------
    InputError
        It names the file and the first thing that is missing.
    """
    again = "Run `trigger-ml {}` for that run again, with this version"
    path = run.path / layout.EVALUATION
    with reading(path, KIND.format("evaluation"), again.format("evaluate")):
        _evaluation(run.evaluation)
    path = run.path / layout.MODEL_SUMMARY
    with reading(path, KIND.format("model summary"), again.format("compress")):
        for key in ("sparsity", "packed", "nonzero_weights"):
            _numbers({key: size(run.model, "compressed", key)}, key)
    path = run.path / layout.RESOURCES
    with reading(path, KIND.format("list of resources"), again.format("synthesize")):
        figures = {"lut": firmware_figure(run.resources), "latency": firmware_clocks(run.resources)}
        for key, found in figures.items():
            if found is not None:
                _numbers(found, key)
                _ = str(found["source"])
