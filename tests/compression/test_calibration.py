import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger_ml.compression.calibration import (
    activation_exponents,
    covering_exponent,
    exponent_counts,
    fitting_exponent,
)
from trigger_ml.core.errors import InputError
from trigger_ml.core.fixed_point import FixedPoint, quantize, to_float
from trigger_ml.core.keras2 import tf_keras

weights = st.lists(st.floats(-1000, 1000, width=32).filter(lambda w: w == 0 or abs(w) > 1e-6), min_size=1)


def error(values: np.ndarray, bits: int, exponent: int) -> float:
    """Largest rounding or saturation error, in last bits."""
    dtype = FixedPoint(True, bits, bits - 1 - exponent)
    return float(np.abs(to_float(quantize(values, dtype), dtype.fraction) - values).max() / dtype.lsb)


@given(weights, st.integers(2, 12))
def test_fitting_exponent_is_the_smallest_that_does_not_saturate(values: list[float], bits: int) -> None:
    x = np.array(values)
    e = fitting_exponent(x, bits)
    assert error(x, bits, e) <= 0.5
    if x.any():
        assert error(x, bits, e - 1) > 0.5


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200), st.floats(0.51, 1.0))
def test_covering_exponent_holds_the_fraction_and_no_smaller_one_does(
    values: list[float], coverage: float
) -> None:
    x = np.array(values)
    e = covering_exponent(exponent_counts(x), coverage)
    assert np.mean(np.abs(x) < 2.0**e) >= coverage - 1e-12 or e == 40
    if e > -39:
        assert np.mean(np.abs(x) < 2.0 ** (e - 1)) < coverage


def test_activations_of_a_model() -> None:
    counts = tf_keras.Input((1, 1, 1), name="counts")
    x = tf_keras.layers.ReLU(name="relu")(counts)
    model = tf_keras.Model(counts, tf_keras.layers.Flatten(name="flat")(x))
    # 998 of 1000 positive values are below 4, 999 below 8
    values = np.full(1000, 3.0, dtype=np.float32)
    values[:2] = 5.0, 100.0
    images = values.reshape(-1, 1, 1, 1)
    found = activation_exponents(model, ["relu", "flat"], images, {"flat": 0.25}, 0.999)
    assert found == {"relu": 3, "flat": 1}
    assert activation_exponents(model, ["relu"], images, {}, 1.0) == {"relu": 7}


def test_no_events_and_broken_models_are_errors() -> None:
    counts = tf_keras.Input((1, 1, 1), name="counts")
    model = tf_keras.Model(counts, tf_keras.layers.ReLU(name="relu")(counts))
    with pytest.raises(InputError, match="there are none"):
        activation_exponents(model, ["relu"], np.zeros((0, 1, 1, 1), np.float32), {}, 0.9)
    with pytest.raises(InputError, match="layer relu"):
        activation_exponents(model, ["relu"], np.full((1, 1, 1, 1), np.inf, np.float32), {}, 0.9)
