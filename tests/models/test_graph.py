import pytest

from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.graph import consumers, steps


def test_steps_are_in_topological_order() -> None:
    layers = tf_keras.layers
    counts = tf_keras.Input((4, 4, 1), name="counts")
    x = layers.Conv2D(1, 1, name="a")(counts)
    y = layers.Add(name="sum")([layers.ReLU(name="b")(x), x])
    model = tf_keras.Model(counts, y)
    order = [step.name for step in steps(model)]
    assert order.index("counts") < order.index("a") < order.index("b") < order.index("sum")
    assert {step.name: step.inputs for step in steps(model)}["sum"] == ("b", "a")
    assert sorted(step.name for step in consumers(model)["a"]) == ["b", "sum"]


def test_a_layer_used_twice_is_refused() -> None:
    counts = tf_keras.Input((4, 4, 1))
    shared = tf_keras.layers.Conv2D(1, 1, name="shared")
    with pytest.raises(MappingError, match=r"layer shared .*is called 2 times"):
        steps(tf_keras.Model(counts, shared(shared(counts))))


def test_a_model_inside_the_model_is_refused() -> None:
    counts = tf_keras.Input((4, 4, 1))
    inner = tf_keras.Model(counts, tf_keras.layers.ReLU()(counts), name="inner")
    outer = tf_keras.Input((4, 4, 1))
    with pytest.raises(MappingError, match="inner"):
        steps(tf_keras.Model(outer, inner(outer)))


def test_a_submodel_of_a_model_has_its_own_steps() -> None:
    counts = tf_keras.Input((4, 4, 1), name="counts")
    x = tf_keras.layers.ReLU(name="first")(counts)
    tf_keras.Model(counts, tf_keras.layers.ReLU(name="second")(x))
    assert [step.name for step in steps(tf_keras.Model(counts, x))] == ["counts", "first"]
