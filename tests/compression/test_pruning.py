import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
from hypothesis import given
from hypothesis import strategies as st
from qkeras import QDense, QDepthwiseConv2D, quantized_bits

from trigger_ml.compression.allocation import removed
from trigger_ml.compression.pruning import (
    apply_masks,
    integer_kernel,
    layer_sparsity,
    masks,
    prunable,
    pruned_step,
    pruning_schedule,
    sparsities,
    strip,
    wrap,
)
from trigger_ml.core.config import PruningConfig
from trigger_ml.core.errors import ConfigError, StageError
from trigger_ml.core.keras2 import tf_keras


def small(units: int = 4, inputs: int = 6):
    counts = tf_keras.Input((inputs,), name="counts")
    # MODEL is built on import, before any fixture
    tf_keras.utils.set_random_seed(1)
    quantizers = {
        "kernel_quantizer": quantized_bits(6, 0, alpha=1),
        "bias_quantizer": quantized_bits(8, 0, alpha=1),
    }
    x = QDense(units, name="first", **quantizers)(counts)
    return tf_keras.Model(counts, QDense(1, name="head", **quantizers)(x))


@given(
    st.integers(2, 5000), st.floats(0, 0.9), st.floats(0.05, 1), st.integers(1, 300),
    st.sampled_from(["polynomial", "constant"]),
)  # fmt: skip
def test_the_last_update_reaches_the_sparsity_asked(
    steps: int, begin: float, length: float, frequency: int, schedule: str
) -> None:
    config = PruningConfig(
        sparsity=0.8, schedule=schedule, begin=begin, end=min(1.0, begin + length), frequency=frequency
    )
    try:
        schedule_made = pruning_schedule(config, steps, 0.8)
    except StageError:
        # only when the schedule ends within one interval of the last step
        assert config.end * steps > steps - max(1, (config.end - config.begin) * steps / 10) - 1
        return
    last = pruned_step(config, steps)
    due, sparsity = schedule_made(last)
    assert bool(due)
    assert float(sparsity) == pytest.approx(0.8)
    assert last <= steps


MODEL = small()


@pytest.mark.parametrize("quantized", [False, True])
def test_depthwise_kernels_are_pruned_like_others(quantized: bool) -> None:
    settings = {"depthwise_quantizer": quantized_bits(6, 0, alpha=1), "bias_quantizer": quantized_bits(6)}
    make = QDepthwiseConv2D if quantized else tf_keras.layers.DepthwiseConv2D
    x = tf_keras.Input((4, 4, 2), name="counts")
    y = make(3, name="deep", **(settings if quantized else {}))(x)
    model = tf_keras.Model(x, tf_keras.layers.Flatten()(y))
    asked = sparsities(model, PruningConfig(sparsity=0.5))
    wrapped = wrap(model, PruningConfig(schedule="constant"), 100, asked)
    before = np.abs(model.get_layer("deep").get_weights()[0])
    apply_masks(wrapped, asked)
    stripped = strip(wrapped, model).get_layer("deep").get_weights()[0]
    # the nine smallest of eighteen
    np.testing.assert_array_equal(stripped == 0, before < np.sort(before, axis=None)[9])
    np.testing.assert_array_equal(masks(wrapped)["deep"] == 0, stripped == 0)


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("size", [1, 2, 7, 72, 576])
def test_removed_agrees_with_the_library(size: int, sparsity: float) -> None:
    weights = np.random.default_rng(size).permutation(size) + 1.0
    counts = tf_keras.Input((size,), name="counts")
    layer = tf_keras.layers.Dense(1, name="only")
    model = tf_keras.Model(counts, layer(counts))
    layer.set_weights([weights[:, None], np.zeros(1)])
    wrapped = wrap(model, PruningConfig(schedule="constant"), 100, {"only": sparsity})
    wrapped.layers[1].pruning_obj._step_fn = lambda: 1
    wrapped.layers[1].pruning_obj.conditional_mask_update()
    gone = int((masks(wrapped)["only"] == 0).sum())
    assert gone == removed(size, sparsity)
    # nearest whole number, but one weight stays
    assert abs(gone - sparsity * size) <= 0.5 + 1e-4 * size or gone == size - 1


def test_ties_do_not_keep_weights() -> None:
    model = small()
    model.get_layer("first").set_weights([np.full((6, 4), 0.5), np.zeros(4)])
    asked = {"first": 0.75}
    wrapped = wrap(model, PruningConfig(schedule="constant"), 100, asked)
    apply_masks(wrapped, asked)
    assert masks(wrapped)["first"].sum() == 6
    stripped = strip(wrapped, model)
    assert np.count_nonzero(stripped.get_layer("first").kernel) == 6


def test_strip_gives_the_same_function_without_wrappers() -> None:
    model = small()
    wrapped = wrap(model, PruningConfig(schedule="constant"), 100, {"first": 0.5, "head": 0.5})
    wrapped.compile("adam", "mse")
    x = np.random.default_rng(0).random((32, 6), dtype=np.float32)
    callbacks = [tfmot.sparsity.keras.UpdatePruningStep()]
    wrapped.fit(x, x[:, :1], epochs=1, batch_size=8, verbose=0, callbacks=callbacks)
    kept = masks(wrapped)
    stripped = strip(wrapped, model)
    assert [layer.name for layer in stripped.layers] == ["counts", "first", "head"]
    np.testing.assert_array_equal(stripped(x), wrapped(x, training=False))
    for name, mask in kept.items():
        weights = stripped.get_layer(name).kernel.numpy()
        assert not weights[mask == 0].any()
        assert mask.mean() == 0.5


def test_zeros_are_told_apart() -> None:
    model = small(units=2, inputs=4)
    # 31/32 is kept, 0.01 rounds to zero, the masked ones are zero
    kernel = np.array([[31 / 32, 0.01], [0.0, 0.0], [-0.5, 0.25], [0.0, -1.0]])
    mask = np.array([[1, 1], [0, 0], [1, 1], [0, 1]])
    model.get_layer("first").set_weights([kernel, np.zeros(2)])
    row, head = layer_sparsity(model, {"first": mask}, {"first": 0.375})
    assert (row.weights, row.pruned, row.rounded, row.bits) == (8, 3, 1, 6)
    assert row.sparsity == 0.5
    assert head.asked == 0.0
    weights, integers = integer_kernel(model.get_layer("first"))
    np.testing.assert_array_equal(integers, [[31, 0], [0, 0], [-16, 8], [0, -32]])
    assert weights.dtype == np.float32


def test_a_broken_mask_or_a_missed_sparsity_is_an_error() -> None:
    model = small(units=2, inputs=4)
    model.get_layer("first").set_weights([np.full((4, 2), 0.5), np.zeros(2)])
    with pytest.raises(StageError, match="first: a pruned weight is not zero"):
        layer_sparsity(model, {"first": np.zeros((4, 2))}, {"first": 0.5})
    with pytest.raises(StageError, match=r"first: pruning reached 0\.000 instead of 0\.500"):
        layer_sparsity(model, {"first": np.ones((4, 2))}, {"first": 0.5})


def test_skipped_layers() -> None:
    assert prunable(MODEL, PruningConfig(skip=("head",))) == ["first"]
    with pytest.raises(ConfigError, match="Did you mean `first`"):
        prunable(MODEL, PruningConfig(skip=("frist",)))
    config = PruningConfig(skip=("head",))
    wrapped = wrap(MODEL, config, 100, sparsities(MODEL, config))
    assert list(masks(wrapped)) == ["first"]


def test_a_layer_that_loses_nothing_is_not_wrapped() -> None:
    wrapped = wrap(MODEL, PruningConfig(), 100, {"first": 0.5, "head": 0.0})
    assert list(masks(wrapped)) == ["first"]
