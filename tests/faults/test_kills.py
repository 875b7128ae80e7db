"""Each stage killed at random moments and resumed: the results are those of a run without interruption."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from killing import StageProcess, contents, differing

from trigger_ml.pipeline import STAGES

KILLS = 20

EXPERIMENT: dict[str, Any] = {
    "name": "tiny",
    "simulation": {
        "library_scale": 0.02,
        "nuisances": {"night_sky": [0.03, 0.25], "gain": [0.9, 1.1], "dead_pixels": [0.0, 0.02]},
        "night_sky_events": 32,
        "particles": {
            "gamma": {"events": 150},
            "proton": {"events": 150, "energy_min": 0.5, "energy_max": 300.0, "view_cone": 8.0},
        },
    },
    "model": {"stem_filters": 2, "stem_strides": 4, "stages": [{"filters": 2, "strides": 2}]},
    # some epochs, to be resumed between them
    "train": {"epochs": 3, "tensorboard": False},
    "compression": {"epochs": 2},
    "firmware": {"vectors": 4},
    "verify": {"csim_events": 10, "random_corners": 4},
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
    for name in stages:
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


@pytest.fixture(scope="module")
def uninterrupted(config: Path) -> Path:
    process = StageProcess(config, config.parent / "uninterrupted", "report")
    assert process.end() == 0, process.said()
    return config.parent / "uninterrupted"


def moments(stage: str, run: Path) -> Iterator[float]:
    """Seconds after its begin, at random within what the stage took when nothing interrupted it."""
    seconds = json.loads((run / "manifest.json").read_text())["stages"][stage]["seconds"]
    yield from seconds * np.random.default_rng([1, list(STAGES).index(stage)]).random(KILLS)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_was_killed_ends_as_one_that_was_not(
    uninterrupted: Path, config: Path, tmp_path: Path, stage: str
) -> None:
    expected = contents(without(below(stage), uninterrupted, tmp_path / "expected"))
    for number, moment in enumerate(moments(stage, uninterrupted)):
        run = without({stage, *below(stage)}, uninterrupted, tmp_path / f"run-{number}")
        # a stage that was quicker this time is killed earlier
        while not StageProcess(config, run, stage).killed(moment):
            moment /= 2
            shutil.rmtree(run)
            without({stage, *below(stage)}, uninterrupted, run)
        resumed = StageProcess(config, run, stage)
        assert resumed.end() == 0, resumed.said()
        assert differing(contents(run), expected) == {}, f"killed {moment} s after {stage} began"
        shutil.rmtree(run)
