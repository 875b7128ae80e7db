"""The surrogate gradients against their closed forms and finite differences; the digits against a count."""

import numpy as np
import pytest

from trigger_ml.compression.learned_layers import exact_integers
from trigger_ml.compression.precision import SLOPES, power_of_two, rounded, saturated, signed_digits
from trigger_ml.core.fixed_point import FixedPoint, quantize
from trigger_ml.core.keras2 import tf


def naf(number: int) -> int:
    """Non-zero digits in canonical signed form, by the algorithm of Reitwiesner."""
    number, digits = abs(number), 0
    while number:
        if number & 1:
            digits += 1
            number -= 2 - (number & 3)
        number >>= 1
    return digits


def test_powers_of_two_are_exact() -> None:
    exponents = np.arange(-126, 128)
    np.testing.assert_array_equal(
        power_of_two(exponents.astype(np.float32)).numpy(), np.ldexp(1.0, exponents)
    )


@pytest.mark.parametrize("signed", [True, False])
def test_types_are_those_of_the_fixed_point_arithmetic(signed: bool) -> None:
    values = np.random.default_rng(1).normal(0, 3, 500).astype(np.float32)
    values[:8] = [0.5, 1.5, -0.5, 0.25, 100, -100, 0.125, 0.375]
    for fraction in (0, 2, 5):
        dtype = FixedPoint(signed, 2 + fraction + int(signed), fraction)
        ours = saturated(tf.constant(values), tf.constant(float(fraction)), 2, signed).numpy()
        np.testing.assert_array_equal(np.ldexp(ours, fraction), quantize(values, dtype))
        plain = rounded(tf.constant(values), tf.constant(fraction - 0.4)).numpy()
        np.testing.assert_array_equal(plain, np.rint(np.ldexp(values, fraction)) * 2.0**-fraction)


def test_a_bit_less_costs_what_the_gradient_says_in_the_mean() -> None:
    """Against the finite difference of the mean squared error of rounding, over many values."""
    values = tf.constant(np.random.default_rng(1).uniform(-4, 4, 200_000).astype(np.float32))

    def error(fraction: float) -> tuple[float, float]:
        bits = tf.constant(fraction)
        with tf.GradientTape() as tape:
            tape.watch(bits)
            loss = tf.reduce_mean(tf.square(rounded(values, tf.fill(values.shape, bits)) - values))
        return float(loss), float(tape.gradient(loss, bits))

    for fraction in (1.0, 3.0):
        # uniform values: the error is 4**-f / 12, and its derivative -2 ln 2 of that
        loss, slope = error(fraction)
        assert loss == pytest.approx(4.0**-fraction / 12, rel=0.02)
        assert slope == pytest.approx(-2 * np.log(2) * loss, rel=1e-3)
        finite = (error(fraction + 1)[0] - error(fraction - 1)[0]) / 2
        assert slope == pytest.approx(finite, rel=0.5)


def test_gradients_pass_to_values_inside_the_range_only() -> None:
    values, bits = tf.constant([-3.0, -0.3, 0.3, 1.9, 2.0, 5.0]), tf.constant(2.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([values, bits])
        result = saturated(values, bits, 1, signed=True)
        end = saturated(values[5:], bits, 1, signed=True)
    np.testing.assert_array_equal(result.numpy(), [-2.0, -0.25, 0.25, 1.75, 1.75, 1.75])
    np.testing.assert_array_equal(tape.gradient(result, values).numpy(), [0, 1, 1, 0, 0, 0])
    # 2 - 2**-f, differentiated
    assert float(tape.gradient(end, bits)) == pytest.approx(np.log(2) / 4)


def test_digits_are_those_of_the_canonical_signed_form() -> None:
    integers = np.arange(-130, 131)
    fraction = np.full(len(integers), 3.0, dtype=np.float32)
    with tf.GradientTape() as tape:
        bits = tf.constant(fraction)
        tape.watch(bits)
        digits = signed_digits(tf.constant((integers / 8).astype(np.float32)), bits)
    assert digits.numpy().tolist() == [naf(int(n)) for n in integers]
    # the slope is what the mean over magnitudes of so many bits loses with one of them
    mean = [0.0, *(np.mean([naf(n) for n in range(2 ** (b - 1), 2**b)]) for b in range(1, 9))]
    slopes = tape.gradient(digits, bits).numpy()
    assert np.diff(mean)[:4].tolist() == list(SLOPES[1:])
    for number, slope in zip(integers, slopes, strict=True):
        width = abs(int(number)).bit_length()
        assert slope == pytest.approx(mean[width] - mean[width - 1] if width else 0.0, abs=0.05)


def test_weights_share_the_coarsest_grid_that_holds_them() -> None:
    fraction = np.array([[3, 1], [-1, 2]], dtype=np.float32)
    values = np.array([[0.25, 1.5], [4.0, 0.0]], dtype=np.float32)
    integers, finest = exact_integers(values, fraction)
    assert finest == 2
    assert integers.tolist() == [[1, 6], [16, 0]]
    assert exact_integers(np.zeros((2, 2), np.float32), fraction)[0].sum() == 0
