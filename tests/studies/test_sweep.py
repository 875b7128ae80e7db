import csv
import importlib
import json
from pathlib import Path

import pytest
from done import manifest
from rich.console import Console
from typer.testing import CliRunner

from trigger_ml import cli
from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.errors import ConfigError, InputError
from trigger_ml.core.files import write_json
from trigger_ml.pipeline.execute import execute
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace
from trigger_ml.studies import sweep as sweeps
from trigger_ml.studies.sweep import SweepConfig, load_sweep, points

ROOT = Path(__file__).parents[2]
BASE = ExperimentConfig(name="base")


def test_points_are_the_grid_in_order() -> None:
    settings = SweepConfig(
        name="s",
        base="b.yaml",
        grid={
            "compression.pruning.schedule": ("polynomial", "constant"),
            "compression.pruning.sparsity": (0.0, 0.9),
        },
    )
    grid = points(settings, BASE)
    assert [p.index for p in grid] == [0, 1, 2, 3]
    assert [(p.config.compression.pruning.schedule, p.config.compression.pruning.sparsity) for p in grid] == [
        ("polynomial", 0.0),
        ("polynomial", 0.9),
        ("constant", 0.0),
        ("constant", 0.9),
    ]
    assert len({p.config.name for p in grid}) == 4


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("compression.pruning.sparsty", 0.5, "sparsity"),
        ("compression.prunning.sparsity", 0.5, "no section"),
        ("compression.pruning.sparsity", 2.0, "less than 1"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_runs(key: str, value: float, why: str) -> None:
    settings = SweepConfig(name="s", base="b.yaml", grid={key: (value,)})
    with pytest.raises(ConfigError, match=why):
        points(settings, BASE)


def test_committed_sweeps_are_valid() -> None:
    for path in (ROOT / "configs").glob("sweep-*.yaml"):
        settings, base = load_sweep(path)
        assert points(settings, base)


def test_the_job_array_covers_the_committed_sweep() -> None:
    settings, base = load_sweep(ROOT / "configs" / "sweep-sparsity.yaml")
    last = len(points(settings, base)) - 1
    assert f"--array=0-{last} " in (ROOT / "slurm" / "sweep.sbatch").read_text()


def test_a_failing_point_does_not_stop_the_others(tmp_path: Path) -> None:
    """Real workers, on events that do not exist for one point: it fails alone and says why."""
    settings = SweepConfig(
        name="s", base="b.yaml", grid={"events.files": ([str(tmp_path / "none.h5")],)}, workers=1
    )
    (failed,) = points(settings, BASE)
    reason = sweeps._attempt(settings, failed, tmp_path)
    assert reason is not None
    assert "none.h5" in reason


def test_workers_isolate_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SweepConfig(
        name="s", base="b.yaml", grid={"events.files": ([str(tmp_path / "none.h5")],)}, workers=1
    )
    monkeypatch.setattr(sweeps, "run_base", lambda *args: None)
    failures = sweeps.run_sweep(settings, BASE, tmp_path, Console(quiet=True))
    assert list(failures) == [0]
    assert "none.h5" in json.loads((tmp_path / "point-000" / "failure.json").read_text())["reason"]


DIES = """
import os

def attempt(sweep, point, directory):
    if point.index == 0:
        os.abort()
"""


def test_a_dead_process_takes_no_other_point_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SweepConfig(name="s", base="b.yaml", grid={"compression.epochs": (1, 2, 3)}, workers=2)
    monkeypatch.setattr(sweeps, "run_base", lambda *args: None)
    # ends as an assertion in native code does; in a module that the processes find
    (tmp_path / "dies_first.py").write_text(DIES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sweeps, "_attempt", importlib.import_module("dies_first").attempt)
    failures = sweeps.run_sweep(settings, BASE, tmp_path, Console(quiet=True))
    assert list(failures) == [0]
    assert "point 0: a process that it started was killed" in failures[0]


def test_files_that_a_grid_tries_are_seen_from_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("name: base")
    path = tmp_path / "s.yaml"
    grid = "{model.weights: [a.h5, null], events.files: [[b.h5, c.h5]], compression.epochs: [1]}"
    path.write_text(f"name: s\nbase: base.yaml\ngrid: {grid}")
    first, second = (point.config for point in points(*load_sweep(path)))
    assert (first.model.weights, second.model.weights) == (str(tmp_path / "a.h5"), None)
    assert first.events.files == (str(tmp_path / "b.h5"), str(tmp_path / "c.h5"))
    assert first.compression.epochs == 1
    path.write_text("name: s\nbase: base.yaml\ngrid: {model.weights: [5]}")
    with pytest.raises(ConfigError, match=r"model.weights"):
        points(*load_sweep(path))


@pytest.mark.parametrize(
    ("until", "failures", "code", "said"),
    [
        ("compress", {}, 0, "no figure: the points end with compress, before they are evaluated"),
        ("verify", {}, 0, "no figure: the points end with verify, before they are evaluated"),
        ("verify", {1: "cnn[0]: differs"}, 1, "point 1 failed: cnn[0]: differs"),
        ("verify", {0: "died", 1: "died"}, 1, "point 0 failed: died"),
    ],
)
def test_a_sweep_that_ends_before_the_evaluation_leaves_a_table(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    until: str,
    failures: dict[int, str],
    code: int,
    said: str,
) -> None:
    (tmp_path / "base.yaml").write_text("name: base")
    path = tmp_path / "s.yaml"
    path.write_text(f"name: s\nbase: base.yaml\nuntil: {until}\ngrid: {{compression.epochs: [1, 2]}}")
    compressed = {"sparsity": 0.5, "weights": 10, "nonzero_weights": 5, "bytes": {"packed": 5}}

    def run_sweep(*args: object) -> dict[int, str]:
        for index in {0, 1} - set(failures):
            run = tmp_path / "runs" / f"point-{index:03d}"
            model = {"compressed": compressed, "float": {"bytes": {"dense": 40}}}
            write_json(run / "model" / "model.json", model)
            write_json(run / "manifest.json", manifest(until))
            if until == "verify":
                write_json(run / "verification.json", {"backends": {"onnx": {"mismatches": 3 * index}}})
        return failures

    monkeypatch.setattr(sweeps, "run_sweep", run_sweep)
    result = CliRunner().invoke(cli.app, ["sweep", str(path), "--run", str(tmp_path / "runs")])
    assert result.exit_code == code
    assert said in " ".join(result.output.split())
    table = tmp_path / "runs" / "sweep.csv"
    if len(failures) == 2:
        assert not table.exists()
        return
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["compression.epochs"] for row in rows] == ["1", "2"][: 2 - len(failures)]
    assert {row["size_bytes"] for row in rows} == {"5"}
    expected = [str(3 * int(row["point"])) for row in rows] if until == "verify" else [None] * len(rows)
    assert [row.get("mismatches") for row in rows] == expected


def test_the_base_is_taken_from_its_own_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(stage: Stage, workspace: Workspace) -> None:
        ran.append(stage.name)
        for output in stage.outputs:
            (workspace.path / output).parent.mkdir(parents=True, exist_ok=True)
            (workspace.path / output).write_text(stage.name)

    ran: list[str] = []
    monkeypatch.setattr(Stage, "run", work)
    quiet = Console(quiet=True)
    execute(BASE, tmp_path / BASE.name, ("train", "control", "trees"), console=quiet)
    settings = SweepConfig(name="s", base="b.yaml", grid={"compression.pruning.sparsity": (0.5,)})
    sweeps.run_base(settings, BASE, tmp_path / "s", quiet)
    assert ran == ["simulate", "train", "control", "trees"]
    assert (tmp_path / "s" / "base" / "model/float").read_text() == "train"


def test_runs_below(tmp_path: Path) -> None:
    whole, unfinished, begun_again, of_before = (tmp_path / f"point-00{n}" for n in range(4))
    for path, until in ((whole, "evaluate"), (unfinished, "compress"), (begun_again, "evaluate")):
        write_json(path / "manifest.json", manifest(until))
    (begun_again / ".started-train").touch()
    # made before there were controls and trees
    write_json(of_before / "manifest.json", {"stages": {"evaluate": {"fingerprint": "x", "outputs": []}}})
    assert sweeps.runs_below(tmp_path) == [whole, of_before]
    assert sweeps.runs_below(unfinished) == [unfinished]
    with pytest.raises(InputError, match="neither a run directory nor a sweep"):
        sweeps.runs_below(unfinished / "none")
