"""Values as the bits of beats, and back."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.rtl.dataflow import Pipeline, Stream
from trigger_ml.firmware.rtl.top import output_fields

__all__ = ["from_beats", "hex_words", "pack", "result_words", "to_beats", "unpack", "words_for"]


def words_for(bits: int) -> int:
    """32-bit words that hold so many bits."""
    return math.ceil(bits / 32)


def pack(values: IntArray, width: int) -> NDArray[np.uint32]:
    """Integers (beats, fields) as little-endian 32-bit words (beats, words), ``width`` bits per field."""
    bits = (values[..., None] >> np.arange(width)) & 1
    flat = bits.reshape(len(values), -1).astype(np.uint8)
    padded = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 32)))
    return np.packbits(padded, axis=1, bitorder="little").view("<u4")


def unpack(words: NDArray[np.uint32], fields: list[tuple[int, int, bool]]) -> IntArray:
    """Fields (low, width, signed) of little-endian words (beats, words) as integers (beats, fields)."""
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), axis=1, bitorder="little")
    columns = []
    for low, width, signed in fields:
        weights = np.int64(1) << np.arange(width, dtype=np.int64)
        if signed:
            weights[-1] = -weights[-1]
        columns.append(bits[:, low : low + width].astype(np.int64) @ weights)
    return np.stack(columns, axis=1)


def to_beats(frames: IntArray, stream: Stream) -> NDArray[np.uint32]:
    """Frames (n, height, width, channels) as the words of their beats (n * beats, words).

    The events of a flat input (n, features) are frames of one pixel.
    """
    frames = frames.reshape(len(frames), stream.height, stream.width, stream.channels)
    missing = stream.row_beats * stream.lanes - stream.width
    padded = np.pad(frames, ((0, 0), (0, 0), (0, missing), (0, 0)))
    return pack(padded.reshape(len(frames) * stream.beats, -1), stream.dtype.width)


def from_beats(words: NDArray[np.uint32], stream: Stream) -> IntArray:
    """Inverse of :func:`to_beats`."""
    width, signed = stream.dtype.width, stream.dtype.signed
    fields = [(i * width, width, signed) for i in range(stream.lanes * stream.channels)]
    values = unpack(words, fields)
    rows = values.reshape(-1, stream.height, stream.row_beats * stream.lanes, stream.channels)
    return rows[:, :, : stream.width]


def result_words(pipeline: Pipeline, outputs: Mapping[str, IntArray]) -> NDArray[np.uint32]:
    """Results (frames, words) as ``m_axis_tdata`` carries them."""
    columns = []
    for name, index, _, size in output_fields(pipeline):
        values = outputs[name].reshape(len(outputs[name]), -1)[:, index]
        columns.append((values[:, None] >> np.arange(size)) & 1)
    bits = np.concatenate(columns, axis=1).astype(np.uint8)
    padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 32)))
    return np.packbits(padded, axis=1, bitorder="little").view("<u4")


def hex_words(words: NDArray[np.uint32], bits: int) -> str:
    """One line per beat, for ``$readmemh``."""
    digits = math.ceil(bits / 4)
    lines = (row.astype("<u4").tobytes() for row in words)
    return "".join(f"{int.from_bytes(line, 'little'):0{digits}x}\n" for line in lines)
