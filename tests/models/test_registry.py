import numpy as np
import pytest

from trigger_ml.core.config import ModelConfig, StageConfig
from trigger_ml.core.errors import ConfigError
from trigger_ml.models.registry import build_model

STAGES = (StageConfig(filters=4), StageConfig(filters=8, strides=2))


def names(config: ModelConfig, task: str = "type") -> list[str]:
    return [layer.name for layer in build_model(config, (12, 12, 1), task).layers]


def test_resnet_has_the_documented_names() -> None:
    found = names(ModelConfig(stem_filters=4, stages=STAGES))
    assert found[:4] == ["counts", "stem", "stem_bn", "stem_relu"]
    block = {f"s1b0_{part}" for part in ("conv1", "conv1_bn", "conv1_relu", "conv2", "conv2_bn")}
    assert block | {"s1b0_shortcut", "s1b0_shortcut_bn", "s1b0_add", "s1b0_relu"} <= set(found)
    assert "s0b0_shortcut" not in found
    assert found[-2:] == ["pool", "head"]


def test_cnn_has_the_documented_names() -> None:
    config = ModelConfig(
        family="cnn", stem_filters=4, stages=STAGES, batch_norm=False, pooling="flatten", head_units=(5,)
    )
    assert names(config) == [
        "counts", "stem", "stem_relu", "s0c0", "s0c0_relu", "s1c0", "s1c0_relu",
        "flatten", "head1", "head1_relu", "head",
    ]  # fmt: skip


@pytest.mark.parametrize(("task", "outputs"), [("type", 1), ("energy", 1), ("direction", 2)])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_output_is_linear_and_fits_the_task(task: str, outputs: int, block: str) -> None:
    model = build_model(ModelConfig(stem_filters=4, stages=STAGES, block=block), (13, 11, 2), task)
    assert model.output_shape == (None, outputs)
    assert model.get_layer("head").activation.__name__ == "linear"


def test_bottleneck_is_narrower_inside() -> None:
    config = ModelConfig(stages=(StageConfig(filters=8),), block="bottleneck", bottleneck=4)
    model = build_model(config, (12, 12, 1), "type")
    assert model.get_layer("s0b0_conv2").filters == 2
    assert model.get_layer("s0b0_conv3").filters == 8


def test_hexagonal_kernels_are_masked_from_the_start_but_points_are_not() -> None:
    config = ModelConfig(stem_filters=4, stem_kernel=5, stages=STAGES, kernel="hexagonal")
    model = build_model(config, (12, 12, 1), "type")
    stem = model.get_layer("stem").kernel.numpy()
    assert np.count_nonzero(stem[..., 0, 0]) == 19
    assert np.count_nonzero(model.get_layer("s1b0_conv1").kernel.numpy()[..., 0, 0]) == 7
    assert np.all(model.get_layer("s1b0_shortcut").kernel.numpy() != 0)


def test_an_even_kernel_cannot_be_hexagonal() -> None:
    with pytest.raises(ConfigError, match="stem_kernel"):
        build_model(ModelConfig(stem_kernel=4, kernel="hexagonal"), (12, 12, 1), "type")


def test_the_seed_fixes_the_weights() -> None:
    config = ModelConfig(stem_filters=4, stages=STAGES)
    first, again, other = (build_model(config, (12, 12, 1), "type", seed=s) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), again.get_weights(), strict=True))
    assert not np.array_equal(first.get_layer("stem").kernel, other.get_layer("stem").kernel)


def test_a_model_is_called_the_same_whatever_was_made_before() -> None:
    names = {
        build_model(ModelConfig(family=family), (16, 16, 1), "type", 1).name
        for family in ("cnn", "resnet")
        for _ in "12"
    }
    assert names == {"cnn", "resnet"}
