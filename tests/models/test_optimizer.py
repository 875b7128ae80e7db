import numpy as np
import pytest

from trigger_ml.core.keras2 import tf, tf_keras
from trigger_ml.models.constraints import KernelRule
from trigger_ml.models.optimizer import RangedAdam


@pytest.mark.parametrize("limit", [0.125, 32.0])
def test_steps_are_multiplied_by_the_range(limit: float) -> None:
    ranged = tf.Variable([0.01, -0.02], constraint=KernelRule(limits=(-limit, limit * 31 / 32)))
    plain = tf.Variable([0.01, -0.02])
    gradient = tf.constant([3.0, -5.0])
    for variable, optimizer in ((ranged, RangedAdam(1e-3)), (plain, tf_keras.optimizers.Adam(1e-3))):
        optimizer.build([variable])
        for _ in range(3):
            optimizer.apply_gradients([(gradient, variable)])
    moved, usual = ranged.numpy() - [0.01, -0.02], plain.numpy() - [0.01, -0.02]
    np.testing.assert_allclose(moved, limit * usual, rtol=1e-3)


def test_weights_stay_in_their_range() -> None:
    variable = tf.Variable([0.4], constraint=KernelRule(limits=(-0.5, 0.484375)))
    optimizer = RangedAdam(1.0)
    optimizer.build([variable])
    optimizer.apply_gradients([(tf.constant([-1.0]), variable)])
    assert float(variable[0]) == 0.484375
