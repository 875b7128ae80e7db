"""Bringing a run up to a stage: what has to run, in which order, and what is done already."""

import io
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.resources import RESOURCES
from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import naming
from trigger_ml.core.run import RunDirectory, command_line, fingerprint
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.stages import STAGES
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["execute", "is_done_until", "is_whole_until", "stage_fingerprint"]

BESIDE = ("synthesize", "verify")
"""The first waits for other programs, the second has one thread: they work beside each other. No other
stage does, since training and evaluation note how long a model takes."""

# raise when a change of the code makes what earlier versions left invalid
PIPELINE_VERSION = 2


def _why_again(run: RunDirectory) -> str | None:
    """Why a firmware that was measured is to be measured again: a tool appeared, or the file is damaged."""
    from trigger_ml.firmware.cost.vendor import absent_now_present

    path = run.path / layout.RESOURCES
    if not path.exists():
        return None
    try:
        tools = absent_now_present(read(path, RESOURCES))
    except InputError:
        return f"{path.name} cannot be read"
    return f"{', '.join(tools)} was absent before" if tools else None


def stage_fingerprint(stage: Stage, config: ExperimentConfig, run: RunDirectory) -> str:
    """Fingerprint of what the stage's result depends on."""
    above = [stage_fingerprint(need, config, run) for need in _needs(stage, config.firmware is None)]
    return fingerprint(PIPELINE_VERSION, stage.name, stage.inputs(config, run), above)


def _needs(stage: Stage, offline: bool) -> list[Stage]:
    """Stages that a stage needs; where no firmware is asked for, without those that make and measure it."""
    found = [STAGES[name] for name in stage.needs]
    return [need for need in found if not (offline and need.hardware)]


def _order(goals: tuple[str, ...], offline: bool) -> list[Stage]:
    """The goals and all that they need, in the order of ``STAGES``."""
    wanted: set[str] = set()

    def add(stage: Stage) -> None:
        wanted.add(stage.name)
        for need in _needs(stage, offline):
            add(need)

    for goal in goals:
        add(STAGES[goal])
    return [stage for stage in STAGES.values() if stage.name in wanted]


def _offline(run: RunDirectory) -> bool:
    """Whether a run was configured to end without firmware; one that was never begun says nothing."""
    if not run.manifest_path.exists():
        return False
    return "firmware" in (config := run.manifest().get("config", {})) and config["firmware"] is None


def is_done_until(run: RunDirectory, goal: str) -> bool:
    """Whether a run holds a stage and all that it needs; each loses its record when it starts again."""
    return all(run.record(stage.name) is not None for stage in _order((goal,), _offline(run)))


def is_whole_until(run: RunDirectory, goal: str) -> bool:
    """Whether a run holds a stage, and none that it needs was begun again since without an end.

    Unlike `is_done_until` it takes runs that were made before a stage existed.
    """
    above = _order((goal,), _offline(run))
    return run.record(goal) is not None and not any(run.is_unfinished(stage.name) for stage in above)


def _perform(stage: Stage, workspace: Workspace, print_: str) -> None:
    with naming(f"stage {stage.name}"), workspace.run.stage(stage.name, print_, stage.outputs):
        stage.run(workspace)


class _Background:
    """One stage at work beside the next one; what it says is printed when it has ended."""

    def __init__(self, pool: ThreadPoolExecutor, console: Console) -> None:
        self._pool, self._console = pool, console
        self._work: Future[None] | None = None
        self._said = io.StringIO()

    def start(self, stage: Stage, workspace: Workspace, print_: str) -> None:
        self._said = io.StringIO()
        quiet = Console(file=self._said, width=workspace.console.width, no_color=True)
        self._work = self._pool.submit(_perform, stage, replace(workspace, console=quiet), print_)

    def wait(self) -> None:
        if self._work is not None:
            work, self._work = self._work, None
            work.result()
            self._console.print(self._said.getvalue(), end="", markup=False, highlight=False, soft_wrap=True)


def execute(
    config: ExperimentConfig,
    directory: Path,
    goal: str | tuple[str, ...] = "report",
    *,
    console: Console | None = None,
    adopt_from: RunDirectory | None = None,
) -> RunDirectory:
    """Bring a run directory up to a stage; what is done and unchanged is skipped.

    Parameters
    ----------
    config : ExperimentConfig
    directory : Path
    goal : str or tuple of str
        Names of the last stages wanted.
    console : rich.console.Console, optional
    adopt_from : RunDirectory, optional
        A run whose finished stages are taken over where their fingerprints agree.

    Returns
    -------
    RunDirectory
    """
    console = console or Console()
    goals = (goal,) if isinstance(goal, str) else goal
    stages = _order(goals, config.firmware is None)
    if any(STAGES[name].hardware for name in goals):
        # refused before anything is made
        _ = config.hardware
    run = RunDirectory(directory)
    with run.lock():
        run.start(config, command_line())
        workspace = Workspace(config, run, console)
        if STAGES["synthesize"] in stages and (why := _why_again(run)):
            console.print(f"{why}: measuring the firmware again", markup=False)
            for name in ("synthesize", "report"):
                run.forget(name)
        with ThreadPoolExecutor(1) as pool:
            background = _Background(pool, console)
            for stage in stages:
                if stage.name != BESIDE[1]:
                    background.wait()
                print_ = stage_fingerprint(stage, config, run)
                is_done = partial(run.is_done, stage.name, print_, stage.outputs)
                if not is_done() and adopt_from and adopt_from.is_done(stage.name, print_, stage.outputs):
                    run.adopt(stage.name, adopt_from)
                if is_done():
                    console.print(f"[dim]{stage.name}: done before, unchanged[/dim]")
                    continue
                console.print(f"[bold]{stage.name}[/bold]")
                if stage.name == BESIDE[0] and STAGES[BESIDE[1]] in stages:
                    background.start(stage, workspace, print_)
                else:
                    _perform(stage, workspace, print_)
            background.wait()
    return run
