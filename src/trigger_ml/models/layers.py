"""The kinds of Keras layers that models are made of, by what they do to values."""

from trigger_ml.core.keras_types import Layer

__all__ = [
    "AFFINE", "AVERAGING", "CURVES", "CURVE_LAYERS", "IDENTITY", "LINEAR_PASS", "QUANTIZED", "SCALERS",
    "SELECTING", "SETTINGS", "SUMMING", "is_plain_relu",
]  # fmt: skip

AFFINE = ("Conv2D", "DepthwiseConv2D", "Dense", "Conv1D")
"""Float layers with weights; firmware has their quantized equals (see ``QUANTIZED``)."""
CURVES = (
    "sigmoid", "tanh", "hard_sigmoid", "softplus", "softsign", "swish", "silu", "elu", "selu", "gelu",
    "exponential",
)  # fmt: skip
"""Activations that are no piece of a line: firmware has them as tables, if at all."""
CURVE_LAYERS = ("Activation", "LeakyReLU", "ELU", "ThresholdedReLU")
"""Layers of a function of one number; a ReLU with a limit, a slope or a threshold is one, too."""
QUANTIZED = {kind: f"Q{kind}" for kind in AFFINE}  # fmt: skip
"""QKeras' layer for each float layer with weights."""
SCALERS = ("Rescaling", "Normalization", "BatchNormalization")
"""One factor and one summand for each channel, in inference."""
IDENTITY = ("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization")
"""Change no value in inference."""
AVERAGING = ("AveragePooling2D", "GlobalAveragePooling2D", "AveragePooling1D", "GlobalAveragePooling1D")
SUMMING = (*AFFINE, "Add", "Multiply", *AVERAGING)
"""Their exact result needs more bits than their input, so that a quantizer may follow."""
LINEAR_PASS = (*IDENTITY, *AVERAGING)
"""A factor and a summand of each channel may pass them unchanged."""
SELECTING = (
    "MaxPooling2D", "MaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling1D", "Flatten", "Reshape",
    "Permute", "ZeroPadding2D", "ZeroPadding1D", "Concatenate",
)  # fmt: skip
"""Their result holds values of their inputs, and zeros."""

# settings that define a layer's function; whatever else its configuration holds concerns training
SETTINGS: dict[str, tuple[str, ...]] = {
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "use_bias"),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "use_bias"),
    "Dense": ("units", "use_bias"),
    "BatchNormalization": ("axis", "epsilon", "center", "scale"),
    "Rescaling": (),
    "Normalization": (),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Activation": (),
    "Softmax": ("axis",),
    "Add": (),
    "Multiply": (),
    "Concatenate": ("axis",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "GlobalAveragePooling2D": ("keepdims",),
    "GlobalMaxPooling2D": ("keepdims",),
    "Reshape": ("target_shape",),
    "Permute": ("dims",),
    "ELU": ("alpha",),
    "Conv1D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "use_bias"),
    "SeparableConv2D": (
        "filters", "kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "use_bias",
    ),
    "MaxPooling1D": ("pool_size", "strides", "padding"),
    "AveragePooling1D": ("pool_size", "strides", "padding"),
    "GlobalAveragePooling1D": ("keepdims",),
    "GlobalMaxPooling1D": ("keepdims",),
    "ZeroPadding1D": ("padding",),
    "ZeroPadding2D": ("padding",),
    "Flatten": (),
    "Dropout": ("rate",),
    "SpatialDropout2D": ("rate",),
}  # fmt: skip


def is_plain_relu(layer: Layer) -> bool:
    """Whether a layer is a ReLU without limit, slope and threshold."""
    if type(layer).__name__ != "ReLU":
        return False
    return layer.max_value is None and not layer.negative_slope and not layer.threshold
