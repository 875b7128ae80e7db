"""Names for what Keras gives and takes; its packages have no types, and importing them takes seconds."""

from typing import Any

__all__ = ["Layer", "Model", "Quantizer", "Tensor"]

type Model = Any
"""``tf_keras.Model``."""
type Layer = Any
"""``tf_keras.layers.Layer``."""
type Tensor = Any
"""A symbolic tensor of a functional model, or one with values."""
type Quantizer = Any
"""A quantizer of QKeras."""
