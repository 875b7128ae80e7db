"""A grid over configuration values: each point is a run of its own that reuses the float model."""

import copy
import itertools
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field
from rich.console import Console

from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig, Section, load_yaml, parse, resolved_paths
from trigger_ml.core.errors import ConfigError, InputError
from trigger_ml.core.files import write_json
from trigger_ml.core.foreign import explain
from trigger_ml.core.run import RunDirectory
from trigger_ml.pipeline.execute import execute, is_done_until, is_whole_until

__all__ = [
    "Point",
    "SweepConfig",
    "configured",
    "load_sweep",
    "points",
    "run_base",
    "run_point",
    "run_sweep",
    "runs_below",
]


class SweepConfig(Section):
    """A sweep: a base experiment and the values to try."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the folder that holds the points' runs."""
    base: str
    """The base experiment's YAML, relative to this file."""
    grid: dict[str, tuple[object, ...]] = Field(min_length=1)
    """Values to try by dotted key, for instance ``compression.pruning.sparsity: [0, 0.5]``."""
    until: Literal["compress", "build", "synthesize", "verify", "evaluate", "report"] = "evaluate"
    """How far each point goes."""
    shared: Literal["simulate", "train"] = "train"
    """How far the base experiment goes; its stages are reused where a point does not change them."""
    workers: int = Field(2, gt=0)
    """Points that run at the same time."""


@dataclass(frozen=True)
class Point:
    """One point of the grid.

    Parameters
    ----------
    index : int
        Position in the grid; the number of the job in a SLURM array.
    values : dict
        Dotted key to value.
    config : ExperimentConfig
    """

    index: int
    values: dict[str, object]
    config: ExperimentConfig


def load_sweep(path: Path) -> tuple[SweepConfig, ExperimentConfig]:
    """Read a sweep and its base experiment; files that a grid tries are seen from the sweep's folder."""
    from trigger_ml.core.config import load_experiment

    sweep = parse(SweepConfig, load_yaml(path), str(path))
    grid = resolved_paths(sweep.grid, path.parent)
    return sweep.model_copy(update={"grid": grid}), load_experiment(path.parent / sweep.base)


class Shared(Protocol):
    """What a sweep and a study of several tasks have in common: runs that build on one base."""

    @property
    def name(self) -> str:
        """Name of the folder."""

    @property
    def shared(self) -> Literal["simulate", "train"]:
        """How far the base experiment goes."""


def _with_value(values: dict[str, object], key: str, value: object, source: str) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        section = values.get(parent)
        if not isinstance(section, dict):
            raise ConfigError(
                f"{source}: {key}", f"{parent!r} is no section", "`trigger-ml schema` lists the keys"
            )
        values = section
    values[last] = value


def configured(base: ExperimentConfig, chosen: dict[str, object], name: str, source: str) -> ExperimentConfig:
    """The base experiment under another name, with other values.

    Parameters
    ----------
    base : ExperimentConfig
    chosen : dict of str to a value
        By dotted key.
    name : str
    source : str
        Named in errors.

    Raises
    ------
    ConfigError
        If a key or a value is not valid.
    """
    values = copy.deepcopy(base.model_dump(mode="json"))
    for key, value in chosen.items():
        _with_value(values, key, value, source)
    values["name"] = name
    return parse(ExperimentConfig, values, source)


def points(sweep: SweepConfig, base: ExperimentConfig) -> list[Point]:
    """All points of the grid, in the order of its keys and values.

    Raises
    ------
    ConfigError
        If a key or a value of the grid is not valid: before anything runs.
    """
    found = []
    for index, combination in enumerate(itertools.product(*sweep.grid.values())):
        chosen = dict(zip(sweep.grid, combination, strict=True))
        config = configured(base, chosen, f"{sweep.name}-{index:03d}", f"{sweep.name}: point {index}")
        found.append(Point(index, chosen, config))
    return found


def run_base(sweep: Shared, base: ExperimentConfig, directory: Path, console: Console) -> RunDirectory:
    """Run the stages that all runs of a sweep or a study share.

    They are taken over from the base's own run beside, where it has them.
    """
    console.print(f"[bold]{sweep.name}: base[/bold]")
    own = RunDirectory(directory.parent / base.name)
    judged = isinstance(sweep, SweepConfig) and sweep.until in ("evaluate", "report")
    # what the points are compared with is the same for all that train as long as the base does
    goals = ("train", "control", "trees") if judged and sweep.shared == "train" else sweep.shared
    return execute(base, directory / "base", goals, console=console, adopt_from=own)


def run_point(sweep: SweepConfig, point: Point, directory: Path, console: Console) -> RunDirectory:
    """Run one point; the base must have run."""
    target = directory / f"point-{point.index:03d}"
    base = RunDirectory(directory / "base")
    run = execute(point.config, target, sweep.until, console=console, adopt_from=base)
    write_json(target / "point.json", {"index": point.index, "values": point.values})
    return run


def _attempt(sweep: SweepConfig, point: Point, directory: Path) -> str | None:
    """Run a point in a worker; a failure is returned, so that the other points go on."""
    console = Console(quiet=True)
    try:
        run_point(sweep, point, directory, console)
    except Exception as error:
        return str(explain(error, f"point {point.index}"))
    return None


def _apart(sweep: SweepConfig, point: Point, directory: Path) -> str | None:
    """Run a point in a process of its own: one that dies takes no other with it.

    A fresh interpreter for each, since TensorFlow's threads do not survive a fork.
    """
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(_attempt, sweep, point, directory).result()
    except Exception as error:
        return str(explain(error, f"point {point.index}"))


def run_sweep(
    sweep: SweepConfig, base: ExperimentConfig, directory: Path, console: Console
) -> dict[int, str]:
    """Run the base and all points; finished points are skipped.

    Returns
    -------
    dict of int to str
        Index of each point that failed, with the reason.
    """
    grid = points(sweep, base)
    run_base(sweep, base, directory, console)
    failures: dict[int, str] = {}
    with ThreadPoolExecutor(sweep.workers) as pool:
        jobs = {pool.submit(_apart, sweep, point, directory): point for point in grid}
        for done, job in enumerate(as_completed(jobs), start=1):
            point, failure = jobs[job], job.result()
            state = "done" if failure is None else "failed"
            text = f"  {done}/{len(grid)} point {point.index} {_describe(point.values)}: {state}"
            console.print(text, markup=False)
            if failure is not None:
                failures[point.index] = failure
                write_json(directory / f"point-{point.index:03d}" / "failure.json", {"reason": failure})
            else:
                (directory / f"point-{point.index:03d}" / "failure.json").unlink(missing_ok=True)
    return failures


def _describe(values: dict[str, object]) -> str:
    return ", ".join(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in values.items())


def finished(sweep: SweepConfig, grid: Iterable[Point], directory: Path) -> list[tuple[Point, RunDirectory]]:
    """Points that went as far as the sweep asks, and of which no stage failed since."""
    runs = [(point, RunDirectory(directory / f"point-{point.index:03d}")) for point in grid]
    return [(point, run) for point, run in runs if is_done_until(run, sweep.until)]


def runs_below(directory: Path) -> list[Path]:
    """A run directory itself, or the evaluated points of a sweep's folder.

    Raises
    ------
    InputError
        If the folder is neither.
    """
    if (directory / layout.MANIFEST).exists():
        return [directory]
    points = sorted(path.parent for path in directory.glob(f"point-*/{layout.MANIFEST}"))
    found = [point for point in points if is_whole_until(RunDirectory(point), "evaluate")]
    if not found:
        raise InputError(
            str(directory), "neither a run directory nor a sweep with finished points", "Check the path"
        )
    return found
