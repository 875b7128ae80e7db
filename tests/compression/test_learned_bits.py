"""Learned bits on a tiny task: the budget is met, the network is exact, a killed training goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trigger_ml.compression.budget import Hardware, excess, judge
from trigger_ml.compression.compress import compress
from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.compression.learned_bits import Steering, bits_of, exported, learner
from trigger_ml.compression.pruning import integer_kernel
from trigger_ml.compression.quantization import quantized_twin
from trigger_ml.core.config import (
    BudgetConfig,
    CompressionConfig,
    ModelConfig,
    QuantizationConfig,
    StageConfig,
)
from trigger_ml.core.fixed_point import FixedPoint, input_values
from trigger_ml.core.keras2 import tf
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.ir.interpreter import logits
from trigger_ml.models.batches import predict
from trigger_ml.models.files import load_model
from trigger_ml.models.registry import build_model

INPUT = FixedPoint(False, 8, 8)


def events(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and a bright line in those of class 1."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    counts = rng.integers(0, 40, size=(n, 8, 8, 1))
    gammas = np.flatnonzero(label)
    counts[gammas, rng.integers(2, 6, len(gammas))] += 100
    return counts.astype(np.uint8), label.astype(np.int8)


TRAINING, VALIDATION = events(192, 0), events(32, 1)


@pytest.fixture(scope="module")
def float_model():
    config = ModelConfig(stem_filters=3, stages=(StageConfig(filters=4),), kernel="hexagonal")
    return build_model(config, (8, 8, 1), "type", seed=1)


@pytest.fixture(scope="module")
def twin(float_model):
    values = input_values(TRAINING[0][:64], 8)
    return quantized_twin(fold_batch_norm(float_model), QuantizationConfig(), INPUT, values)


def digits(model) -> dict[str, float]:
    """Non-zero bits of each layer's integers, counted here from the exported model alone."""
    found = {}
    for layer in model.layers:
        if (kernel := integer_kernel(layer)) is not None:
            found[layer.name] = sum(bin(n ^ 3 * n).count("1") for n in np.abs(kernel[1]).ravel().tolist())
    return found


def measure(model) -> Hardware:
    """A hardware of which every digit takes ten lookup tables, and every bit of an activation fifty."""
    count = digits(model)
    widths = {
        layer.name: int(layer.quantizer.bits)
        for layer in model.layers
        if type(layer).__name__ == "QActivation" and not layer.name.startswith("counts")
    }
    lut = 300 + 10 * sum(count.values()) + 50 * sum(widths.values())
    return Hardware(lut, 100, 64, dict.fromkeys(count, 10.0), dict.fromkeys(widths, 50.0))


def scattered(model, seed: int = 5):
    """Give every weight and activation other bits, some of them none."""
    rng = np.random.default_rng(seed)
    for layer in model.steered:
        start = layer.fraction.numpy()
        layer.fraction.assign(
            np.clip(start - rng.uniform(0, 6, start.shape), layer.fraction.constraint.low, None)
        )
    return model


def test_a_learner_starts_as_the_quantized_model(twin) -> None:
    model = learner(twin)
    np.testing.assert_array_equal(predict(model, VALIDATION[0], 8), predict(twin, VALIDATION[0], 8))
    assert not {id(w) for w in model.trainable_weights} & {id(layer.fraction) for layer in model.steered}


def test_the_network_is_exactly_what_was_trained(twin) -> None:
    model = scattered(learner(twin, steering=Steering(1000, 10)))
    plain = exported(model, twin)
    ours = predict(model, VALIDATION[0], 8)
    np.testing.assert_array_equal(predict(plain, VALIDATION[0], 8), ours)
    network = extract(plain, input_type=INPUT)
    integers = logits(network, VALIDATION[0].astype(np.int64))[network.outputs[0]]
    fraction = network.bounds[network.outputs[0]].fraction
    np.testing.assert_array_equal(np.ldexp(integers.astype(np.float64), -fraction).reshape(ours.shape), ours)
    # one layer's weights have several widths, and some none
    kernel = integer_kernel(plain.get_layer("s0b0_conv1"))[1]
    assert {int(n & -n) for n in np.abs(kernel[kernel != 0])} >= {1, 2}
    assert (kernel == 0).mean() > 0.3
    # the same bits again, without learning
    again = learner(plain, bits=bits_of(model))
    np.testing.assert_array_equal(predict(again, VALIDATION[0], 8), ours)


def test_the_expected_cost_is_the_measured_one_and_follows_the_bits(twin) -> None:
    model = scattered(learner(twin, steering=Steering(1000, 10)))
    hardware = measure(exported(model, twin))
    model.calibrate(hardware)
    assert float(model.lut()) == pytest.approx(hardware.lut)
    for layer in model.steered:
        layer.fraction.assign(layer.fraction.constraint(layer.fraction - 1.0))
    # the toy's hardware is linear in digits and bits, so that the expectation stays exact
    assert float(model.lut()) == pytest.approx(measure(exported(model, twin)).lut)
    with tf.GradientTape() as tape:
        lut = model.lut()
    slopes = tape.gradient(lut, [layer.fraction for layer in model.steered])
    assert all((slope.numpy() >= 0).all() for slope in slopes)
    assert sum(float(tf.reduce_sum(slope)) for slope in slopes) > 0


def test_pressure_rises_with_the_cost_and_turns_below_the_line(twin) -> None:
    model = learner(twin, steering=Steering(1000, 1, aim=1.0))
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(5)
    assert float(model.line()) == pytest.approx(1000)
    pressures = []
    for lut in (900.0, 980.0, 1000.0, 1020.0, 1200.0):
        model.integrated.assign(0.0)
        pressures.append(float(model.pressure(tf.constant(lut))))
    assert pressures == sorted(pressures)
    assert pressures[0] < 0 < pressures[1] < 0.7
    assert pressures[2] == pytest.approx(1.0, rel=1e-3)
    model.optimizer.iterations.assign(0)
    model.first.assign(4000.0)
    assert float(model.line()) == pytest.approx(4000)


def run(model, directory: Path, lut: int, measure=measure, **more: object):
    steps = [
        {"step": "fold"},
        {"step": "quantize"},
        {"step": "learn-bits", "epochs": 4, "learning_rate": 5e-3},
        {"step": "fine-tune", "epochs": 1},
    ]
    config = CompressionConfig(steps=steps, budget={"lut": lut, **more}, batch_size=4)
    return compress(
        model, *TRAINING, VALIDATION, config,
        input_type=INPUT, seed=3, directory=directory, tensorboard=False, measure=measure,
    )  # fmt: skip


def test_the_budget_is_met_and_a_killed_training_goes_on(
    float_model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = measure(
        quantized_twin(
            fold_batch_norm(float_model), QuantizationConfig(), INPUT, input_values(TRAINING[0], 8)
        )
    )
    budget = 300 + (start.lut - 300) // 2
    calls = []

    def interrupted(model) -> Hardware:
        calls.append(1)
        if len(calls) in (3, 7):
            raise KeyboardInterrupt
        return measure(model)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(float_model, tmp_path, budget, interrupted)
    result = run(float_model, tmp_path, budget, interrupted)
    assert result.verdict is not None
    assert result.verdict.met
    assert 0.95 * budget <= measure(result.model).lut <= budget
    assert result.verdict.found == {"lut": measure(result.model).lut}
    history = result.trained[0].history
    assert history.metrics["excess"][0] > 0 == history.metrics["excess"][history.best_epoch]
    # what each step leaves
    assert [step.name for step in result.steps] == ["1-fold", "2-quantize", "3-learn-bits", "4-fine-tune"]
    for step in result.steps:
        assert (tmp_path / step.name / "step.json").exists()
        left = load_model(tmp_path / step.name / "model.h5")
    np.testing.assert_array_equal(predict(left, VALIDATION[0], 8), predict(result.model, VALIDATION[0], 8))
    # fine-tuning kept the bits of every weight, and let no zero come back
    learned = load_model(tmp_path / "3-learn-bits" / "model.h5")
    for layer in learned.layers:
        if (kernel := integer_kernel(layer)) is not None:
            after = integer_kernel(result.model.get_layer(layer.name))[1]
            assert not after[kernel[1] == 0].any()

    whole = run(float_model, tmp_path / "whole", budget)
    for ours, theirs in zip(result.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_budget_out_of_reach_ends_with_the_best_found(float_model, tmp_path: Path) -> None:
    result = run(float_model, tmp_path, 250)
    assert result.verdict is not None
    assert not result.verdict.met
    lut = measure(result.model).lut
    assert f"{lut:,} LUT instead of 250 ({lut - 250:+,})" in result.verdict.says


def test_a_verdict_names_every_quantity() -> None:
    hardware = Hardware(900, 120, 64)
    budget = BudgetConfig(lut=1000, latency_clocks=100)
    assert excess(hardware, budget) == pytest.approx(0.2)
    assert judge(hardware, budget).says == (
        "budget not met, the best found takes 120 clocks of latency instead of 100 (+20)"
    )
    met = judge(replace(hardware, latency_clocks=100), budget)
    assert met.met
    assert met.says.startswith("budget met: 900 of 1,000 LUT, 100 of 100 clocks of latency; no more")
