"""A model of the user's in its own unit: what it is worth by its own framework, and when it is refused."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.documents.base import parse
from trigger_ml.core.documents.evaluation import GIVEN
from trigger_ml.core.errors import ConfigError, InputError, MappingError, StageError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.batches import predict
from trigger_ml.pipeline import given as room
from trigger_ml.pipeline.given import judge, keep, owner_input, owner_outputs, prepare
from trigger_ml.report.rivals import given_facts

EVENTS, SHAPE = 400, (4, 4, 1)


@pytest.fixture(scope="module")
def events() -> SimpleNamespace:
    """Bright pixels tell the classes apart, faint ones do not."""
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, EVENTS)
    charge = rng.normal(6, 3, (EVENTS, *SHAPE)).clip(0)
    charge[:, 1, 1, 0] = rng.normal(30 + 12 * label, 9).clip(0)
    return SimpleNamespace(charge=charge.astype(np.float32), label=label)


class Events:
    """As much of a dataset as the judge looks at."""

    def __init__(self, events: SimpleNamespace, lsb: float, bits: int = 8) -> None:
        self.label, self.shower_id = events.label, np.arange(EVENTS)
        self.counts = np.clip(np.rint(events.charge / lsb), 0, 2**bits - 1).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: Any) -> "Events":
        part = object.__new__(Events)
        part.label, part.shower_id, part.counts = self.label[rows], self.shower_id[rows], self.counts[rows]
        return part


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As CTLearn's: two classes, Keras 3, of photo-electrons; it sees what lies above 20 of them."""
    x = keras.Input(SHAPE)
    y = keras.layers.Conv2D(1, 1, activation="relu", name="above")(x)
    y = keras.layers.Flatten()(y)
    model = keras.Model(x, keras.layers.Dense(2, activation="softmax", name="type")(y))
    model.get_layer("above").set_weights([np.ones((1, 1, 1, 1)), np.array([-20.0])])
    model.get_layer("type").set_weights([np.outer(np.ones(16), [-0.02, 0.02]), np.array([0.2, -0.2])])
    path = tmp_path_factory.mktemp("given") / "pe.keras"
    model.save(path)
    return path


def config(path: Path, *, lsb: float = 0.5, **model: Any) -> ExperimentConfig:
    return ExperimentConfig.model_validate(
        {
            "name": "x",
            "model": {"weights": str(path), **model},
            "events": {"input": {"charge_lsb": lsb}},
            "firmware": {"hls": None, "rtl": {}},
        }
    )


def judged(
    settings: ExperimentConfig, events: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    monkeypatch.setattr(room, "charges", lambda *_: iter([(np.arange(EVENTS), events.charge)]))
    dataset = Events(events, settings.events.input.charge_lsb)
    rows = np.arange(EVENTS)
    return judge(prepare(settings), settings, dataset, events.label[:, np.newaxis], rows)  # type: ignore[arg-type]


def by_hand(charge: np.ndarray) -> np.ndarray:
    return 0.04 * np.maximum(charge - 20, 0).sum(axis=(1, 2, 3)) - 0.4


def test_it_is_the_owners_model_on_photo_electrons(
    model_file: Path, events: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = config(model_file, input="photo-electrons")
    prepared = prepare(settings)
    counts = Events(events, 0.5).counts
    expected = by_hand(counts * 0.5)
    np.testing.assert_allclose(predict(prepared.model, counts, 8)[:, 0], expected, atol=1e-4)
    keep(settings, tmp_path)
    np.testing.assert_allclose(owner_outputs(settings, tmp_path, counts)[:, 0], expected, atol=1e-4)
    found = judged(settings, events, monkeypatch)
    assert found["own"]["value"] == pytest.approx(
        roc_auc_score(events.label, by_hand(events.charge)), abs=1e-6
    )
    assert found["counts"]["value"] == pytest.approx(roc_auc_score(events.label, expected), abs=1e-6)
    assert found["own"]["value"] > 0.7
    rows = dict(given_facts(parse(found, GIVEN, "given.json")))
    assert rows["Given model"] == f"{model_file}, {found['framework']}, takes photo-electrons"
    assert rows["AUC on its own input, by its framework"].startswith(f"{found['own']['value']:.2f}"[:3])
    assert given_facts(None) == []
    assert found["framework"].startswith("Keras 3")


def test_a_unit_that_was_not_said_is_asked_for(
    model_file: Path, events: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"0\.500 on fraction, .* on photo-electrons .*model.input: p"):
        judged(config(model_file), events, monkeypatch)
    # whoever says it is believed, and shown what it is worth
    assert judged(config(model_file, input="fraction"), events, monkeypatch)["own"]["value"] == 0.5


def test_a_regressor_that_says_one_thing_alone_is_not_believed(
    model_file: Path, events: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On fractions the model is dead: its answers do not differ."""
    settings = config(model_file).model_copy(update={"task": "energy"})
    monkeypatch.setattr(room, "charges", lambda *_: iter([(np.arange(EVENTS), events.charge)]))
    dataset, target = Events(events, settings.events.input.charge_lsb), by_hand(events.charge)[:, np.newaxis]
    with pytest.raises(ConfigError, match=r"correlation by .* is 0\.000 on fraction, .* on photo-electrons"):
        judge(prepare(settings), settings, dataset, target, np.arange(EVENTS))  # type: ignore[arg-type]


def test_what_counting_costs_is_an_error(
    model_file: Path, events: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse = config(model_file, input="photo-electrons", lsb=40.0)
    with pytest.raises(InputError, match=r"on its own input \(photo-electrons\) and .* once that is counted"):
        judged(coarse, events, monkeypatch)
    allowed = config(model_file, input="photo-electrons", lsb=40.0, input_loss=0.5)
    assert judged(allowed, events, monkeypatch)["difference"]["value"] > 0.02


def test_a_copy_that_is_another_model_is_an_error(
    model_file: Path, events: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(settings: ExperimentConfig) -> room.Prepared:
        made = prepare(settings)
        model = tf_keras.models.clone_model(made.model)
        model.set_weights([1.02 * w for w in made.model.get_weights()])
        return replace(made, model=model)

    settings = config(model_file, input="photo-electrons")
    dataset, rows = Events(events, 0.5), np.arange(EVENTS)
    with pytest.raises(StageError, match="differs from itself in Keras 3"):
        judge(changed(settings), settings, dataset, events.label[:, np.newaxis], rows)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("fraction", lambda n: n / 256),
        ("counts", lambda n: n),
        ("photo-electrons", lambda n: n * [0.5, 0.25]),
        ({"scale": 3.0, "offset": [1.0, 2.0]}, lambda n: 3 * n + [1, 2]),
        ({"of": "photo-electrons", "scale": [0.1, 2.0], "offset": -1.0}, lambda n: n * [0.05, 0.5] - 1),
    ],
)
def test_units_by_hand(unit: Any, expected: Any) -> None:
    settings = ExperimentConfig.model_validate(
        {
            "name": "x",
            "model": {"weights": "m.h5", "input": unit},
            "events": {"input": {"channels": ["image", "peak_time"]}},
        }
    )
    assert settings.model.input is not None
    assert ExperimentConfig.model_validate(settings.model_dump(mode="json")) == settings
    owner = owner_input(settings.model.input, settings.events.input)
    counts = np.random.default_rng(1).integers(0, 256, (3, 2, 2, 2)).astype(np.uint8)
    np.testing.assert_allclose(owner.of_counts(counts), expected(counts.astype(float)), rtol=1e-6)
    if owner.lsb is not None:
        charges = (counts * np.array([0.5, 0.25])).astype(np.float32)
        np.testing.assert_allclose(owner.of_charges(charges), owner.of_counts(counts), rtol=1e-6)


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path) -> None:
    from qkeras import QDense, quantized_bits

    x = tf_keras.Input(SHAPE)
    bits = quantized_bits(6, 0, alpha=1)
    head = QDense(1, kernel_quantizer=bits, bias_quantizer=bits, name="head")
    tf_keras.Model(x, head(tf_keras.layers.Flatten()(x))).save(tmp_path / "q.h5", save_format="h5")
    with pytest.raises(MappingError, match=r"layer head: is quantized already \(QDense\)"):
        prepare(config(tmp_path / "q.h5"))
