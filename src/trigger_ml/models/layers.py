"""The kinds of Keras layers that models are made of, by what they do to values."""

__all__ = [
    "AFFINE", "IDENTITY", "LINEAR_PASS", "QUANTIZED", "SCALERS", "SELECTING", "SETTINGS", "SUMMING",
]  # fmt: skip

AFFINE = ("Conv2D", "DepthwiseConv2D", "Dense")
"""Float layers with weights; firmware has their quantized equals (see ``QUANTIZED``)."""
QUANTIZED = {kind: f"Q{kind}" for kind in AFFINE}
"""QKeras' layer for each float layer with weights."""
SCALERS = ("Rescaling", "Normalization", "BatchNormalization")
"""One factor and one summand for each channel, in inference."""
IDENTITY = ("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization")
"""Change no value in inference."""
LINEAR_PASS = (*IDENTITY, "AveragePooling2D", "GlobalAveragePooling2D")
"""A factor and a summand of each channel may pass them unchanged."""
SUMMING = (*AFFINE, "Add", "AveragePooling2D", "GlobalAveragePooling2D")
"""Their exact result needs more bits than their input, so that a quantizer may follow."""
SELECTING = ("MaxPooling2D", "Flatten", "ZeroPadding2D", "Concatenate")
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
    "Concatenate": ("axis",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "GlobalAveragePooling2D": ("keepdims",),
    "ZeroPadding2D": ("padding",),
    "Flatten": (),
    "Dropout": ("rate",),
    "SpatialDropout2D": ("rate",),
}
