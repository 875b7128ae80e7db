"""Adam whose steps are measured in the range of each quantized weight."""

from typing import Any

from trigger_ml.core.keras2 import tf, tf_keras

__all__ = ["RangedAdam"]


class RangedAdam(tf_keras.optimizers.Adam):  # type: ignore[misc]
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) with steps relative to a weight's range.

    Adam moves every weight by about the learning rate, however large the weight is. Folded into a
    convolution that reads small counts, normalization leaves weights a hundred times larger than those of
    other layers: they would hardly move. The step of a weight kept in ``[-r, r)`` by a
    :class:`~trigger_ml.models.constraints.KernelRule` is therefore multiplied by ``r``, the ``step`` of its
    constraint; variables whose constraint names none move as usual.
    """

    def update_step(self, gradient: Any, variable: Any) -> None:
        """Move one variable."""
        step = getattr(getattr(variable, "constraint", None), "step", None)
        if step is None:
            super().update_step(gradient, variable)
            return
        before = tf.identity(variable)
        super().update_step(gradient, variable)
        variable.assign(before + step * (variable - before))
