"""Post-training quantization with LiteRT: the float model in eight or sixteen bits, without a further epoch.

It is what needs no training and runs on processors: beside it stands what quantization-aware training gains.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config.compression import Scheme
from trigger_ml.core.errors import StageError, ToolMissingError
from trigger_ml.core.fixed_point import input_values
from trigger_ml.core.foreign import reason
from trigger_ml.core.keras2 import tf
from trigger_ml.core.keras_types import Model

__all__ = ["LiteRtModel", "convert"]


def convert(model: Model, scheme: Scheme, events: NDArray[np.float32]) -> bytes:
    """A float model as a LiteRT file.

    Parameters
    ----------
    model : tf_keras.Model
    scheme : {'dynamic', 'float16', 'int8'}
        ``dynamic``: weights of eight bits; ``float16``: weights of sixteen bits; ``int8``: weights and
        activations of eight bits, with ranges of activations that the events show.
    events : numpy.ndarray of float32, shape (events, height, width, channels)
        Inputs of the model that are representative; used by ``int8`` alone.

    Returns
    -------
    bytes
        Whose input and output are float32.

    Raises
    ------
    StageError
        If LiteRT has no operator for one of the layers, or the converter fails otherwise.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif scheme == "int8":

        def representative() -> Iterator[list[NDArray[np.float32]]]:
            for event in events:
                yield [event[np.newaxis]]

        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        # the converter prints what it thinks, and warns that the input's range is not given beside the events
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return bytes(converter.convert())
    except Exception as error:
        # whatever it raises, the other models are judged all the same
        raise StageError(
            f"LiteRT, {scheme}", f"the model is not converted ({reason(error)})", "Leave this scheme out"
        ) from error


class LiteRtModel:
    """A LiteRT file that answers.

    Parameters
    ----------
    content : bytes
        From `convert`.

    Raises
    ------
    ToolMissingError
        If the interpreter is not installed.
    """

    def __init__(self, content: bytes) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ToolMissingError(
                "ai-edge-litert", f"cannot be imported ({error})", "Install it, or leave post_training empty"
            ) from error
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()

    def predict(self, counts: NDArray[np.unsignedinteger[Any]], bits: int, batch: int) -> NDArray[np.float64]:
        """Outputs for counts.

        Parameters
        ----------
        counts : numpy.ndarray of uint8 or uint16, shape (events, height, width, channels)
        bits : int
            The model takes ``counts * 2**-bits``.
        batch : int
            Events at a time.

        Returns
        -------
        numpy.ndarray of float64, shape (events, outputs)
        """
        parts = []
        for start in range(0, len(counts), batch):
            values = input_values(counts[start : start + batch], bits)
            self._interpreter.resize_tensor_input(self._input["index"], values.shape)
            parts.append(self._answer(values))
        return np.concatenate(parts) if parts else np.zeros((0, int(self._output["shape"][-1])))

    def _answer(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        try:
            self._interpreter.allocate_tensors()
            self._interpreter.set_tensor(self._input["index"], values)
            self._interpreter.invoke()
        except RuntimeError as error:
            raise StageError(
                "LiteRT", f"its interpreter cannot run the model ({reason(error)})", "Leave this scheme out"
            ) from error
        return np.asarray(self._interpreter.get_tensor(self._output["index"]), dtype=np.float64)
