"""Lists of compression steps: what order is sound, and what is said of one that is not."""

from typing import Any

import pytest

from trigger_ml.core.config import CompressionConfig, ExperimentConfig, LearnBitsStep, parse
from trigger_ml.core.errors import ConfigError

FOLD, QUANTIZE, TUNE = {"step": "fold"}, {"step": "quantize"}, {"step": "fine-tune"}
LEARN, BUDGET = {"step": "learn-bits"}, {"lut": 1000}


def prune(sparsity: float) -> dict[str, Any]:
    return {"step": "prune", "sparsity": sparsity}


@pytest.mark.parametrize(
    "steps",
    [
        [FOLD, QUANTIZE],
        [FOLD, {"step": "post-training-quantize"}],
        [prune(0.3), prune(0.5), FOLD, TUNE, QUANTIZE, prune(0.6), TUNE, {"step": "distil"}],
        [TUNE, FOLD, prune(0.5), QUANTIZE, LEARN, TUNE, LEARN],
    ],
)
def test_sound_orders_are_followed(steps: list[dict[str, Any]]) -> None:
    budget = BUDGET if LEARN in steps else None
    config = parse(CompressionConfig, {"steps": steps, "budget": budget}, "x.yaml")
    assert [step.step for step in config.recipe] == [step["step"] for step in steps]
    assert config.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"steps": []}, "the last step leaves a float model, .* add fold and quantize"),
        ({"steps": [FOLD]}, "the last step leaves a folded model"),
        ({"steps": [QUANTIZE]}, "step 1, quantize: the model is float: put fold before it"),
        ({"steps": [FOLD, FOLD, QUANTIZE]}, "step 2, fold: the model is folded already"),
        ({"steps": [FOLD, QUANTIZE, QUANTIZE]}, "step 3, quantize: .* it can be quantized once"),
        ({"steps": [FOLD, LEARN, QUANTIZE], "budget": BUDGET}, "step 2, learn-bits: .* put quantize before"),
        (
            {"steps": [prune(0.5), prune(0.4), FOLD, QUANTIZE]},
            "sparsity 0.4 after 0.5: pruned weights do not",
        ),
        ({"steps": [FOLD, QUANTIZE, LEARN, prune(0.5)], "budget": BUDGET}, "put it before learn-bits"),
        ({"steps": [FOLD, QUANTIZE, LEARN]}, "learn-bits needs a budget"),
        ({"steps": [FOLD, QUANTIZE], "budget": BUDGET}, "no step meets it: add learn-bits"),
        ({"steps": [{"step": "prume"}]}, "prume"),
        (
            {"steps": [{"step": "prune", "sparsety": 0.5}]},
            "steps.0.prune.sparsety: .*Did you mean `sparsity`",
        ),
    ],
)
def test_unsound_ones_are_refused_in_one_line(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        parse(CompressionConfig, values, "x.yaml")
    assert "\n" not in str(caught.value)


def test_a_budget_alone_is_a_recipe() -> None:
    config = CompressionConfig(budget=BUDGET, epochs=5, pruning={"epochs": 3})
    assert [step.step for step in config.recipe] == ["fold", "quantize", "learn-bits"]
    (learning,) = (step for step in config.recipe if isinstance(step, LearnBitsStep))
    # as long as pruning and fine-tuning together, so that one control serves both
    assert learning.epochs == sum(
        training.epochs for training in CompressionConfig(epochs=5, pruning={"epochs": 3}).trainings
    )


def test_a_budget_needs_the_firmware_that_it_is_of() -> None:
    with pytest.raises(ConfigError, match=r"configure firmware\.rtl"):
        parse(ExperimentConfig, {"name": "x", "compression": {"budget": BUDGET}}, "x.yaml")
