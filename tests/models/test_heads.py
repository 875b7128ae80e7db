import numpy as np
import pytest
from scipy.special import expit, softmax

from trigger_ml.core.classes import class_scores, decisions, scores_of_probabilities
from trigger_ml.core.config import ModelConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.heads import before_squashing, loss, start_at, without_squashing
from trigger_ml.models.registry import build_model


def model_ending_with(*, units: int, activation: str | None = None, layer: str | None = None):
    x = counts = tf_keras.Input((4, 4, 1), name="counts")
    x = tf_keras.layers.Flatten(name="flatten")(x)
    x = tf_keras.layers.Dense(units, activation=activation, name="dense", bias_initializer="normal")(x)
    if layer is not None:
        x = getattr(tf_keras.layers, layer)(name="last")(x)
    return tf_keras.Model(counts, x)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(50, 4, 4, 1)).astype(np.float32)


@pytest.mark.parametrize("settings", [{"activation": "softmax"}, {"layer": "Softmax"}])
@pytest.mark.parametrize("gamma_column", [0, 1])
def test_two_class_softmax_becomes_an_equal_logit(settings: dict, gamma_column: int, images) -> None:
    model = model_ending_with(units=2, **settings)
    logit = without_squashing(model, gamma_column)(images).numpy()
    assert logit.shape == (50, 1)
    np.testing.assert_allclose(expit(logit[:, 0]), model(images).numpy()[:, gamma_column], atol=1e-6)


def test_sigmoid_is_cut_off(images) -> None:
    model = model_ending_with(units=1, activation="sigmoid")
    np.testing.assert_allclose(expit(without_squashing(model)(images)), model(images), atol=1e-6)


def test_a_linear_model_is_returned_as_it_is() -> None:
    model = model_ending_with(units=1)
    assert without_squashing(model) is model


@pytest.mark.parametrize("settings", [{"activation": "softmax"}, {"layer": "Softmax"}])
def test_a_softmax_of_three_classes_is_cut(settings: dict, images) -> None:
    model = model_ending_with(units=3, **settings)
    for cut in (without_squashing(model), before_squashing(model)):
        logits = cut(images).numpy()
        np.testing.assert_allclose(softmax(logits, axis=1), model(images), atol=1e-6)
        assert (decisions(logits) == model(images).numpy().argmax(axis=1)).all()
        np.testing.assert_allclose(expit(class_scores(logits)), model(images), atol=1e-6)
        np.testing.assert_allclose(scores_of_probabilities(model(images)), class_scores(logits), atol=1e-4)


def test_every_output_is_cut(images) -> None:
    layers = tf_keras.layers
    x = tf_keras.Input((4, 4, 1), name="counts")
    flat = layers.Flatten(name="flatten")(x)
    shared = layers.Dense(2, name="shared", bias_initializer="normal")(flat)
    outputs = {
        "type": layers.Softmax(name="a")(shared),
        "kind": layers.Dense(3, activation="softmax", name="b")(flat),
        "both": shared,
        "quality": layers.Activation("sigmoid", name="d")(layers.Dense(1, name="c")(flat)),
    }
    model = tf_keras.Model(x, outputs)
    expected = {name: values.numpy() for name, values in model(images).items()}
    found = dict(zip(sorted(outputs), without_squashing(model)(images), strict=True))
    np.testing.assert_allclose(expit(found["type"][:, 0]), expected["type"][:, 1], atol=1e-6)
    np.testing.assert_allclose(softmax(found["kind"], axis=1), expected["kind"], atol=1e-6)
    np.testing.assert_allclose(found["both"], expected["both"], atol=1e-6)
    np.testing.assert_allclose(expit(found["quality"]), expected["quality"], atol=1e-6)


def test_a_softmax_that_other_layers_read_is_refused() -> None:
    x = tf_keras.Input((3,), name="counts")
    classes = tf_keras.layers.Dense(2, activation="softmax", name="classes")(x)
    model = tf_keras.Model(x, [classes, tf_keras.layers.Dense(1, name="next")(classes)])
    with pytest.raises(MappingError, match=r"classes: other layers read"):
        without_squashing(model)


def test_a_softmax_over_one_value_is_refused() -> None:
    with pytest.raises(MappingError, match="dense: softmax"):
        without_squashing(model_ending_with(units=1, activation="softmax"))


def test_losses_are_those_of_the_task() -> None:
    logit, label = np.array([[2.0]], dtype=np.float32), np.array([[1.0]], dtype=np.float32)
    assert float(loss("type")(label, logit)) == pytest.approx(np.log1p(np.exp(-2)))
    assert float(loss("energy", "mse")(label, logit)) == pytest.approx(1.0)
    assert float(loss("energy", "huber")(label, 4 * logit)) == pytest.approx(6.5)


def test_a_regressor_begins_at_the_mean_of_its_targets() -> None:
    rng = np.random.default_rng(1)
    model = build_model(ModelConfig(stem_filters=2, stages=({"filters": 2},)), (8, 8, 1), "direction", 1)
    target = rng.normal((1.5, -0.5), (2.0, 0.1), (4000, 2))
    images = rng.random((300, 8, 8, 1)).astype(np.float32)
    before = model.predict(images, verbose=0)
    start_at(model, target)
    after = model.predict(images, verbose=0)
    np.testing.assert_allclose(model.predict(0 * images[:1], verbose=0)[0], target.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(after, before * target.std(axis=0) + target.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("task", "pooling", "layer"),
    [("direction", "auto", "flatten"), ("energy", "auto", "pool"), ("direction", "average", "pool")],
)
def test_a_direction_keeps_the_place_of_the_light(task: str, pooling: str, layer: str) -> None:
    config = ModelConfig(stem_filters=2, stages=({"filters": 2},), pooling=pooling)
    names = [found.name for found in build_model(config, (8, 8, 1), task).layers]
    assert layer in names
