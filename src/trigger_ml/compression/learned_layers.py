"""Layers of a quantized model whose numbers of bits are trained together with its weights."""

from typing import Any, override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.compression.precision import rounded, saturated, signed_digits
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf, tf_keras
from trigger_ml.core.keras_types import Quantizer, Tensor

__all__ = ["LEARNED", "FractionRule", "LearnedActivation", "LearnedWeights"]


class FractionRule(tf_keras.constraints.Constraint):  # type: ignore[misc]
    """Keeps fraction bits within limits, and says how large a step of theirs is.

    Parameters
    ----------
    low, high : float
    step : float
        Steps of the optimizer are multiplied with it (see `trigger_ml.models.optimizer.RangedAdam`).
    """

    def __init__(self, low: float, high: float, step: float) -> None:
        self.low, self.high, self.step = low, high, step

    def __call__(self, w: Tensor) -> Tensor:
        """The nearest allowed numbers."""
        return tf.clip_by_value(w, self.low, self.high)

    def get_config(self) -> dict[str, object]:
        """Arguments of the constructor."""
        return {"low": self.low, "high": self.high, "step": self.step}


class LearnedWeights(tf_keras.layers.Layer):  # type: ignore[misc]
    """What layers with weights share: a number of fraction bits for each weight.

    Parameters
    ----------
    fraction : numpy.ndarray of float32, shape of the kernel
        Fraction bits to begin with.
    alive : numpy.ndarray of float32, same shape
        0 where a weight stays zero.
    rule : FractionRule
    bias_quantizer : QKeras quantizer
        Of the bias, whose type stays.
    learning : bool
        Whether the bits change.
    """

    kernel_name = "kernel"

    def __init__(
        self,
        *,
        fraction: NDArray[np.float32],
        alive: NDArray[np.float32],
        rule: FractionRule,
        bias_quantizer: Quantizer,
        learning: bool,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.start = fraction, alive, rule, learning
        self.bias_quantizer = bias_quantizer

    @override
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        fraction, alive, rule, learning = self.start
        self.fraction = self.add_weight(
            name="fraction", shape=fraction.shape, trainable=learning, constraint=rule,
            initializer=tf_keras.initializers.Constant(fraction),
        )  # fmt: skip
        self.alive = self.add_weight(
            name="alive", shape=alive.shape, trainable=False,
            initializer=tf_keras.initializers.Constant(alive),
        )  # fmt: skip
        self.slope = self.add_weight(name="slope", shape=(), trainable=False, initializer="zeros")

    def quantized(self) -> Tensor:
        """The kernel as firmware has it."""
        return rounded(getattr(self, self.kernel_name) * self.alive, self.fraction)

    def digits(self) -> Tensor:
        """Signed digits of all weights, a scalar; with a gradient to the fraction bits."""
        return tf.reduce_sum(signed_digits(self.quantized(), self.fraction))

    def multiplied(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The layer's sums without the bias."""
        raise NotImplementedError

    @override
    def call(self, inputs: Tensor) -> Tensor:
        return tf.nn.bias_add(self.multiplied(inputs, self.quantized()), self.bias_quantizer(self.bias))


class LearnedConv2D(LearnedWeights, tf_keras.layers.Conv2D):  # type: ignore[misc]
    """A convolution."""

    @override
    def multiplied(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return self.convolution_op(inputs, kernel)


class LearnedConv1D(LearnedWeights, tf_keras.layers.Conv1D):  # type: ignore[misc]
    """A convolution along one axis."""

    @override
    def multiplied(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return self.convolution_op(inputs, kernel)


class LearnedDense(LearnedWeights, tf_keras.layers.Dense):  # type: ignore[misc]
    """A dense layer."""

    @override
    def multiplied(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return tf.matmul(inputs, kernel)


class LearnedDepthwiseConv2D(LearnedWeights, tf_keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """A convolution of each channel by itself."""

    kernel_name = "depthwise_kernel"

    @override
    def multiplied(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        strides = (1, *self.strides, 1)
        return tf.nn.depthwise_conv2d(inputs, kernel, strides, self.padding.upper())


LEARNED = {
    "QConv2D": LearnedConv2D,
    "QConv1D": LearnedConv1D,
    "QDense": LearnedDense,
    "QDepthwiseConv2D": LearnedDepthwiseConv2D,
}
"""By the QKeras layer whose place it takes."""


class LearnedActivation(tf_keras.layers.Layer):  # type: ignore[misc]
    """A quantizer whose number of fraction bits is trained; its range stays.

    Parameters
    ----------
    dtype_ : FixedPoint
        To begin with.
    rule : FractionRule
    learning : bool
    """

    def __init__(self, dtype_: FixedPoint, rule: FractionRule, learning: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.fixed, self.rule, self.learning = dtype_, rule, learning
        self.first = float(dtype_.fraction)

    @override
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.fraction = self.add_weight(
            name="fraction", shape=(), trainable=self.learning, constraint=self.rule,
            initializer=tf_keras.initializers.Constant(self.first),
        )  # fmt: skip
        self.slope = self.add_weight(name="slope", shape=(), trainable=False, initializer="zeros")
        super().build(input_shape)

    @property
    def integer(self) -> int:
        """Bits left of the point, without the sign."""
        return self.fixed.width - int(self.fixed.signed) - self.fixed.fraction

    @property
    def type_now(self) -> FixedPoint:
        """Type that the fraction bits now give."""
        fraction = int(np.rint(float(self.fraction.numpy())))
        return FixedPoint(self.fixed.signed, fraction + self.integer + int(self.fixed.signed), fraction)

    @override
    def call(self, inputs: Tensor) -> Tensor:
        return saturated(inputs, self.fraction, self.integer, self.fixed.signed)


def exact_integers(
    values: NDArray[np.float32], fraction: NDArray[np.float32]
) -> tuple[NDArray[np.int64], int]:
    """Weights with bits of their own as integers of one type: on the finest grid that any of them needs.

    Parameters
    ----------
    values : numpy.ndarray of float32
        From :func:`~trigger_ml.compression.precision.rounded`.
    fraction : numpy.ndarray of float32, same shape

    Returns
    -------
    integers : numpy.ndarray of int64
    fraction : int
        Values are ``integers * 2**-fraction``; not all integers are even.
    """
    alive = values != 0
    if not alive.any():
        return np.zeros(values.shape, dtype=np.int64), 0
    finest = int(np.rint(fraction[alive]).max())
    integers = np.rint(np.ldexp(values.astype(np.float64), finest)).astype(np.int64)
    bits = int(np.bitwise_or.reduce(np.abs(integers), axis=None))
    spare = (bits & -bits).bit_length() - 1
    return integers >> spare, finest - spare
