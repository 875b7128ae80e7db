"""What a kernel must satisfy after every training step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.keras2 import tf, tf_keras

__all__ = ["KernelRule", "hexagonal_mask"]


def hexagonal_mask(height: int, width: int) -> NDArray[np.float32]:
    """Cells of a kernel that lie within the hexagon around its centre on the axial grid.

    On the axial grid the six neighbours of a pixel are at (0, 1), (1, 0), (1, -1) and their opposites,
    so a cell at (row, column) from the centre is ``max(|row|, |column|, |row + column|)`` steps away.

    Parameters
    ----------
    height, width : int
        Kernel size; odd.

    Returns
    -------
    numpy.ndarray of float32, shape (height, width)
        1 inside, 0 outside; all ones for a 1x1 kernel.
    """
    row = np.arange(height)[:, None] - height // 2
    column = np.arange(width)[None, :] - width // 2
    return (np.abs(row + column) <= max(height, width) // 2).astype(np.float32)


@tf_keras.utils.register_keras_serializable("trigger_ml")
class KernelRule(tf_keras.constraints.Constraint):  # type: ignore[misc]
    """Keeps a kernel hexagonal, within the range of its quantizer, or both.

    Parameters
    ----------
    hexagonal : bool
        Set the cells outside the hexagon to zero (convolution kernels only).
    limits : pair of float, optional
        Smallest and largest value that the quantizer represents.
    """

    def __init__(self, hexagonal: bool = False, limits: tuple[float, float] | None = None) -> None:
        self.hexagonal = hexagonal
        self.limits = None if limits is None else (float(limits[0]), float(limits[1]))

    @property
    def step(self) -> float | None:
        """How large the optimizer's steps are to be, relative to others; None without limits."""
        return None if self.limits is None else -self.limits[0]

    def __call__(self, w: Any) -> Any:
        """The nearest allowed kernel."""
        if self.limits is not None:
            w = tf.clip_by_value(w, *self.limits)
        if self.hexagonal:
            w = w * hexagonal_mask(int(w.shape[0]), int(w.shape[1]))[:, :, None, None]
        return w

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {"hexagonal": self.hexagonal, "limits": self.limits}
