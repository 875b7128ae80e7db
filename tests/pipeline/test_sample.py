"""What a training sees of a run's events."""

import json
from pathlib import Path

import numpy as np
import pytest

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.errors import InputError
from trigger_ml.events.dataset import Splits
from trigger_ml.events.night_sky import NightSky, split_night_sky
from trigger_ml.pipeline.sample import Sample, event_files, night_sky_files


class Events:
    """As much of a dataset as a sample looks at."""

    def __init__(self, label: list[int]) -> None:
        self.label = np.array(label, dtype=np.int8)
        self.counts = np.arange(len(label), dtype=np.uint8).reshape(-1, 1, 1, 1)
        self.energy = np.full(len(label), 10.0)
        self.conditions = {"spread": np.linspace(1, 2, len(label)), "true_gain": np.ones(len(label))}
        self.event_type = np.full(len(label), 32)

    def __getitem__(self, rows: np.ndarray) -> "Events":
        part = Events([0] * len(rows))
        part.conditions = {name: values[rows] for name, values in self.conditions.items()}
        return part


def night(n: int, spread: float = 3.0) -> NightSky:
    return NightSky(np.full((n, 1, 1, 1), 200, np.uint8), {"spread": np.full(n, spread)})


def sample(task: str = "type") -> Sample:
    splits = Splits(train=np.array([0, 1, 4]), validation=np.array([2]), test=np.array([3, 5]))
    config = ExperimentConfig.model_validate({"name": "x", "task": task})
    return Sample(Events([1, 0, 1, 0, 1, 0]), splits, night(2), night(3), config)  # type: ignore[arg-type]


def test_the_night_sky_is_background_to_the_training_alone() -> None:
    counts, target, (chosen, wanted) = sample().training()
    assert counts[:, 0, 0, 0].tolist() == [0, 1, 4, 200, 200]
    assert target[:, 0].tolist() == [1, 0, 1, 0, 0]
    assert (chosen[:, 0, 0, 0].tolist(), wanted[:, 0].tolist()) == ([2], [1])


def test_a_regressor_sees_gammas_alone() -> None:
    counts, target, _ = sample("energy").training()
    assert counts[:, 0, 0, 0].tolist() == [0, 4]
    np.testing.assert_allclose(target[:, 0], 1.0)


def test_the_domain_is_that_of_all_that_was_trained_on() -> None:
    domain = sample().domain()
    # rows 0, 1 and 4 of the events, and the night sky; true values are no part of what an observer knows
    assert domain == {"ranges": {"spread": [1.0, 3.0]}, "triggers": ["SUBARRAY"]}


def test_half_of_the_night_sky_is_judged() -> None:
    sky = NightSky(np.arange(9, dtype=np.uint8).reshape(-1, 1, 1, 1), {"spread": np.arange(9.0)})
    training, test = split_night_sky(sky, seed=4)
    assert (len(training), len(test)) == (5, 4)
    both = np.concatenate([training.counts, test.counts]).ravel()
    assert sorted(both.tolist()) == list(range(9))
    np.testing.assert_array_equal(training.conditions["spread"], training.counts.ravel())
    again, _ = split_night_sky(sky, seed=4)
    np.testing.assert_array_equal(again.counts, training.counts)


def test_lists_of_event_files_of_any_version_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "files.json").write_text(json.dumps(["gamma.dl1.h5", "/data/proton.h5"]))
    assert event_files(tmp_path) == [folder / "gamma.dl1.h5", Path("/data/proton.h5")]
    assert night_sky_files(tmp_path) == []
    (folder / "files.json").write_text(json.dumps({"events": ["a.h5"], "night_sky": ["n.h5"]}))
    assert (event_files(tmp_path), night_sky_files(tmp_path)) == ([folder / "a.h5"], [folder / "n.h5"])
    (folder / "files.json").write_text('{"night_sky": []}')
    with pytest.raises(InputError, match=r"files\.json"):
        event_files(tmp_path)
