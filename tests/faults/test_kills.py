"""Each stage killed at random moments and resumed: the results are those of a run without interruption."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from killing import StageProcess, contents, differing, state

from trigger_ml.pipeline.stages import STAGES

KILLS = 20

EXPERIMENT: dict[str, Any] = {
    "name": "tiny",
    "simulation": {
        "library_scale": 0.02,
        # the others, too, would import all again
        "workers": 1,
        "nuisances": {"night_sky": [0.03, 0.25], "gain": [0.9, 1.1], "dead_pixels": [0.0, 0.02]},
        "night_sky_events": 32,
        "particles": {
            "gamma": {"events": 60},
            "proton": {"events": 60, "energy_min": 0.5, "energy_max": 300.0, "view_cone": 8.0},
        },
    },
    "model": {"stem_filters": 1, "stem_strides": 4, "stages": [{"filters": 1, "strides": 2}]},
    # two epochs, to be resumed between them
    "train": {"epochs": 2, "tensorboard": False},
    "compression": {"epochs": 2},
    "firmware": {"vectors": 4, "rtl": {}, "synthesis": {"timing": False, "frames": 2}},
    "verify": {"csim_events": 4, "rtl_events": 4, "random_corners": 4, "random_events": 64},
    "evaluation": {"bootstrap": 20},
}


def above(stage: str) -> set[str]:
    """All that the stage needs, directly or not."""
    return {name for need in STAGES[stage].needs for name in {need, *above(need)}}


def below(stage: str) -> set[str]:
    """All that need the stage."""
    return {name for name in STAGES if stage in above(name)}


def without(stages: set[str], run: Path, target: Path) -> Path:
    """A copy of a run in which some stages were never begun."""
    shutil.copytree(run, target)
    manifest = json.loads((target / "manifest.json").read_text())
    for name in stages & manifest["stages"].keys():
        del manifest["stages"][name]
        for output in STAGES[name].outputs:
            path = target / output
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kills") / "tiny.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    return path


class Uninterrupted:
    """A run that nothing interrupts, brought up to a stage when that is asked for."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self.path = config.parent / "uninterrupted"
        self._spent: dict[str, float] = {}

    def spent(self, stage: str) -> float:
        """Seconds of processors that the stage took, which is done then."""
        for name in STAGES:
            if name not in self._spent and name in {stage, *above(stage)}:
                process = StageProcess(self._config, self.path, name)
                assert process.end() == 0, process.said()
                self._spent[name] = process.spent()
        return self._spent[stage]


@pytest.fixture(scope="module")
def uninterrupted(config: Path) -> Uninterrupted:
    return Uninterrupted(config)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_was_killed_ends_as_one_that_was_not(
    uninterrupted: Uninterrupted, config: Path, tmp_path: Path, stage: str
) -> None:
    whole, seconds = uninterrupted.path, uninterrupted.spent(stage)
    expected = contents(without(below(stage), whole, tmp_path / "expected"))
    # always the same folder: results hold for the place where they are
    run = tmp_path / "run"
    rng = np.random.default_rng([1, list(STAGES).index(stage)])
    moments = sorted(rng.random(KILLS).tolist())
    copies: list[Path] = []
    while moments:
        shutil.rmtree(run, ignore_errors=True)
        without({stage, *below(stage)}, whole, run)
        left = tmp_path / f"left-{len(copies)}"
        process = StageProcess(config, run, stage)
        found = process.killed([moment * seconds for moment in moments], left)
        moments = moments[len(found) :]
        if moments:
            # it was quicker this time
            seconds = process.spent()
        copies += found
    # a run goes on from what is on the disk: what was left twice in the same state is resumed once
    states = {state(copy): copy for copy in copies}
    print(f"{stage}: {len(copies)} kills left {len(states)} different states")
    for copy in states.values():
        shutil.rmtree(run)
        copy.rename(run)
        resumed = StageProcess(config, run, stage)
        assert resumed.end() == 0, resumed.said()
        moment = f"killed when it had worked for {copy.name} s"
        assert differing(contents(run), expected) == {}, moment
