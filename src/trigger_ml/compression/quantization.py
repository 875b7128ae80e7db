"""The quantized twin: a QKeras model whose every tensor is fixed-point.

What the twin promises, so that firmware can be read off it:

- weights and biases go through ``quantized_bits(..., alpha=1)``; QKeras has no negative integer bits,
  so weights that all lie below 1/2 get a wider type and a constraint that keeps them to the width asked;
- what follows a ReLU goes through ``quantized_relu`` (unsigned), other tensors through
  ``quantized_bits(..., alpha=1)``; both round halves to even and saturate; the input's own quantizer
  changes no value;
- sums and products (convolution, dense, add, multiply, average) stay exact until such a quantizer; the output
  is not quantized;
- a function of one number, as a sigmoid, reads a quantized number and is quantized itself: a table has what
  is between;
- a global average that dense layers read is taken over an area padded with zeros to powers of two, so that
  its division is a shift; the factor that the padding costs is folded into their kernels. Other averages are
  as they are, and quantized.

A quantizer that is not a ReLU of the float model is named after the layer it follows: ``<layer>_q``.
"""

import difflib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import qkeras
from numpy.typing import NDArray
from qkeras import QActivation

from trigger_ml.compression.calibration import activation_exponents, fitting_exponent
from trigger_ml.core.config import BitsConfig, QuantizationConfig
from trigger_ml.core.errors import ConfigError, MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Model
from trigger_ml.models.constraints import KernelRule
from trigger_ml.models.graph import Step, consumers, fresh, rebuild, steps
from trigger_ml.models.layers import AVERAGING, CURVE_LAYERS, QUANTIZED, SELECTING, SUMMING, is_plain_relu
from trigger_ml.models.quantized import quantized_weights
from trigger_ml.models.quantizers import quantizer_of

__all__ = ["QUANTIZED_LAYERS", "quantized_twin", "snap_weights"]

# bits behind the point of a curve's exact value: more than any quantizer keeps
_CURVE_FRACTION = 64
# settings of a layer with weights that its quantized equal has, too
_KEPT = (
    "filters", "units", "kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "name",
)  # fmt: skip
# bits of what a curve reads, at least: of a table of 256 entries
_CURVE_BITS = 8
QUANTIZED_LAYERS = {kind: getattr(qkeras, name) for kind, name in QUANTIZED.items()}


@dataclass
class _Plan:
    """What is known about each tensor of the float model, by the name of the layer it leaves."""

    quantized: dict[str, bool] = field(default_factory=dict)  # layer -> its output is quantized, signed?
    nonnegative: set[str] = field(default_factory=set)
    factors: dict[str, float] = field(default_factory=dict)  # value in the twin / value in the float model
    exponents: dict[str, int] = field(default_factory=dict)
    fractions: dict[str, int] = field(default_factory=dict)  # fraction bits in the twin
    fronts: set[str] = field(default_factory=set)  # a factor and a summand of the input
    curved: set[str] = field(default_factory=set)  # read by a function of one number


def quantized_twin(
    model: Model, config: QuantizationConfig, input_type: FixedPoint, calibration: NDArray[np.float32]
) -> Model:
    """QKeras model with the topology and the weights of a folded float model.

    Parameters
    ----------
    model : tf_keras.Model
        As :func:`~trigger_ml.compression.fold.fold_batch_norm` leaves it.
    config : QuantizationConfig
    input_type : FixedPoint
        Of the input integers.
    calibration : numpy.ndarray of float32, shape (events, height, width, channels)
        Inputs (values, not integers) from which the ranges of activations follow; not used when
        ``config.calibrate`` is false.

    Returns
    -------
    tf_keras.Model
        Its layers keep the names of the float model's.

    Raises
    ------
    MappingError
        Naming a layer that has no exact fixed-point equivalent.
    ConfigError
        If the configuration names a layer that the model has not.
    """
    _check_names(model, config)
    plan = _plan(model, input_type.signed)
    if config.calibrate:
        plan.exponents = activation_exponents(
            model, list(plan.quantized), calibration, plan.factors, config.coverage
        )
    builder = _Builder(config, input_type, plan)
    twin = rebuild(model, builder.make)
    for layer, weights in builder.made:
        layer.set_weights(weights)
    return twin


def snap_weights(model: Model) -> None:
    """Replace the float weights of a quantized model by the fixed-point values they stand for."""
    for layer in model.layers:
        for weights in quantized_weights(layer):
            weights.variable.assign(weights.quantizer(weights.variable))


def _check_names(model: Model, config: QuantizationConfig) -> None:
    names = [layer.name for layer in model.layers]
    for name in config.layers:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            remedy = f"Did you mean `{near[0]}`?" if near else f"The layers are: {', '.join(names)}"
            raise ConfigError(f"compression.quantization.layers.{name}", "no such layer", remedy)


def _padded(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _plan(model: Model, signed_input: bool) -> _Plan:
    """Decide which outputs are quantized: each sum, unless only ReLUs read it or it leaves the model."""
    plan = _Plan()
    readers = consumers(model)
    for step in steps(model):
        name, inputs = step.name, step.inputs
        if is_plain_relu(step.layer):
            plan.nonnegative.add(name)
            plan.quantized[name] = False
        elif _is_curve(step):
            if _never_negative(step.layer):
                plan.nonnegative.add(name)
            plan.quantized[name] = name not in plan.nonnegative
            plan.curved.update(step.inputs)
        elif step.kind == "InputLayer":
            if not signed_input:
                plan.nonnegative.add(name)
        elif step.kind in SELECTING:
            if plan.nonnegative.issuperset(inputs):
                plan.nonnegative.add(name)
        elif step.kind in SUMMING:
            if step.kind not in QUANTIZED_LAYERS and plan.nonnegative.issuperset(inputs):
                plan.nonnegative.add(name)
            read_by_others = any(not is_plain_relu(reader.layer) for reader in readers[name])
            if read_by_others and name not in model.output_names:
                plan.quantized[name] = name not in plan.nonnegative
        else:
            raise MappingError(
                name,
                f"a {step.kind} layer has no fixed-point equivalent here",
                f"Use layers of {', '.join(['ReLU', *CURVE_LAYERS, *SUMMING, *SELECTING])}",
            )
        _check(step)
        if step.kind == "DepthwiseConv2D" and tuple(step.layer.kernel_size) == (1, 1):
            plan.fronts.update({name} if model.get_layer(inputs[0]) is model.layers[0] else ())
        if step.kind == "GlobalAveragePooling2D" and all(r.kind == "Dense" for r in readers[name]):
            # any other reader gets the average itself, which is then rounded like a function's value
            height, width = step.layer.input_shape[1:3]
            plan.factors[name] = height * width / (_padded(height) * _padded(width))
    return plan


def _check(step: Step) -> None:
    """Refuse settings that firmware could only approximate."""
    layer = step.layer
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise MappingError(step.name, "is not channels_last", "Build the model with channels last")
    if getattr(layer, "groups", 1) != 1:
        raise MappingError(step.name, "is grouped", "Use an ordinary convolution")
    if step.kind.startswith("AveragePooling") and layer.padding == "same":
        size, window, strides = layer.input_shape[1:-1], layer.pool_size, layer.strides
        if any((math.ceil(n / s) - 1) * s + k > n for n, k, s in zip(size, window, strides, strict=True)):
            raise MappingError(
                step.name,
                f"its windows reach beyond the {size} image, and leave out what is there",
                "Use padding `valid`, or fitting strides",
            )


def _is_curve(step: Step) -> bool:
    return step.kind in CURVE_LAYERS or (step.kind == "ReLU" and not is_plain_relu(step.layer))


def _never_negative(layer: Layer) -> bool:
    """Whether a function of one number has no values below zero."""
    return float(np.min(layer(np.linspace(-64, 64, 8193, dtype=np.float32)))) >= 0


class _Builder:
    """Makes the twin's layers one after the other."""

    def __init__(self, config: QuantizationConfig, input_type: FixedPoint, plan: _Plan) -> None:
        self.config = config
        self.input_type = input_type
        self.plan = plan
        self.fractions: dict[str, int] = {}
        self.sources: dict[str, str] = {}
        self.made: list[tuple[Any, list[Any]]] = []

    def bits(self, *names: str) -> BitsConfig:
        """Widths of the first of the names that has its own."""
        return next((self.config.layers[n] for n in names if n in self.config.layers), self.config.default)

    def make(self, step: Step, sources: list[Any]) -> Any:
        """Tensor that replaces the output of a layer."""
        if step.kind == "InputLayer":
            return self._input(step)
        incoming = [self.fractions[name] for name in step.inputs]
        self.fractions[step.name] = sum(incoming) if step.kind == "Multiply" else max(incoming)
        x = sources if len(sources) > 1 else sources[0]
        if step.kind in QUANTIZED_LAYERS:
            x = self._affine(step, x)
        elif step.name in self.plan.factors:
            x = self._global_average(step, x)
        elif is_plain_relu(step.layer):
            return self._quantize(step.name, x, step.name, self.bits(step.name, *step.inputs))
        else:
            x = fresh(step.layer)(x)
            if _is_curve(step) or step.kind in AVERAGING:
                self.fractions[step.name] = self._behind(step)
        if step.name in self.plan.quantized:
            bits = self.bits(step.name)
            if step.kind in AVERAGING and step.name not in self.config.layers:
                bits = bits.model_copy(update={"activations": self.config.pooled_bits})
            elif step.name in self.plan.fronts:
                # none of the counts' bits are lost before the first weights
                bits = self._front(bits)
            elif step.name in self.plan.curved and step.name not in self.config.layers:
                bits = bits.model_copy(update={"activations": max(bits.activations, _CURVE_BITS)})
            x = self._quantize(step.name, x, f"{step.name}_q", bits, pooled="Pool" in step.kind)
        return x

    def _behind(self, step: Step) -> int:
        """Fraction bits of an exact average over a power of two of cells; of others, more than enough."""
        cells = math.prod(getattr(step.layer, "pool_size", (0,)))
        if _is_curve(step) or cells.bit_count() != 1:
            return _CURVE_FRACTION
        return self.fractions[step.name] + cells.bit_length() - 1

    def _front(self, bits: BitsConfig) -> BitsConfig:
        """Widths of a factor and a summand of the counts themselves."""
        counts = self.input_type.width + int(not self.input_type.signed)
        least = {"weights": 10, "bias": 16, "activations": counts}
        return bits.model_copy(update={key: max(getattr(bits, key), n) for key, n in least.items()})

    def _input(self, step: Step) -> Any:
        x = tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
        kind = self.input_type
        if kind.width - kind.fraction - int(kind.signed) < 0:
            raise ConfigError("input type", f"{kind} has leading bits that are always zero", "Use fewer bits")
        # hls4ml derives the input's type only from a signed quantizer; it changes no value here
        quantizer = quantizer_of(FixedPoint(True, kind.width + int(not kind.signed), kind.fraction))
        self.fractions[step.name] = kind.fraction
        return QActivation(quantizer, name=f"{step.name}_q")(x)

    def _quantize(self, key: str, x: Any, name: str, bits: BitsConfig, pooled: bool = False) -> Any:
        width = bits.activations
        integer = self.plan.exponents.get(key, bits.activations_integer)
        if integer < 0:
            # QKeras has no negative integer bits; after pooling, where bits are cheap, the last bit stays
            width += -integer if pooled else 0
            integer = 0
        signed = self.plan.quantized[key]
        # an exact sum may have fewer fraction bits than the width asked offers
        width = min(width, max(1, self.fractions[key] + integer) + int(signed))
        self.fractions[key] = width - integer - int(signed)
        return QActivation(quantizer_of(FixedPoint(signed, width, self.fractions[key])), name=name)(x)

    def _global_average(self, step: Step, x: Any) -> Any:
        height, width = step.layer.input_shape[1:3]
        bottom, right = _padded(height) - height, _padded(width) - width
        if bottom or right:
            x = tf_keras.layers.ZeroPadding2D(((0, bottom), (0, right)), name=f"{step.name}_pad")(x)
        self.fractions[step.name] += int(math.log2(_padded(height) * _padded(width)))
        return fresh(step.layer)(x)

    def _affine(self, step: Step, x: Any) -> Any:
        bits = self.bits(step.name)
        if step.name in self.plan.fronts and step.name not in self.config.layers:
            bits = self._front(bits)
        kernel, bias = (np.asarray(w, dtype=np.float64) for w in step.layer.get_weights())
        kernel = kernel / self.plan.factors.get(step.inputs[0], 1.0)
        calibrate = self.config.calibrate
        exponent = fitting_exponent(kernel, bits.weights) if calibrate else bits.weights_integer
        kernel_quantizer, kernel_rule = _signed(bits.weights, exponent)
        fraction = self.fractions[step.name] + bits.weights - 1 - exponent
        # a bit of headroom, since fine-tuning moves biases further than weights
        bias_exponent = fitting_exponent(bias, bits.bias) + 1 if calibrate else bits.bias_integer
        bias_width = bits.bias
        if calibrate:
            bias_width = max(2, 1 + bias_exponent + min(bits.bias - 1 - bias_exponent, fraction))
        bias_quantizer, bias_rule = _signed(bias_width, bias_exponent)
        self.fractions[step.name] = max(fraction, bias_width - 1 - bias_exponent)
        part = "depthwise" if step.kind == "DepthwiseConv2D" else "kernel"
        original = getattr(step.layer, f"{part}_constraint", None)
        rule = KernelRule(isinstance(original, KernelRule) and original.hexagonal, kernel_rule)
        settings = {key: value for key, value in step.layer.get_config().items() if key in _KEPT}
        settings |= {
            f"{part}_quantizer": kernel_quantizer,
            f"{part}_constraint": rule,
            f"{part}_initializer": "zeros",
            "bias_quantizer": bias_quantizer,
            "bias_constraint": KernelRule(limits=bias_rule),
        }
        layer = QUANTIZED_LAYERS[step.kind](**settings)
        # weights may lie in an already pruned or trained model beyond the range asked
        self.made.append((layer, [np.clip(kernel, *kernel_rule), np.clip(bias, *bias_rule)]))
        return layer(x)


def _signed(bits: int, exponent: int) -> tuple[Any, tuple[float, float]]:
    """Quantizer to ``bits`` bits in ``[-2**exponent, 2**exponent)``, and the limits of that range.

    For a negative exponent the type is wider by its constant leading bits; the last bit is the same.
    """
    limits = (-(2.0**exponent), 2.0**exponent - 2.0 ** (exponent - bits + 1))
    return quantizer_of(FixedPoint(True, bits - min(exponent, 0), bits - 1 - exponent)), limits
