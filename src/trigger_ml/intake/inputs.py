"""What a model without events is fed with: its owner's inputs or random ones, on the grid of a type."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import require_file
from trigger_ml.core.fixed_point import FixedPoint, quantize, to_float
from trigger_ml.core.foreign import reading

__all__ = ["Inputs", "fitting_type", "random_inputs", "read_values", "usual_type"]

FloatArray = NDArray[np.float64]

WIDTH = 16
"""Bits of an input whose type nobody said, where fewer do not hold it exactly."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of a model, and the integers that firmware reads for them.

    Parameters
    ----------
    origin : str
        Words for where they come from.
    values : numpy.ndarray of float64, shape (events, ...)
        As the owner has them.
    counts : numpy.ndarray of int64, shape (events, ...)
    dtype : FixedPoint
        Of the counts.
    """

    origin: str
    values: FloatArray
    counts: NDArray[np.int64]
    dtype: FixedPoint

    @classmethod
    def of(cls, origin: str, values: FloatArray, dtype: FixedPoint) -> "Inputs":
        """Inputs rounded to a type, halves to even, and saturated."""
        return cls(origin, values, quantize(values, dtype), dtype)

    @property
    def rounded(self) -> FloatArray:
        """What the firmware takes the inputs for."""
        return to_float(self.counts, self.dtype.fraction)

    @property
    def changed(self) -> tuple[float, float]:
        """Fraction of the numbers that rounding or saturation changed, and by how much at most."""
        difference = np.abs(self.rounded - self.values)
        return float(np.mean(difference > 0)), float(difference.max(initial=0))


def read_values(path: Path, shape: tuple[int, ...]) -> FloatArray:
    """Inputs from a NumPy file: what the model takes, event by event.

    Parameters
    ----------
    path : Path
        ``.npy`` of numbers, shape (events, *shape).
    shape : tuple of int
        Of one input of the model.

    Raises
    ------
    InputError
        If it is no such file, has another shape, or holds what is no number.
    """
    require_file(path)
    with reading(path, "array of numbers (.npy)", "Write it with numpy.save"):
        values = np.load(path, allow_pickle=False)
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
            raise ValueError("it holds no array of numbers")
    if values.shape[1:] != shape or not len(values):
        raise InputError(
            str(path),
            f"has shape {values.shape}, the model takes (events, {', '.join(map(str, shape))})",
            "Give the inputs as the model takes them, one event a row",
        )
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InputError(str(path), f"event {row} holds what is no number", "Leave it out")
    return values


def fitting_type(values: FloatArray) -> FixedPoint:
    """Smallest type of at most 16 bits that holds all values exactly, else 16 bits over their range."""
    low, high = float(values.min()), float(values.max())
    for fraction in range(WIDTH + 1):
        scaled = np.ldexp(values, fraction)
        if np.array_equal(scaled, np.rint(scaled)):
            dtype = FixedPoint.holding(int(np.ldexp(low, fraction)), int(np.ldexp(high, fraction)), fraction)
            if dtype.width <= WIDTH:
                return dtype
            break
    signed = low < 0
    # the exponent of the largest magnitude; a power of two itself saturates by one last bit
    exponent = int(np.frexp(max(abs(low), abs(high), 2.0**-WIDTH))[1])
    return FixedPoint(signed, WIDTH, WIDTH - int(signed) - exponent)


def usual_type(shape: tuple[int, ...]) -> FixedPoint:
    """Type where nothing tells one: values in [0, 1) of a map, ``fixed<16,6>`` for a vector."""
    return FixedPoint(False, 8, 8) if len(shape) == 3 else FixedPoint(True, WIDTH, 10)


def random_inputs(shape: tuple[int, ...], dtype: FixedPoint, count: int, seed: int) -> Inputs:
    """Independent inputs, uniform over the whole range of a type."""
    rng = np.random.default_rng(seed)
    counts: Any = rng.integers(dtype.minimum, dtype.maximum, (count, *shape), endpoint=True)
    values = to_float(counts, dtype.fraction)
    return Inputs(f"{count} random ones over the whole range of {dtype}", values, counts, dtype)
