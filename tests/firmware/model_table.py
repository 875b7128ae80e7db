"""Models of other people, made from code: architectures, quantizers and heads, all tiny."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from qkeras import (
    QActivation,
    QConv2D,
    QConv2DBatchnorm,
    QDense,
    QDepthwiseConv2D,
    QDepthwiseConv2DBatchnorm,
    binary,
    quantized_bits,
    quantized_po2,
    quantized_relu,
    quantized_relu_po2,
    quantized_sigmoid,
    quantized_tanh,
    stochastic_binary,
    stochastic_ternary,
    ternary,
)

from trigger_ml.core.keras2 import tf_keras

__all__ = [
    "ACTIVATIONS", "ARCHITECTURES", "HEADS", "MODELS", "TABLE", "WEIGHTS", "Case", "all_at_once", "build",
]  # fmt: skip

L = tf_keras.layers

TABLE = "different numbers"
"""Refused where the sums before it take more values than a table may have entries; else exact."""

# kernels; where a word follows, extraction refuses with it
WEIGHTS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "bits": (lambda: quantized_bits(5, 0, alpha=1), None),
    "bits, default": (lambda: quantized_bits(4, 0, 1), None),
    "bits, as text": (lambda: "quantized_bits(4,1)", None),
    "bits, auto_po2": (lambda: quantized_bits(6, 2, alpha="auto_po2"), None),
    "bits, auto_po2, unsigned": (lambda: quantized_bits(4, 0, keep_negative=False, alpha="auto_po2"), None),
    "bits, auto": (lambda: quantized_bits(4, 0, 1, alpha="auto"), "alpha='auto'"),
    "bits, alpha 0.75": (lambda: quantized_bits(4, 0, alpha=0.75), None),
    "bits, alpha 0.3": (lambda: quantized_bits(4, 0, alpha=0.3), "alpha=0.3"),
    "bits, alpha 4": (lambda: quantized_bits(4, 0, alpha=4.0), None),
    "bits, symmetric": (lambda: quantized_bits(4, 0, 1, alpha=1), None),
    "bits, stochastic": (lambda: quantized_bits(4, 0, alpha=1, use_stochastic_rounding=True), None),
    "one bit": (lambda: quantized_bits(1, 0, alpha=1), None),
    "ternary": (ternary, None),
    "ternary, threshold": (lambda: ternary(alpha=0.5, threshold=0.2), None),
    "stochastic ternary": (stochastic_ternary, None),
    "ternary, auto": (lambda: ternary(alpha="auto"), "alpha='auto'"),
    "binary": (binary, None),
    "binary, zero and one": (lambda: binary(use_01=True, alpha=1.0), None),
    "stochastic binary": (stochastic_binary, None),
    "powers of two": (lambda: quantized_po2(4), None),
    "powers of two to 2": (lambda: quantized_po2(4, 2), None),
    "positive powers of two": (lambda: quantized_relu_po2(4, 2), None),
    "none": (lambda: None, "not quantized"),
}
ACTIVATIONS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "relu": (lambda: quantized_relu(5, 2), None),
    "relu, as text": (lambda: "quantized_relu(4,1)", None),
    "relu, leaky": (lambda: quantized_relu(5, 1, negative_slope=0.25), None),
    "relu, bounded": (lambda: quantized_relu(5, 2, relu_upper_bound=1.5, is_quantized_clip=False), None),
    "relu, bounded between steps": (
        lambda: quantized_relu(5, 2, relu_upper_bound=1.3, is_quantized_clip=False),
        "relu_upper_bound",
    ),
    "relu, bounded, leaky": (
        lambda: quantized_relu(6, 2, negative_slope=0.5, relu_upper_bound=1.5, is_quantized_clip=False),
        None,
    ),
    "relu, sigmoid": (lambda: quantized_relu(5, 2, use_sigmoid=1), TABLE),
    "bits": (lambda: quantized_bits(5, 1, alpha=1), None),
    "bits, symmetric": (lambda: quantized_bits(5, 0, 1, alpha=1), None),
    "bits, alpha 2": (lambda: quantized_bits(4, 1, alpha=2.0), None),
    "bits, alpha 0.75, symmetric": (lambda: quantized_bits(4, 1, 1, alpha=0.75), None),
    "bits, alpha 0.3": (lambda: quantized_bits(4, 1, alpha=0.3), "alpha=0.3"),
    "bits, auto_po2": (lambda: quantized_bits(4, 1, alpha="auto_po2"), "each batch"),
    "bits, noise": (lambda: quantized_bits(4, 1, alpha=1, qnoise_factor=0.5), "qnoise_factor"),
    "one bit": (lambda: quantized_bits(1, 0, alpha=1), None),
    "binary, zero and one": (lambda: binary(use_01=True, alpha=1.0), None),
    "stochastic binary": (lambda: stochastic_binary(alpha=0.5), None),
    "ternary": (ternary, None),
    "ternary, threshold": (lambda: ternary(alpha=2.0, threshold=0.75), None),
    "tanh": (lambda: quantized_tanh(5), None),
    "tanh, symmetric": (lambda: quantized_tanh(4, symmetric=True), None),
    "tanh, real": (lambda: quantized_tanh(5, use_real_tanh=True), TABLE),
    "sigmoid": (lambda: quantized_sigmoid(5), None),
    "sigmoid, symmetric": (lambda: quantized_sigmoid(4, symmetric=True), None),
    "powers of two": (lambda: quantized_relu_po2(4, 2), TABLE),
}


def _bias() -> dict[str, Any]:
    return {"bias_quantizer": quantized_bits(6, 1, alpha=1), "bias_initializer": "random_normal"}


def _conv(x: Any, weights: Any, name: str, cls: Any = QConv2D, role: str = "kernel", **options: Any) -> Any:
    return cls(**{f"{role}_quantizer": weights()}, **options, **_bias(), padding="same", name=name)(x)


def _plain(x: Any, weights: Any, activation: Any) -> Any:
    return L.Flatten()(
        QActivation(activation(), name="act")(_conv(x, weights, "conv", filters=3, kernel_size=3))
    )


def _dense(x: Any, weights: Any, activation: Any) -> Any:
    x = QDense(5, kernel_quantizer=weights(), **_bias(), name="hidden")(L.Flatten()(x))
    return QActivation(activation(), name="act")(x)


def _inside(x: Any, weights: Any, activation: Any) -> Any:
    """The activation inside the layer."""
    options = {"kernel_quantizer": weights(), "activation": activation(), **_bias()}
    return QDense(5, name="hidden", **options)(L.Flatten()(x))


def _depthwise(x: Any, weights: Any, activation: Any) -> Any:
    x = _conv(x, weights, "deep", QDepthwiseConv2D, "depthwise", kernel_size=3)
    x = L.MaxPooling2D(2)(QActivation(activation(), name="act")(x))
    return L.Flatten()(x)


def _folded(x: Any, weights: Any, activation: Any) -> Any:
    """Convolutions with a batch normalization of their own."""
    x = _conv(x, weights, "conv", QConv2DBatchnorm, filters=2, kernel_size=2, use_bias=False)
    x = QActivation(activation(), name="act")(x)
    x = _conv(x, weights, "deep", QDepthwiseConv2DBatchnorm, "depthwise", kernel_size=2)
    return L.Flatten()(QActivation(quantized_bits(5, 2, alpha=1), name="act2")(x))


def _residual(x: Any, weights: Any, activation: Any) -> Any:
    first = QActivation(activation(), name="act")(_conv(x, weights, "stem", filters=2, kernel_size=1))
    second = QActivation(quantized_bits(6, 2, alpha=1), name="b_q")(
        _conv(first, weights, "b", filters=2, kernel_size=3)
    )
    x = QActivation(quantized_relu(6, 3), name="sum_q")(L.Add(name="sum")([first, second]))
    return QActivation(quantized_bits(8, 2, alpha=1), name="mean_q")(L.GlobalAveragePooling2D()(x))


def _branches(x: Any, weights: Any, activation: Any) -> Any:
    parts = [
        QActivation(activation(), name=f"act{n}")(_conv(x, weights, f"branch{n}", filters=2, kernel_size=n))
        for n in (1, 3)
    ]
    return L.Flatten()(L.Concatenate(name="join")(parts))


ARCHITECTURES = {
    "dense": _dense,
    "inside": _inside,
    "convolution": _plain,
    "depthwise": _depthwise,
    "folded": _folded,
    "residual": _residual,
    "branches": _branches,
}


def _columns(x: Any, units: int, name: str = "head", **options: Any) -> Any:
    quantizers = {"kernel_quantizer": quantized_bits(5, 0, alpha=1), **_bias()}
    return QDense(units, name=name, **quantizers, **options)(x)


HEADS: dict[str, Callable[[Any], Any]] = {
    "one logit": lambda x: _columns(x, 1),
    "five columns": lambda x: _columns(x, 5),
    "sigmoid": lambda x: L.Activation("sigmoid")(_columns(x, 1)),
    "sigmoid inside": lambda x: _columns(x, 1, activation="sigmoid"),
    "softmax of two": lambda x: L.Softmax()(_columns(x, 2)),
    "softmax of three": lambda x: L.Activation("softmax", name="type")(_columns(x, 3)),
    "softmax of four inside": lambda x: _columns(x, 4, activation="softmax"),
    "type and energy": lambda x: {
        "type": L.Softmax(name="last")(_columns(x, 3)),
        "energy": _columns(x, 1, "energy_head"),
    },
    "three outputs": lambda x: [
        _columns(x, 1, "energy"),
        L.Activation("sigmoid", name="type")(_columns(x, 1, "type_logit")),
        _columns(x, 2, "direction"),
    ],
}


@dataclass(frozen=True)
class Case:
    """A model of the table, by the names of its parts."""

    architecture: str
    weights: str
    activation: str
    head: str

    def __str__(self) -> str:
        return " | ".join((self.architecture, self.weights, self.activation, self.head))

    @property
    def refusal(self) -> str | None:
        """What extraction says of it; None if it must be exact."""
        return WEIGHTS[self.weights][1] or ACTIVATIONS[self.activation][1]


def _table() -> tuple[Case, ...]:
    """Every kernel and every activation in several architectures, every head in each; no model twice."""
    heads, architectures = itertools.cycle(HEADS), list(ARCHITECTURES)
    cases = []
    for number, weights in enumerate(WEIGHTS):
        for step in (0, 2, 5):
            architecture = architectures[(number + step) % len(architectures)]
            cases.append(Case(architecture, weights, "relu", next(heads)))
    for number, activation in enumerate(ACTIVATIONS):
        for step in (0, 1, 3):
            architecture = architectures[(number + step) % len(architectures)]
            cases.append(Case(architecture, "bits, default", activation, next(heads)))
    cases += [Case(a, "bits", "bits", head) for a in architectures for head in HEADS]
    return tuple(dict.fromkeys(cases))


MODELS = _table()


def build(case: Case) -> Any:
    """A model of the table, with random weights and statistics."""
    tf_keras.utils.set_random_seed(1)
    x = tf_keras.Input((4, 4, 2), name="counts")
    features = ARCHITECTURES[case.architecture](x, WEIGHTS[case.weights][0], ACTIVATIONS[case.activation][0])
    model = tf_keras.Model(x, HEADS[case.head](features))
    rng = np.random.default_rng(2)
    for variable in model.non_trainable_weights:
        if "moving" in variable.name:
            low, high = (0.5, 1.5) if "variance" in variable.name else (-0.4, 0.2)
            variable.assign(rng.uniform(low, high, variable.shape))
    return model


def all_at_once(shape: tuple[int, ...]) -> Any:
    """One model with every kernel and activation that has an equivalent, each in a branch of its own."""
    tf_keras.utils.set_random_seed(3)
    x = tf_keras.Input(shape, name="counts")
    sums = {"kernel_quantizer": quantized_bits(6, 2, alpha=1), **_bias()}
    spread = tf_keras.initializers.RandomNormal(0, 1.0, seed=5)

    def layer(name: str, **options: Any) -> Any:
        return QConv2D(3, 2, name=name, **options) if len(shape) == 3 else QDense(4, name=name, **options)

    outputs = [
        layer(f"kernel{n}", **{**sums, "kernel_quantizer": make()})(x)
        for n, (make, refusal) in enumerate(WEIGHTS.values())
        if refusal is None
    ]
    total = layer("sums", kernel_initializer=spread, **sums)(x)
    outputs += [
        QActivation(make(), name=f"activation{n}")(total)
        for n, (make, refusal) in enumerate(ACTIVATIONS.values())
        if refusal is None
    ]
    return tf_keras.Model(x, outputs)
