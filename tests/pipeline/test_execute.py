"""Which stages run, which are skipped, and what a killed stage leaves: with stages that only write files."""

import io
import json
import threading
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from trigger_ml import cli
from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.documents.base import write
from trigger_ml.core.documents.resources import RESOURCES, Device, NotRun, Project, Resources
from trigger_ml.core.errors import InputError, StageError
from trigger_ml.core.run import RunDirectory
from trigger_ml.pipeline import execute as pipeline
from trigger_ml.pipeline.execute import execute
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.stages import STAGES
from trigger_ml.pipeline.workspace import Workspace

CONFIG = ExperimentConfig(name="x")
ALL = list(STAGES)
WITHOUT_TREES = [name for name in ALL[1:] if name != "trees"]
COMPRESSION = [name for name in WITHOUT_TREES[1:] if name != "post_training"]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def work(stage: Stage, workspace: Workspace) -> None:
        names.append(stage.name)
        for output in stage.outputs:
            path = workspace.path / output
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({}) if path.suffix == ".json" else stage.name)

    monkeypatch.setattr(Stage, "run", work)
    return names


def go(directory: Path, config: ExperimentConfig = CONFIG, goal: str = "report", **options) -> RunDirectory:
    return execute(config, directory, goal, console=Console(quiet=True), **options)


def in_order(ran: list[str]) -> list[str]:
    """The stages that ran, each after what it needs; two beside each other run in any order."""
    for place, name in enumerate(ran):
        assert not set(STAGES[name].needs) & set(ran[place:]), f"{name} ran before what it needs"
    return sorted(ran, key=ALL.index)


def changed(**update: object) -> ExperimentConfig:
    return ExperimentConfig.model_validate({**CONFIG.model_dump(mode="json"), **update})


def test_all_stages_run_once_in_order(tmp_path: Path, ran: list[str]) -> None:
    go(tmp_path)
    assert in_order(ran) == ALL
    go(tmp_path)
    assert in_order(ran) == ALL


def test_a_goal_runs_only_what_it_needs(tmp_path: Path, ran: list[str]) -> None:
    go(tmp_path, goal="evaluate")
    assert ran == ["simulate", "train", "compress", "control", "post_training", "trees", "evaluate"]


@pytest.mark.parametrize(
    ("update", "again"),
    [
        ({"seed": 2}, ALL),
        ({"train": {"epochs": 1}}, WITHOUT_TREES),
        ({"compression": {"epochs": 1}}, COMPRESSION),
        # the control trains as long and as fast as compression does, whatever that prunes
        ({"compression": {"pruning": {"sparsity": 0.7}}}, [n for n in COMPRESSION if n != "control"]),
        ({"compression": {"pruning": {"sparsity": 0.0}}}, COMPRESSION),
        ({"compression": {"control": False}}, COMPRESSION),
        # LiteRT quantizes the float model, whatever compression does
        ({"compression": {"post_training": ["int8"]}}, ["post_training", "evaluate", "report"]),
        ({"firmware": {"vectors": 3}}, ["build", "synthesize", "verify", "report"]),
        ({"firmware": {"synthesis": {"timing": False}}}, ["synthesize", "report"]),
        ({"verify": {"csim_events": 5}}, ["verify", "report"]),
        ({"evaluation": {"bootstrap": 50}}, ["evaluate", "report"]),
    ],
)
def test_a_change_runs_what_depends_on_it(
    tmp_path: Path, ran: list[str], update: dict[str, object], again: list[str]
) -> None:
    go(tmp_path)
    ran.clear()
    go(tmp_path, changed(**update))
    assert in_order(ran) == again


def test_a_vendors_tool_that_appears_measures_the_firmware_again(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path)
    absent = NotRun("synthesis: vivado", "vivado is not on PATH", "vivado")
    rtl = Project(Device("xc7z020clg400-1"), 4.0, (), (), (), (absent,))
    write(tmp_path / "resources.json", RESOURCES, Resources(rtl))
    found: dict[str, str | None] = {"vivado": None}
    monkeypatch.setattr("trigger_ml.firmware.cost.vendor.available", lambda: found)
    ran.clear()
    go(tmp_path)
    assert ran == []
    found["vivado"] = "/opt/vivado"
    go(tmp_path, goal="verify")
    assert ran == []
    go(tmp_path)
    assert ran == ["synthesize", "report"]


@pytest.mark.parametrize("content", ["{", '{"rtl": {}}', '{"schema": 99}'])
def test_resources_that_cannot_be_read_are_measured_again(
    tmp_path: Path, ran: list[str], content: str
) -> None:
    go(tmp_path)
    (tmp_path / "resources.json").write_text(content)
    ran.clear()
    go(tmp_path, goal="verify")
    assert ran == []
    go(tmp_path)
    assert ran == ["synthesize", "report"]


def test_a_missing_output_runs_its_stage_again(tmp_path: Path, ran: list[str]) -> None:
    go(tmp_path)
    ran.clear()
    (tmp_path / "verification.json").unlink()
    go(tmp_path)
    assert ran == ["verify"]


def test_a_killed_stage_starts_again_and_keeps_what_it_had(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Stage.run

    def killed(stage: Stage, workspace: Workspace) -> None:
        if stage.name == "train":
            (workspace.path / "model/float").mkdir(parents=True)
            (workspace.path / "model/float/checkpoint").write_text("epoch 3")
            raise KeyboardInterrupt
        work(stage, workspace)

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path)
    assert RunDirectory(tmp_path).record("train") is None
    assert (tmp_path / "model/float/checkpoint").exists()

    seen: list[bool] = []

    def resumed(stage: Stage, workspace: Workspace) -> None:
        if stage.name == "train":
            seen.append((workspace.path / "model/float/checkpoint").exists())
        elif stage.name != "simulate":
            work(stage, workspace)

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "run", resumed)
        go(tmp_path)
        # another configuration must not continue from a checkpoint of this one
        patch.setattr(Stage, "run", killed)
        (tmp_path / "model/float/checkpoint").unlink()
        (tmp_path / "model/float").rmdir()
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path)
        patch.setattr(Stage, "run", resumed)
        with pytest.raises(StageError, match="did not leave model/float"):
            go(tmp_path, changed(train={"epochs": 1}))
    assert seen == [True, False]


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path, ran: list[str]) -> None:
    go(tmp_path, goal="simulate")
    (tmp_path / "model" / ".partial-float-x" / ".partial-y").mkdir(parents=True)
    # a run of its own, as in a study: another process may work in it
    below = go(tmp_path / "type", goal="simulate").path
    for place in ("model/.partial-float-x/model.h5", ".partial-z.json", "model/kept.json"):
        (tmp_path / place).write_text("{")
    (below / ".partial-now").write_text("{")
    with RunDirectory(tmp_path).lock():
        # what another process still writes is left alone
        (tmp_path / ".partial-now").write_text("{")
        with pytest.raises(StageError, match="another process"):
            go(tmp_path)
    assert (tmp_path / ".partial-now").exists()
    go(tmp_path, goal="simulate")
    assert list(tmp_path.rglob(".partial-*")) == [below / ".partial-now"]
    assert (tmp_path / "model/kept.json").exists()


def test_a_stage_without_its_output_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "run", lambda stage, workspace: None)
    with pytest.raises(StageError, match="did not leave events"):
        go(tmp_path)
    assert RunDirectory(tmp_path).record("simulate") is None


def test_manifest_says_what_was_run(tmp_path: Path, ran: list[str]) -> None:
    run = go(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["config"] == CONFIG.model_dump(mode="json")
    assert run.config() == CONFIG
    assert set(manifest["stages"]) == set(ALL)
    assert all(record["seconds"] >= 0 for record in manifest["stages"].values())
    assert manifest["versions"]["qkeras"]


def test_changed_input_files_run_all_again(tmp_path: Path, ran: list[str]) -> None:
    data = tmp_path / "a.h5"
    data.write_text("one")
    config = changed(events={"files": [str(data)]})
    go(tmp_path / "run", config)
    ran.clear()
    go(tmp_path / "run", config)
    assert ran == []
    data.write_text("two")
    go(tmp_path / "run", config)
    assert in_order(ran) == ALL


def test_missing_input_file(tmp_path: Path, ran: list[str]) -> None:
    with pytest.raises(InputError, match=r"none.h5: no such file"):
        go(tmp_path / "run", changed(events={"files": [str(tmp_path / "none.h5")]}))
    assert ran == []


def test_a_given_model_is_known_by_what_is_in_its_file(tmp_path: Path, ran: list[str]) -> None:
    first, second = tmp_path / "a.h5", tmp_path / "b.h5"
    first.write_text("one")
    second.write_text("one")
    for path in (first, second):
        go(tmp_path / "run", changed(model={"weights": str(path)}))
    # the same model under another name is the same model
    assert in_order(ran) == ALL
    ran.clear()
    second.write_text("two")
    go(tmp_path / "run", changed(model={"weights": str(second)}))
    assert in_order(ran) == WITHOUT_TREES


def test_a_given_model_that_is_not_there(tmp_path: Path, ran: list[str]) -> None:
    with pytest.raises(InputError, match=r"none.h5: no such file.*Correct `model.weights`"):
        go(tmp_path / "run", changed(model={"weights": str(tmp_path / "none.h5")}))
    assert ran == []


def test_two_processes_do_not_share_a_run(tmp_path: Path, ran: list[str]) -> None:
    with RunDirectory(tmp_path).lock(), pytest.raises(StageError, match="another process"):
        go(tmp_path)


def test_adopted_stages_are_not_run(tmp_path: Path, ran: list[str]) -> None:
    base = go(tmp_path / "base", goal="train")
    ran.clear()
    point = changed(compression={"epochs": 1})
    run = go(tmp_path / "point", point, "compress", adopt_from=base)
    assert ran == ["compress"]
    assert (run.path / "model/float").read_text() == "train"
    record = run.record("train")
    assert record is not None
    assert record["adopted_from"] == "base"


def test_a_stage_of_another_configuration_is_not_adopted(tmp_path: Path, ran: list[str]) -> None:
    base = go(tmp_path / "base", goal="train")
    ran.clear()
    go(tmp_path / "point", changed(train={"epochs": 1}), "train", adopt_from=base)
    assert ran == ["train"]


@pytest.mark.parametrize(("impl", "option", "expected"), [
    ("1", None, True), ("0", None, False), ("", None, False), ("1", "--no-implementation", False),
    (None, "--implementation", True),
])  # fmt: skip
def test_implementation_is_asked_for_by_the_environment_or_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, impl: str | None, option: str | None, expected: bool
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(
        pipeline, "execute", lambda config, *_, **__: asked.append(config.firmware.synthesis.implementation)
    )
    (tmp_path / "x.yaml").write_text("name: x")
    arguments = ["synthesize", str(tmp_path / "x.yaml"), *([option] if option else [])]
    result = CliRunner().invoke(cli.app, arguments, env={"IMPL": impl})
    assert result.exit_code == 0, result.output
    assert asked == [expected]


def _beside(monkeypatch: pytest.MonkeyPatch, **failing: Exception) -> dict[str, str]:
    """Stages that note their thread; ``synthesize`` ends only after ``verify`` has begun."""
    threads: dict[str, str] = {}
    verifying = threading.Event()

    def work(stage: Stage, workspace: Workspace) -> None:
        threads[stage.name] = threading.current_thread().name
        if stage.name == "verify":
            verifying.set()
        if stage.name == "synthesize":
            assert verifying.wait(600), "verify did not begin beside synthesize"
        workspace.console.print(f"{stage.name} says [1]")
        if stage.name in failing:
            raise failing[stage.name]
        for output in stage.outputs:
            path = workspace.path / output
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")

    monkeypatch.setattr(Stage, "run", work)
    return threads


def test_the_firmware_is_measured_while_it_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = _beside(monkeypatch)
    said = io.StringIO()
    run = execute(CONFIG, tmp_path, ("synthesize", "verify"), console=Console(file=said, width=80))
    assert threads["synthesize"] != threads["verify"] == threading.current_thread().name
    assert set(run.manifest()["stages"]) == {
        "simulate", "train", "compress", "build", "synthesize", "verify",
    }  # fmt: skip
    lines = said.getvalue().splitlines()
    # what the one in the background says comes whole, after the other's
    assert lines[-4:] == ["synthesize", "verify", "verify says [1]", "synthesize says [1]"]


def test_a_difference_found_while_measuring_fails_the_run_and_keeps_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _beside(monkeypatch, verify=StageError("verify", "differs", "look"))
    with pytest.raises(StageError, match="differs"):
        go(tmp_path)
    stages = RunDirectory(tmp_path).manifest()["stages"]
    assert "synthesize" in stages
    assert "verify" not in stages
    assert "evaluate" not in stages


def test_a_synthesis_that_fails_in_the_background_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _beside(monkeypatch, synthesize=StageError("Yosys", "refused", "look"))
    with pytest.raises(StageError, match="refused"):
        go(tmp_path)
    stages = RunDirectory(tmp_path).manifest()["stages"]
    assert "verify" in stages
    assert "synthesize" not in stages
    assert "evaluate" not in stages
