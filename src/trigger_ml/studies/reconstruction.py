"""One study of three tasks on the same events: what compression costs in the reconstructed response.

Each task is a run of its own. The answers of the three to the test events are joined event by event and give
effective area, energy dispersion, point-spread function, background rate and sensitivity, float against
compressed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field
from rich.console import Console

from trigger_ml.core import layout
from trigger_ml.core.config import (
    ExperimentConfig,
    Section,
    load_experiment,
    load_yaml,
    parse,
    resolved_paths,
)
from trigger_ml.core.documents.base import write
from trigger_ml.core.documents.evaluation import COMPRESSED, EVALUATION, FLOAT
from trigger_ml.core.errors import ConfigError, InputError
from trigger_ml.core.run import RunDirectory, command_line, fingerprint
from trigger_ml.core.task import TASKS, Task
from trigger_ml.pipeline.execute import execute, stage_fingerprint
from trigger_ml.pipeline.stages import STAGES
from trigger_ml.pipeline.workspace import Workspace
from trigger_ml.studies.sweep import configured, run_base

__all__ = ["ReconstructionConfig", "load_reconstruction", "reconstruct", "task_configs"]

OUTPUTS = tuple(str(path) for path in (layout.IRFS, layout.EVALUATION, layout.FIGURES, layout.PAGE))
# raise when a change of the code makes what earlier versions left invalid
VERSION = 1


class ReconstructionConfig(Section):
    """A study: a base experiment, and what each of the three tasks changes in it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the folder that holds the three runs."""
    base: str
    """The base experiment's YAML, relative to this file. Its events serve all tasks, and its evaluation
    settings the reconstructed response."""
    tasks: dict[Task, dict[str, object]] = Field(default_factory=dict)
    """For each task, values by dotted key that differ from the base's, for instance
    ``energy: {train.epochs: 12}``. A task without changes may be left out."""

    @property
    def shared(self) -> Literal["simulate"]:
        """The tasks share the events."""
        return "simulate"


def load_reconstruction(path: Path) -> tuple[ReconstructionConfig, ExperimentConfig]:
    """Read a study and its base experiment; files that a task names are seen from the study's folder."""
    study = parse(ReconstructionConfig, load_yaml(path), str(path))
    tasks = {task: resolved_paths(values, path.parent) for task, values in study.tasks.items()}
    return study.model_copy(update={"tasks": tasks}), load_experiment(path.parent / study.base)


def task_configs(study: ReconstructionConfig, base: ExperimentConfig) -> dict[Task, ExperimentConfig]:
    """The experiment of each task.

    Raises
    ------
    ConfigError
        If a value is not valid, or would give a task other test events.
    """
    result = {}
    for task in TASKS:
        chosen = study.tasks.get(task, {})
        where = f"{study.name}: task {task}"
        for key in chosen:
            if key in ("name", "seed", "task") or key.split(".")[0] in ("simulation", "evaluation"):
                raise ConfigError(f"{where}: {key}", "is the same for all tasks", "Set it in the base")
            if key.split(".")[0] == "events" and key.split(".")[1:2] != ["input"]:
                raise ConfigError(
                    f"{where}: {key}",
                    "would give this task other events than the others",
                    "Set it in the base",
                )
        values = {**chosen, "task": task}
        if task == "direction" and getattr(base.train, "augment", False):
            # a turned image shows another direction
            values["train.augment"] = False
        result[task] = configured(base, values, f"{study.name}-{task}", where)
    return result


def _source(base: ExperimentConfig, own: RunDirectory, shared: RunDirectory) -> RunDirectory:
    """The base's own run where it has the events (it may have a trained model too), else the study's."""
    stage = STAGES["simulate"]
    is_own = own.is_done(stage.name, stage_fingerprint(stage, base, shared), stage.outputs)
    return own if is_own else shared


def reconstruct(
    study: ReconstructionConfig, base: ExperimentConfig, directory: Path, console: Console
) -> RunDirectory:
    """Run the three tasks and judge them together; what is done and unchanged is skipped.

    Parameters
    ----------
    study : ReconstructionConfig
    base : ExperimentConfig
    directory : Path
        Receives ``base``, ``type``, ``energy`` and ``direction`` (run directories), ``irfs``,
        ``evaluation.json``, ``figures`` and ``report.html``.
    console : rich.console.Console

    Returns
    -------
    RunDirectory
        Of the study.
    """
    configs = task_configs(study, base)
    shared = run_base(study, base, directory, console)
    source = _source(base, RunDirectory(directory.parent / base.name), shared)
    runs = {}
    for task, config in configs.items():
        console.print(f"[bold]{study.name}: {task}[/bold]")
        runs[task] = execute(config, directory / task, "report", console=console, adopt_from=source)
    return _judge_together(study, configs, runs, directory, console)


def _judge_together(
    study: ReconstructionConfig,
    configs: Mapping[Task, ExperimentConfig],
    runs: Mapping[Task, RunDirectory],
    directory: Path,
    console: Console,
) -> RunDirectory:
    stage = STAGES["evaluate"]
    print_ = fingerprint(
        VERSION, study.name, [stage_fingerprint(stage, configs[task], runs[task]) for task in TASKS]
    )
    together = RunDirectory(directory)
    with together.lock():
        together.start(configs["type"].model_copy(update={"name": study.name}), command_line())
        if together.is_done("reconstruct", print_, OUTPUTS):
            console.print("[dim]reconstruct: done before, unchanged[/dim]")
            return together
        console.print(f"[bold]{study.name}: reconstruct[/bold]")
        with together.stage("reconstruct", print_, OUTPUTS):
            _evaluate(Workspace(configs["type"], runs["type"], console), runs, directory)
    return together


def _evaluate(workspace: Workspace, runs: Mapping[Task, RunDirectory], directory: Path) -> None:
    """Join the answers of the three runs, and write response files, evaluation and page."""
    import numpy as np
    from numpy.typing import NDArray

    from trigger_ml.evaluation.evaluate import evaluate
    from trigger_ml.evaluation.gadf import write_irfs
    from trigger_ml.evaluation.selection import Reconstruction
    from trigger_ml.pipeline.judging import judged, read_predictions, thrown
    from trigger_ml.pipeline.sample import load_sample
    from trigger_ml.report.study import write_study

    config = workspace.config
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    test = dataset[splits.test]
    simulations = thrown(workspace, dataset, splits)
    if simulations is None:
        raise InputError(
            "the study's events",
            "tell nothing about the showers thrown, so there is no instrument response",
            "Use files with ctapipe's simulation tables",
        )
    events = judged(dataset, splits)
    logits: dict[str, NDArray[np.float64]] = {}
    answers: dict[str, Reconstruction] = {}
    for model in (FLOAT, COMPRESSED):
        found = {
            task: read_predictions(run.path / layout.PREDICTIONS / model, test, task, f"trigger_ml_{model}")
            for task, run in runs.items()
        }
        logits[model] = found["type"]["logit"]
        answers[model] = Reconstruction(found["energy"]["energy"], **found["direction"])
    evaluation = evaluate(
        logits,
        FLOAT,
        events,
        config.evaluation,
        config.seed,
        simulations=simulations,
        reconstructions=answers,
    )
    if evaluation.irf is None or evaluation.irf.reason:
        why = "was not asked for" if evaluation.irf is None else evaluation.irf.reason
        raise InputError("reconstructed response", why, "Correct the events")
    (directory / layout.IRFS).mkdir(exist_ok=True)
    for model, logit in logits.items():
        path = directory / layout.IRFS / f"{model}.fits.gz"
        write_irfs(path, events, logit, simulations, config.evaluation, answers[model])
    write(directory / layout.EVALUATION, EVALUATION, evaluation)
    write_study(directory, {task: run.path for task, run in runs.items()})
