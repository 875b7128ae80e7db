"""How large the files of a run's models are, each in its own format."""

import gzip
from pathlib import Path

from trigger_ml.core import layout
from trigger_ml.core.documents.sizes import FileSize, Sizes

__all__ = ["file_sizes"]

_WORDS = {
    layout.FLOAT_FOLDER / "checkpoint.npz": "float, as trained (with the optimizer's state)",
    layout.FLOAT_MODEL: "float, Keras",
    layout.FLOAT_ONNX: "float, ONNX",
    layout.COMPRESSED_FOLDER / "fine-tuning" / "checkpoint.npz": "compressed, as trained",
    layout.COMPRESSED_MODEL: "compressed, QKeras",
    layout.EMULATOR: "compressed, ONNX (emulator)",
    layout.NETWORK: "compressed, integers",
    layout.LITERT_FOLDER / "float16.tflite": "LiteRT, float16 weights",
    layout.LITERT_FOLDER / "dynamic.tflite": "LiteRT, 8-bit weights",
    layout.LITERT_FOLDER / "int8.tflite": "LiteRT, 8-bit weights and activations",
}


def file_sizes(run: Path) -> Sizes:
    """Bytes of every model file that a run has, and after gzip.

    Parameters
    ----------
    run : Path
        The run directory.
    """
    words = dict(_WORDS)
    for given in (run / layout.FLOAT_FOLDER).glob("given.*"):
        if given.suffix != ".json":
            words = {given.relative_to(run): "as its owner gave it"} | words
    return Sizes(
        {str(path): _size(run / path, what) for path, what in words.items() if (run / path).exists()}
    )


def _size(path: Path, what: str) -> FileSize:
    content = path.read_bytes()
    # a fixed time stamp keeps the size the same on every run
    return FileSize(what, len(content), len(gzip.compress(content, 9, mtime=0)))
