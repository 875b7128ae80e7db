"""Bits learned together with the weights, steered to a budget of lookup tables.

The quantized twin's layers are replaced by layers with a number of bits for each weight and one for each
quantizer (`trigger_ml.compression.learned_layers`). To the loss is added what the network costs, as a
linear model of the hardware's own prediction about the network of the last epoch: lookup tables per signed
digit of each layer's weights and per bit of each quantizer. How hard the cost presses is steered, step by
step, so that it follows a falling line to the budget and stays there.

What comes of it is an ordinary quantized model: a weight with fewer bits than its layer's type has zeros at
its end, and one with none is zero.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import override

import numpy as np
from numpy.typing import NDArray
from qkeras import QActivation

from trigger_ml.compression.budget import Hardware
from trigger_ml.compression.learned_layers import (
    LEARNED,
    FractionRule,
    LearnedActivation,
    LearnedWeights,
    exact_integers,
)
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf, tf_keras
from trigger_ml.core.keras_types import Layer, Model, Tensor
from trigger_ml.models.constraints import KernelRule
from trigger_ml.models.graph import Step, fresh, rebuild
from trigger_ml.models.quantized import quantized_weights
from trigger_ml.models.quantizers import fixed_point_of, quantizer_of

__all__ = ["Bits", "Budgeted", "Steering", "bits_of", "exported", "learner"]

FINER = 2
"""Bits by which a weight or activation may become finer than in the model that learning starts from."""

START = -3.0
"""Logarithm of the pressure that learning begins with: weak, it grows where the cost lags behind the line."""

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Bits:
    """Numbers of fraction bits.

    Parameters
    ----------
    weights : mapping of str to numpy.ndarray of float32, shape of the kernel
        By layer.
    activations : mapping of str to float
        By quantizer.
    """

    weights: Mapping[str, Array]
    activations: Mapping[str, float]


@dataclass(frozen=True)
class Steering:
    """How the cost is brought to the budget.

    Parameters
    ----------
    lut : int
        Budget.
    steps : int
        In which the line falls from the cost at the start to the aim.
    aim : float
        Part of the budget that the line ends at: single steps scatter about it.
    proportional, integral : float
        Of the controller, whose output is the logarithm of the pressure and whose input that of the cost over
        the line.
    """

    lut: int
    steps: int
    aim: float = 0.98
    proportional: float = 20.0
    integral: float = 0.1


def learner(
    twin: Model,
    *,
    bits: Bits | None = None,
    steering: Steering | None = None,
    rate: float = 1.0,
    kept: Mapping[str, Array] | None = None,
) -> "Budgeted":
    """Model of the same function whose bits can be trained.

    Parameters
    ----------
    twin : tf_keras.Model
        Quantized; not changed.
    bits : Bits, optional
        To begin with; default: those of the twin's types.
    steering : Steering, optional
        Without, the bits stay as they are and only weights are trained.
    rate : float
        Steps of the bits relative to those of the weights.
    kept : mapping of str to numpy.ndarray, optional
        Masks by layer: 0 for weights that stay zero.

    Returns
    -------
    Budgeted
        Its layers are named as the twin's.
    """
    learning = steering is not None
    made: dict[str, Layer] = {}

    def make(step: Step, sources: list[Tensor]) -> Tensor:
        layer = step.layer
        if step.kind == "InputLayer":
            return tf_keras.Input(layer.input_shape[0][1:], name=step.name)
        # the quantizer of the input changes no value
        if step.kind in LEARNED:
            made[step.name] = _weights(layer, bits, rate, learning, kept)
        elif step.kind == "QActivation" and not _follows_input(twin, step):
            made[step.name] = _activation(layer, bits, rate, learning)
        else:
            made[step.name] = fresh(layer)
        return made[step.name](sources if len(sources) > 1 else sources[0])

    plain = rebuild(twin, make)
    for name, layer in made.items():
        if isinstance(layer, LearnedWeights):
            kernel, bias = twin.get_layer(name).get_weights()
            getattr(layer, layer.kernel_name).assign(kernel)
            layer.bias.assign(bias)
        elif weights := twin.get_layer(name).get_weights():
            layer.set_weights(weights)
    return Budgeted(plain.inputs, plain.outputs, steering)


def _follows_input(twin: Model, step: Step) -> bool:
    return type(twin.get_layer(step.inputs[0])).__name__ == "InputLayer"


def _weights(
    layer: Layer, bits: Bits | None, rate: float, learning: bool, kept: Mapping[str, Array] | None
) -> LearnedWeights:
    kernel, bias = quantized_weights(layer)
    dtype = fixed_point_of(kernel.quantizer)
    shape = tuple(kernel.variable.shape)
    rule = kernel.variable.constraint
    # as the quantized twin is made
    assert dtype is not None
    assert isinstance(rule, KernelRule)
    assert rule.limits is not None
    # at the coarsest even the largest weight is at most half a last bit, which rounds to zero
    coarsest = -math.log2(-rule.limits[0]) - 1
    fraction = np.full(shape, dtype.fraction, dtype=np.float32)
    if bits is not None:
        fraction = bits.weights[layer.name]
    alive = np.ones(shape, dtype=np.float32)
    if kept is not None and layer.name in kept:
        alive = np.asarray(kept[layer.name], dtype=np.float32)
    config = layer.get_config()
    keys = ("filters", "units", "kernel_size", "strides", "padding", "name")
    settings = {key: config[key] for key in keys if key in config}
    settings[f"{kernel.role}_constraint"] = rule
    settings["bias_constraint"] = bias.variable.constraint
    return LEARNED[type(layer).__name__](
        fraction=fraction,
        alive=alive,
        rule=FractionRule(coarsest, dtype.fraction + FINER, rate),
        bias_quantizer=bias.quantizer,
        learning=learning,
        **settings,
    )


def _activation(layer: Layer, bits: Bits | None, rate: float, learning: bool) -> LearnedActivation:
    dtype = fixed_point_of(layer.quantizer)
    assert dtype is not None
    integer = dtype.width - int(dtype.signed) - dtype.fraction
    rule = FractionRule(1 - integer, dtype.fraction + FINER, rate)
    made = LearnedActivation(dtype, rule, learning, name=layer.name)
    if bits is not None:
        made.first = bits.activations[layer.name]
    return made


def bits_of(model: Model) -> Bits:
    """The numbers of bits of a model that learns them."""
    return Bits(
        {layer.name: layer.fraction.numpy() for layer in model.layers if isinstance(layer, LearnedWeights)},
        {
            layer.name: float(layer.fraction.numpy())
            for layer in model.layers
            if isinstance(layer, LearnedActivation)
        },
    )


def exported(model: Model, twin: Model) -> Model:
    """The quantized model that a model with learned bits stands for: the same function, number for number.

    Parameters
    ----------
    model : Budgeted
    twin : tf_keras.Model
        From which it was made.

    Returns
    -------
    tf_keras.Model
        QKeras; each layer's weights lie on the coarsest grid that holds them all.
    """
    made: list[tuple[Layer, list[NDArray[np.float32]]]] = []

    def make(step: Step, sources: list[Tensor]) -> Tensor:
        x = sources if len(sources) > 1 else (sources[0] if sources else None)
        if step.kind == "InputLayer":
            return tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
        learned = model.get_layer(step.name)
        if isinstance(learned, LearnedActivation):
            return QActivation(quantizer_of(learned.type_now), name=step.name)(x)
        if not isinstance(learned, LearnedWeights):
            layer = fresh(step.layer)
            made.append((layer, learned.get_weights()))
            return layer(x)
        values = learned.quantized().numpy()
        dtype = _holding(*exact_integers(values, learned.fraction.numpy()))
        layer = _requantized(step.layer, dtype)
        made.append((layer, [values, learned.bias.numpy()]))
        return layer(x)

    result = rebuild(twin, make)
    for layer, weights in made:
        layer.set_weights(weights)
    return result


def _holding(integers: NDArray[np.int64], fraction: int) -> FixedPoint:
    """Signed type of the integers, without negative integer bits, of which QKeras has none."""
    width = FixedPoint.holding(min(-1, int(integers.min())), int(integers.max()), fraction).width
    return FixedPoint(True, max(2, width, fraction + 1), fraction)


def _requantized(layer: Layer, dtype: FixedPoint) -> Layer:
    """An unbuilt copy of a QKeras layer with another type of its kernel."""
    (kernel, *_) = quantized_weights(layer)
    hexagonal = isinstance(kernel.variable.constraint, KernelRule) and kernel.variable.constraint.hexagonal
    limits = (dtype.minimum * dtype.lsb, dtype.maximum * dtype.lsb)
    return fresh(
        layer,
        **{
            f"{kernel.role}_quantizer": quantizer_of(dtype),
            f"{kernel.role}_constraint": KernelRule(hexagonal, limits),
        },
    )


class Budgeted(tf_keras.Model):  # type: ignore[misc]
    """A model with learned bits, its expected cost, and the pressure that the cost exerts.

    Parameters
    ----------
    inputs, outputs : tensors
    steering : Steering or None
    """

    def __init__(self, inputs: Tensor, outputs: Tensor, steering: Steering | None) -> None:
        super().__init__(inputs=inputs, outputs=outputs)
        self.steering = steering
        self.steered = [
            layer for layer in self.layers if isinstance(layer, (LearnedWeights, LearnedActivation))
        ]

        def state(name: str, value: float) -> Tensor:
            return tf.Variable(value, trainable=False, name=name, dtype=tf.float32)

        # variables, so that an interrupted training goes on from where it was
        self.offset, self.first = state("offset", 0.0), state("first", 0.0)
        self.integrated = state("integrated", START)

    def lut(self) -> Tensor:
        """Lookup tables expected of the network as it is, a scalar with a gradient to the bits."""
        total = tf.identity(self.offset)
        for layer in self.steered:
            amount = (
                layer.digits()
                if isinstance(layer, LearnedWeights)
                else tf.round(layer.fraction) + (layer.fraction - tf.stop_gradient(layer.fraction))
            )
            total += layer.slope * amount
        return total

    def calibrate(self, hardware: Hardware) -> None:
        """Take the costs of the network as it is, and of changes of it."""
        for layer in self.steered:
            known = hardware.per_digit if isinstance(layer, LearnedWeights) else hardware.per_bit
            layer.slope.assign(known.get(layer.name, 0.0))
        self.offset.assign(0.0)
        self.offset.assign(hardware.lut - float(self.lut().numpy()))
        if float(self.first.numpy()) == 0.0:
            self.first.assign(float(hardware.lut))

    def line(self) -> Tensor:
        """Lookup tables that the network should have at this step."""
        assert self.steering is not None
        aim = self.steering.aim * self.steering.lut
        done = tf.cast(self.optimizer.iterations, tf.float32) / float(max(1, self.steering.steps))
        fallen = tf.minimum(done, 1.0)
        first = tf.maximum(self.first, aim)
        return tf.exp((1.0 - fallen) * tf.math.log(first) + fallen * math.log(aim))

    def pressure(self, lut: Tensor) -> Tensor:
        """Factor of the cost over the budget in the loss; moves the controller on."""
        assert self.steering is not None
        error = tf.clip_by_value(tf.math.log(tf.maximum(lut, 1.0) / self.line()), -0.3, 0.3)
        self.integrated.assign(
            tf.clip_by_value(self.integrated + self.steering.integral * error, -12.0, 12.0)
        )
        pushed = self.steering.proportional * error
        # below the line bits may come back, and more than five percent below it they are asked to
        return tf.exp(self.integrated) * tf.where(pushed > 0, tf.exp(pushed), tf.maximum(1 + pushed, -1.0))

    @override
    def train_step(self, data: tuple[Tensor, ...]) -> Tensor:
        if self.steering is None:
            return super().train_step(data)
        x, y = data
        with tf.GradientTape() as tape:
            answers = self(x, training=True)
            task = self.compute_loss(x, y, answers)
            lut = self.lut()
            total = task + tf.stop_gradient(self.pressure(lut)) * lut / float(self.steering.lut)
        self.optimizer.minimize(total, self.trainable_variables, tape=tape)
        return self.compute_metrics(x, y, answers, None)
