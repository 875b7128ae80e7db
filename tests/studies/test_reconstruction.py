"""A study of three tasks: its configuration, the join of the answers, and one from end to end."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits
from rich.console import Console

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.evaluation import EVALUATION
from trigger_ml.core.errors import ConfigError, InputError
from trigger_ml.evaluation.direction import sky_direction
from trigger_ml.pipeline.judging import read_predictions, write_predictions
from trigger_ml.report.content import read_run
from trigger_ml.studies.reconstruction import (
    ReconstructionConfig,
    load_reconstruction,
    reconstruct,
    task_configs,
)

ROOT = Path(__file__).parents[2]
BASE = ExperimentConfig(name="base")


def study(**tasks: Any) -> ReconstructionConfig:
    return ReconstructionConfig(name="s", base="b.yaml", tasks=tasks)


def test_each_task_is_the_base_with_its_own_values() -> None:
    chosen = {"train.epochs": 17, "events.input.bits": 10}
    found = task_configs(study(energy=chosen), BASE)
    assert [(c.name, c.task, c.train.epochs) for c in found.values()] == [
        ("s-type", "type", BASE.train.epochs),
        ("s-energy", "energy", 17),
        ("s-direction", "direction", BASE.train.epochs),
    ]
    assert found["energy"].events.input.bits == 10


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("seed", "same for all tasks"),
        ("simulation.zenith", "same for all tasks"),
        ("evaluation.bootstrap", "same for all tasks"),
        ("events.split.test", "other events"),
        ("events.min_size", "other events"),
        ("train.epoch", "epochs"),
    ],
)
def test_values_that_would_part_the_tasks_are_refused(key: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        task_configs(study(direction={key: 1}), BASE)


def test_the_committed_study_is_valid() -> None:
    settings, base = load_reconstruction(ROOT / "configs" / "reconstruction.yaml")
    assert set(task_configs(settings, base)) == {"type", "energy", "direction"}


@pytest.fixture
def test_events() -> Any:
    """Events of two files that number them alike, in no order."""
    rng = np.random.default_rng(4)
    event = np.r_[rng.permutation(50), rng.permutation(40)]
    n = len(event)
    return SimpleNamespace(
        files=(Path("gamma.dl1.h5"), Path("proton.dl1.h5")),
        file_index=np.repeat([0, 1], [50, 40]),
        obs_id=np.ones(n, dtype=np.int64),
        event_id=event,
        tel_id=rng.integers(1, 3, n),
        pointing_alt=np.full(n, 1.2),
        pointing_az=np.full(n, 0.001),
    )


class Events(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.event_id)


def test_answers_are_joined_by_identity(tmp_path: Path, test_events: Any) -> None:
    events = Events(**vars(test_events))
    rng = np.random.default_rng(5)
    outputs = {"type": rng.normal(size=(90, 1)), "energy": rng.normal(size=(90, 1))}
    outputs["direction"] = rng.normal(size=(90, 2))
    for task, output in outputs.items():
        write_predictions(tmp_path / task, events, output, task, "x")  # type: ignore[arg-type]
    order = rng.permutation(90)
    other = Events(**{k: v[order] if isinstance(v, np.ndarray) else v for k, v in vars(events).items()})
    found: dict[str, np.ndarray] = {}
    for task in outputs:
        found |= read_predictions(tmp_path / task, other, task, "x")  # type: ignore[arg-type]
    np.testing.assert_array_equal(found["logit"], outputs["type"][order, 0])
    np.testing.assert_allclose(np.log10(found["energy"]), outputs["energy"][order, 0], rtol=1e-12)
    alt, az = sky_direction(outputs["direction"][order], other.pointing_alt, other.pointing_az)
    np.testing.assert_allclose(found["alt"], alt, rtol=1e-12)
    np.testing.assert_allclose(found["az"], az, atol=1e-12)
    fewer = Events(**{k: v[3:] if isinstance(v, np.ndarray) else v for k, v in vars(events).items()})
    with pytest.raises(InputError, match="its 50 events are not the 47 test events"):
        read_predictions(tmp_path / "type", fewer, "type", "x")  # type: ignore[arg-type]


EXPERIMENT = {
    "name": "tiny",
    "simulation": {
        "library_scale": 0.02,
        "particles": {
            "gamma": {"events": 500, "view_cone": 3.0},
            "proton": {"events": 400, "energy_min": 0.5, "energy_max": 300.0, "view_cone": 8.0},
        },
    },
    "model": {"stem_filters": 4, "stem_strides": 4, "stages": [{"filters": 4}, {"filters": 8, "strides": 2}]},
    "train": {"epochs": 1, "tensorboard": False},
    "compression": {"epochs": 1, "pruning": {"epochs": 0, "begin": 0.0, "end": 0.5}},
    "firmware": {"vectors": 4},
    "verify": {"csim_events": 10, "random_corners": 4, "random_events": 64},
    "evaluation": {"bootstrap": 20, "bins_per_decade": 2, "irf": {"signal_offset": [0.0, 2.0]}},
}


@pytest.mark.slow
def test_a_study_from_end_to_end(tmp_path: Path) -> None:
    """Three networks from showers to proven firmware, joined to one response; again does nothing."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"name": "study", "base": "tiny.yaml"}))
    settings, base = load_reconstruction(path)
    folder = tmp_path / "runs" / "study"
    reconstruct(settings, base, folder, Console(quiet=True))
    for task in ("type", "energy", "direction"):
        verification = json.loads((folder / task / "verification.json").read_text())
        assert set(verification["backends"]) == {"qkeras", "onnx", "csim"}
        assert all(b["mismatches"] == 0 for b in verification["backends"].values())
        assert (folder / task / "report.html").is_file()
    # all test events, hadrons too, have an energy and a direction
    given = json.loads((folder / "type" / "evaluation.json").read_text())["events"]["given"]
    evaluation = read(folder / "evaluation.json", EVALUATION)
    assert evaluation.events.used == given
    assert evaluation.irf.level == "reconstructed"
    for name in (
        "effective_area",
        "background_rate",
        "sensitivity",
        "angular_resolution",
        "energy_resolution",
    ):
        assert len(evaluation.response().bins[name]) == len(evaluation.energy_bins.edges) - 1
    for model in ("float", "compressed"):
        with fits.open(folder / "irfs" / f"{model}.fits.gz") as content:
            kinds = [hdu.header["HDUCLAS4"] for hdu in content[1:]]
        assert kinds == ["AEFF_2D", "EDISP_2D", "PSF_TABLE", "BKG_2D"]
    page = (folder / "report.html").read_text()
    for task in ("type", "energy", "direction"):
        assert f'href="{task}/report.html"' in page
    assert read_run(folder).name == "study"
    before = {
        p: p.stat().st_mtime_ns for p in folder.rglob("*.*") if p.name not in ("manifest.json", ".lock")
    }
    reconstruct(settings, base, folder, Console(quiet=True))
    assert before == {p: p.stat().st_mtime_ns for p in before}
