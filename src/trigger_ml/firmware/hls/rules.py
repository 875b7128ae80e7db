"""Layers that hls4ml's bit-exact precision propagation lacks, added through its own dispatch tables.

hls4ml derives every internal type from two functions for each kind of layer: which types the layer
*produces* from its inputs, and which it *requests* of them. It has none for zero padding, for depthwise
convolutions it falls back on the rule of the full convolution, which has other channels, and it believes
the configured type of an input only in models of another library.
Types are triples of arrays (keep_negative, integer bits without sign, fraction bits), one entry for each
element of a feature map.
"""

import numpy as np
from hls4ml.model.layers import DepthwiseConv2D, Input, ZeroPadding2D
from hls4ml.model.layers import Layer as HlsLayer
from hls4ml.model.optimizer.passes import bit_exact
from hls4ml.utils.qinterval import QIntervalArray
from numpy.typing import NDArray

__all__ = ["TRUST_INPUT", "register"]

TRUST_INPUT = "TrustInput"
"""Key of ``hls_config["Model"]``: the input's configured type is what it will receive."""

_produce_input = bit_exact._produce_kif.dispatch(Input)


def _produce_trusted_input(layer: HlsLayer) -> tuple[NDArray[np.integer], ...]:
    if not layer.model.config.config["HLSConfig"]["Model"].get(TRUST_INPUT, False):
        return tuple(_produce_input(layer))
    dtype = layer.get_output_variable().type.precision
    signed = int(dtype.signed)
    shape = bit_exact.get_output_shape(layer)
    return tuple(np.full(shape, n, np.int16) for n in (signed, dtype.integer - signed, dtype.fractional))


def _produce_padding(layer: HlsLayer) -> tuple[NDArray[np.integer], ...]:
    return tuple(bit_exact.pad_arrs(layer, 0, *bit_exact.get_input_kifs(layer)[0]))


def _request_padding(layer: HlsLayer) -> tuple[tuple[NDArray[np.integer], ...], ...]:
    top, left = layer.attributes["pad_top"], layer.attributes["pad_left"]
    height, width = bit_exact.get_input_shapes(layer)[0][:2]
    inside = (slice(top, top + height), slice(left, left + width))
    return (tuple(values[inside] for values in bit_exact.requested_kif(layer)),)


def _produce_depthwise(layer: HlsLayer) -> tuple[NDArray[np.integer], ...]:
    kernel = layer.attributes["weight"].data
    height, width, channels, multiplier = kernel.shape
    if multiplier != 1:
        raise NotImplementedError(f"{layer.name}: depth multiplier {multiplier}")
    bias = layer.attributes["bias"]
    types = bit_exact.pad_arrs(layer, 0, *bit_exact.get_input_kifs(layer)[0])
    results = []
    for channel in range(channels):
        one = [values[..., channel : channel + 1] for values in types]
        windows = bit_exact.stride_arrs(layer, *bit_exact.im2col((height, width, 1, 1), *one))
        interval = QIntervalArray.from_kif(*windows) @ kernel[:, :, channel].reshape(-1, 1)
        if bias is not None:
            interval = interval + bias.data[channel]
        results.append(interval.to_kif())
    keep, integer, fraction = (np.concatenate(part, axis=-1) for part in zip(*results, strict=True))
    return keep.astype(np.int16), integer, fraction


def register() -> None:
    """Make hls4ml know the rules; calling it again changes nothing."""
    bit_exact._produce_kif.register(Input, _produce_trusted_input)
    bit_exact._produce_kif.register(ZeroPadding2D, _produce_padding)
    bit_exact._request_kif.register(ZeroPadding2D, _request_padding)
    bit_exact._produce_kif.register(DepthwiseConv2D, _produce_depthwise)
