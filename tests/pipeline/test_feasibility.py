"""What firmware cannot hold is refused on the untrained graph, before anything is made."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.errors import ConfigError, MappingError, TriggerMLError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.run import RunDirectory
from trigger_ml.models.files import save_model
from trigger_ml.pipeline.feasibility import require_feasible
from trigger_ml.pipeline.stages import STAGES
from trigger_ml.pipeline.workspace import Workspace

K = tf_keras.layers


def config(**update: Any) -> ExperimentConfig:
    values = {"name": "x", "firmware": {"hls": {}, "rtl": {"style": "streaming"}}, **update}
    return ExperimentConfig.model_validate(values)


def model(body: Any = None, head: int = 1) -> Any:
    x = K.Input((8, 8, 1), name="counts")
    y = K.ReLU(name="stem_relu")(K.BatchNormalization(name="bn")(K.Conv2D(2, 3, name="stem")(x)))
    y = body(y) if body else y
    return tf_keras.Model(x, K.Dense(head, name="head")(K.GlobalAveragePooling2D(name="gap")(y)))


def test_a_model_that_can_be_built_passes() -> None:
    require_feasible(model(), config())
    require_feasible(model(lambda y: K.BatchNormalization(name="late")(y)), config())
    require_feasible(model(lambda y: K.MaxPooling2D(2, name="pool")(y), head=2), config(task="direction"))


@pytest.mark.parametrize(
    ("body", "settings", "expected"),
    [
        (lambda y: K.Activation("softmax", name="late")(y), {}, "late: has the activation softmax"),
        (
            lambda y: K.Activation("tanh", name="bent")(y),
            {},
            r"layer bent_q \(lookup\): hls4ml .*firmware.rtl",
        ),
        (lambda y: K.MaxPooling2D(3, strides=2, name="wide")(y), {}, "layer wide .*hls4ml pools only"),
        (lambda y: K.UpSampling2D(2, name="up")(y), {}, "up: a UpSampling2D layer has no fixed-point"),
        (None, {"firmware": {"hls": None, "rtl": {"pixels_per_clock": 16}}}, "16 pixels per clock exceed"),
        (None, {"firmware": {"hls": {"layers": {"sten": {}}}, "rtl": None}}, "firmware.hls.layers.sten"),
        (None, {"compression": {"pruning": {"skip": ["sten"]}}}, "compression.pruning.skip: sten"),
        (
            None,
            {"compression": {"budget": {"lut": 20}}},
            r"budget.lut: 20: \d+ lookup tables remain when every",
        ),
        (
            None,
            {"compression": {"budget": {"lut": 10**6, "interval": 63}}},
            "budget.interval: 63: 64 clocks pass between events when every .*, 1 more",
        ),
        (None, {"compression": {"budget": {"lut": 10**6, "latency_clocks": 9}}}, r"latency_clocks: 9: \d+ "),
        (
            None,
            {
                "compression": {
                    "steps": [{"step": "prune", "skip": ["sten"]}, {"step": "fold"}, {"step": "quantize"}]
                }
            },
            "compression.pruning.skip: sten",
        ),
        (None, {"task": "direction"}, r"outputs have shape \(1,\), task direction needs 2"),
    ],
)
def test_what_cannot_be_built_is_named(body: Any, settings: dict[str, Any], expected: str) -> None:
    with pytest.raises((MappingError, ConfigError), match=expected):
        require_feasible(model(body), config(**settings))


def workspace(path: Path, settings: ExperimentConfig) -> Workspace:
    return Workspace(settings, RunDirectory(path), Console(quiet=True))


def test_a_model_of_the_users_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    save_model(model(head=2), tmp_path / "two.h5")
    given = config(model={"weights": str(tmp_path / "two.h5")})
    for stage in ("simulate", "train"):
        with pytest.raises(TriggerMLError, match="task type needs 1"):
            STAGES[stage].work(workspace(tmp_path / "run", given))
    assert not (tmp_path / "run").exists()


def test_the_products_model_is_refused_before_the_first_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, target = np.zeros((6, 8, 8, 1), np.uint8), np.zeros((6, 1))
    sample = SimpleNamespace(
        dataset=SimpleNamespace(counts=counts, label=np.array([0, 1] * 3)),
        splits=SimpleNamespace(train=np.arange(2), validation=np.arange(2, 4), test=np.arange(4, 6)),
        training=lambda: (counts, target, (counts, target)),
    )
    monkeypatch.setattr("trigger_ml.pipeline.sample.load_sample", lambda _: sample)
    trained: list[object] = []
    monkeypatch.setattr("trigger_ml.models.training.train", lambda *args, **_: trained.append(args))
    late = config(firmware={"hls": None, "rtl": {"pixels_per_clock": 16}})
    with pytest.raises(MappingError, match="16 pixels per clock"):
        STAGES["train"].work(workspace(tmp_path, late))
    assert not trained
