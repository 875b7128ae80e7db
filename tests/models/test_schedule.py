"""The rule that ends a training, on losses whose course is known."""

import math

import numpy as np
import pytest

from trigger_ml.core.keras2 import tf
from trigger_ml.models.schedule import CoolDown, Rule

FALLING = [0.9**epoch for epoch in range(40)]


def run(rule: Rule, losses: list[float]) -> int:
    """Epochs that a training with these losses runs: the rule asked before each, as training does."""
    done = 0
    while done < rule.epochs and done < rule.ends_after(losses[:done]):
        done += 1
    return done


def test_a_loss_that_stops_falling_ends_training_after_the_cool_down() -> None:
    losses = FALLING[:10] + [FALLING[9]] * 30
    rule = Rule(epochs=40, cooldown=5, window=3, tolerance=0.01)
    # at 13 epochs all of the last three are level, but those before them are not: (9th + 10th + ...) by hand
    gains = {done: 1 - np.mean(losses[done - 3 : done]) / np.mean(losses[done - 6 : done - 3]) for done in
             range(6, 20)}  # fmt: skip
    expected = min(done for done, gain in gains.items() if gain < 0.01)
    assert expected == 15
    assert run(rule, losses) == expected + 5
    ending = rule.ending(losses[: expected + 5])
    assert (ending.by, ending.plateau, ending.full_epochs) == ("plateau", True, expected)
    assert ending.gain == pytest.approx(gains[expected])


def test_a_loss_that_falls_to_the_end_is_not_on_its_plateau() -> None:
    rule = Rule(epochs=20, cooldown=4, window=3, tolerance=0.01)
    assert run(rule, FALLING) == 20
    assert rule.full_epochs(FALLING[:10]) is None
    ending = rule.ending(FALLING[:20])
    assert (ending.by, ending.plateau, ending.full_epochs) == ("epochs", False, 16)
    assert ending.gain == pytest.approx(1 - 0.9**3)


def test_what_the_loss_does_while_it_cools_down_changes_nothing() -> None:
    rule = Rule(epochs=40, cooldown=10, window=2, tolerance=0.01)
    losses = [1.0] * 4
    assert rule.ends_after(losses) == 14
    assert rule.ends_after([*losses, *FALLING[:9]]) == 14


def test_a_loss_that_rises_is_no_reason_to_go_on() -> None:
    rule = Rule(epochs=40, cooldown=2, window=2, tolerance=0.0)
    assert run(rule, [1.0 + 0.1 * epoch for epoch in range(40)]) == 6


def test_noise_smaller_than_the_tolerance_ends_at_once_and_a_trend_below_it_does_not() -> None:
    """One epoch's loss says nothing: the same trend is seen or not by the window."""
    rng = np.random.default_rng(1)
    noisy = (np.exp(-0.02 * np.arange(40)) + rng.normal(0, 0.02, 40)).tolist()
    early = [run(Rule(40, 4, window, 0.01), noisy) for window in (1, 5)]
    assert early[0] < early[1] == 40


def test_too_few_epochs_for_two_windows_are_no_plateau() -> None:
    ending = Rule(epochs=6, cooldown=2, window=3, tolerance=0.01).ending([1.0] * 6)
    assert (ending.by, ending.plateau, ending.gain) == ("epochs", False, None)


def test_a_rate_that_falls_from_the_first_step_says_nothing_of_a_plateau() -> None:
    rule = Rule(epochs=4, cooldown=4)
    assert run(rule, [1.0] * 4) == 4
    assert rule.full_epochs([]) == 0
    assert (rule.ending([1.0] * 4).by, rule.ending([1.0] * 4).plateau) == ("schedule", None)


def test_the_rate_is_constant_and_then_half_a_cosine() -> None:
    rate = CoolDown(0.5, length=10, start=100)
    compiled = tf.function(lambda step: rate(step))
    assert [float(compiled(tf.constant(step))) for step in (0, 100)] == [0.5, 0.5]
    for step in (103, 110, 150):
        expected = 0.25 * (1 + math.cos(math.pi * min(1.0, (step - 100) / 10)))
        assert float(compiled(tf.constant(step))) == pytest.approx(expected, abs=1e-7)
    # a compiled step sees that the cool-down has begun
    rate.start.assign(0)
    assert float(compiled(tf.constant(5))) == pytest.approx(0.25)
    assert rate.get_config() == {"rate": 0.5, "length": 10, "start": 0}
