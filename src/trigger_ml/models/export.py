"""The float model as ONNX: the baseline that any runtime can execute."""

from pathlib import Path
from typing import Any

import onnx
import tf2onnx

from trigger_ml.core.files import write_bytes
from trigger_ml.core.keras2 import tf

__all__ = ["OPSET", "export_onnx"]

OPSET = 17
"""Operator set of the exported file; onnxruntime reads it since 1.12."""


def export_onnx(model: Any, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a float model as ONNX, atomically.

    Parameters
    ----------
    model : tf_keras.Model
        Float; fold its normalization first for the smallest graph.
    path : Path
    metadata : dict of str to str, optional
        Entries for the file's ``metadata_props``.

    Notes
    -----
    The input ``counts`` is float32 (events, height, width, channels), the number of events free; the
    first output is what the model returns.
    """
    name = model.input_names[0]
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=name)]
    proto, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=OPSET)
    for key, value in (metadata or {}).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(proto)
    write_bytes(path, proto.SerializeToString())
