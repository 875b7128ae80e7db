import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "rtl"))

from strategies import resnet

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.firmware.cost.prediction import predict
from trigger_ml.firmware.cost.regression import features, fit
from trigger_ml.firmware.cost.synthesis import part_named, require_fit, synthesize
from trigger_ml.firmware.rtl.project import TOP, design, sources


@pytest.mark.parametrize("style", ["streaming", "unrolled"])
def test_a_prediction_makes_no_logic(monkeypatch, style):
    """It takes milliseconds, where making the design takes seconds to minutes."""
    for name in ("trace_kernels", "trace_unrolled"):
        monkeypatch.setattr(
            f"trigger_ml.firmware.rtl.project.{name}", lambda *_: pytest.fail("logic is made")
        )
    assert predict(resnet((12, 12), 4, ((4, 1), (8, 2))), RtlConfig(style=style)).total.lut > 0


def test_pruning_and_width_move_the_prediction():
    def lut(**options):
        return predict(resnet((12, 12), **{"stem": 4, "stages": ((4, 1),), **options}), RtlConfig()).total.lut

    assert lut(sparsity=0.9) < lut(sparsity=0.5) < lut(sparsity=0.0)
    assert lut() < lut(stages=((8, 1),))


def test_more_pixels_per_clock_cost_more():
    network = resnet((16, 16), 4, ((4, 1),))
    one, eight = (predict(network, RtlConfig(pixels_per_clock=p)) for p in (1, 8))
    assert eight.total.lut > 4 * one.total.lut
    assert eight.timing.interval * 8 == one.timing.interval


def test_the_interval_holds_the_estimate():
    prediction = predict(resnet((12, 12)), RtlConfig())
    low, high = prediction.lut_interval
    assert low < prediction.total.lut < high


def test_a_design_that_cannot_fit_is_refused_before_any_work():
    network = resnet((48, 48), 32, ((32, 1), (64, 2)), sparsity=0.0)
    prediction = predict(network, RtlConfig(pixels_per_clock=16))
    with pytest.raises(MappingError, match=r"LUT .* too many"):
        require_fit(prediction.total, part_named("xc7z020"), source="prediction")


def test_the_fit_recovers_a_power_law():
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(120):
        naive, x = features(rng.integers(-8, 8, (int(rng.integers(4, 30)), int(rng.integers(2, 12)))), 5.0)
        samples.append((naive, x, (naive + 1) * float(np.exp(-0.1 * x[1]))))
    # input_bits is the same everywhere: a feature without spread must not divide by zero
    samples = [(n, x + rng.normal(0, 1e-3, x.shape), c) for n, x, c in samples]
    assert fit(samples, ridge=1e-3)["kernel_error"] < 0.02


@pytest.mark.slow
def test_the_prediction_is_near_synthesis():
    network = resnet((12, 12), 3, ((3, 1),), sparsity=0.6)
    predicted = predict(network, RtlConfig())
    found = synthesize(sources(design(network, RtlConfig())), TOP, "xcu", timing=False)
    assert abs(predicted.total.lut / found.total.lut - 1) < 0.15
    assert found.total.dsp == 0
