"""How the learning rate falls, and the rule by which a training ends.

The rate stays where it is until the validation loss has stopped falling, then cools down to zero along a
half cosine. While the rate falls the loss always comes to rest, so a loss that stopped falling says that
training is on its plateau only as long as the rate was full.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from trigger_ml.core.keras2 import tf, tf_keras
from trigger_ml.core.keras_types import Tensor

__all__ = ["CoolDown", "Ending", "Rule", "Verdict"]

type Verdict = Literal["plateau", "epochs", "schedule"]


@dataclass(frozen=True)
class Ending:
    """Which rule ended a training.

    Parameters
    ----------
    by : {'plateau', 'epochs', 'schedule'}
        The validation loss had stopped falling; the epochs ran out before; or the rate fell from the first
        step on, so that nothing can be said of a plateau.
    plateau : bool or None
        Whether the plateau was reached; None where nothing can be said.
    gain : float or None
        Relative fall of the mean validation loss from the last but one window of epochs at full rate to the
        last one; None where there were fewer than two windows.
    tolerance : float
        A smaller gain counts as none.
    window : int
        Epochs whose losses are averaged.
    full_epochs : int
        Epochs at full rate.
    """

    by: Verdict
    plateau: bool | None
    gain: float | None
    tolerance: float
    window: int
    full_epochs: int

    def to_dict(self) -> dict[str, object]:
        """Plain dictionary for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """When the rate begins to fall, and with that when training ends.

    At full rate the mean validation loss of the last ``window`` epochs is compared with that of as many
    before them: the noise of single steps averages out, that of the events is the same in both. If it fell
    by less than ``tolerance`` of itself, training is on its plateau and cools down over ``cooldown`` epochs.
    Where the epochs run out first, it cools down in the last ones of them, without having reached it.

    Parameters
    ----------
    epochs : int
        At most.
    cooldown : int
        Epochs in which the rate falls to zero; as many as ``epochs``: from the first step on.
    window : int
    tolerance : float
    """

    epochs: int
    cooldown: int
    window: int = 1
    tolerance: float = 0.0

    def gain(self, losses: Sequence[float]) -> float | None:
        """Relative fall of the loss between the last two windows; None where there are none."""
        if len(losses) < 2 * self.window:
            return None
        recent = float(np.mean(losses[-self.window :]))
        before = float(np.mean(losses[-2 * self.window : -self.window]))
        return (before - recent) / abs(before) if before else 0.0

    def full_epochs(self, losses: Sequence[float]) -> int | None:
        """Epochs that ran or will run at full rate; None while that is open.

        Parameters
        ----------
        losses : sequence of float
            Validation loss after each epoch so far, those of the cool-down too.
        """
        latest = self.epochs - self.cooldown
        for done in range(2 * self.window, min(len(losses), latest - 1) + 1):
            gain = self.gain(losses[:done])
            if gain is not None and gain < self.tolerance:
                return done
        return latest if len(losses) >= latest else None

    def ends_after(self, losses: Sequence[float]) -> int:
        """Epochs after which training ends, as far as that is known."""
        full = self.full_epochs(losses)
        return self.epochs if full is None else full + self.cooldown

    def ending(self, losses: Sequence[float]) -> Ending:
        """What to say of a training that has ended."""
        full = self.full_epochs(losses)
        assert full is not None
        if full == 0:
            return Ending("schedule", None, None, self.tolerance, self.window, 0)
        gain = self.gain(losses[:full])
        reached = gain is not None and gain < self.tolerance
        by: Verdict = "plateau" if reached else "epochs"
        return Ending(by, reached, gain, self.tolerance, self.window, full)


class CoolDown(tf_keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A rate that is constant up to a step and then falls to zero along a half cosine.

    Parameters
    ----------
    rate : float
    length : int
        Steps of the cool-down.
    start : int
        Step at which it begins; can be set while a compiled step uses it.
    """

    def __init__(self, rate: float, length: int, start: int) -> None:
        super().__init__()
        self.rate, self.length = rate, length
        self.start = tf.Variable(start, dtype=tf.int64, trainable=False)

    def __call__(self, step: Tensor) -> Tensor:
        """Rate of a step, float32."""
        past = tf.cast(tf.cast(step, tf.int64) - self.start, tf.float32) / float(self.length)
        return 0.5 * self.rate * (1.0 + tf.cos(math.pi * tf.clip_by_value(past, 0.0, 1.0)))

    def get_config(self) -> dict[str, object]:
        """Arguments that make an equal one."""
        return {"rate": self.rate, "length": self.length, "start": int(self.start)}
