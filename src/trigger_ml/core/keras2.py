"""Keras 2 and TensorFlow, for every module that needs them (see `trigger_ml.core.keras_switch`).

Raises
------
RuntimeError
    On import, if TensorFlow was imported with Keras 3 selected before trigger_ml was.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest import mock


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Hold back what TensorFlow's libraries write to stderr while they load; show it if loading fails.

    No setting silences these lines, since they come before TensorFlow's logging is set up.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


with _quiet_start():
    import tensorflow as tf
    import tf_keras

__all__ = ["hls4ml_sees_keras2", "tf", "tf_keras"]

if not tf.keras.Model.__module__.startswith("tf_keras"):
    raise RuntimeError(
        "tensorflow was imported with Keras 3 before trigger_ml: import trigger_ml first, "
        "or set TF_USE_LEGACY_KERAS=1"
    )

tf.get_logger().setLevel("ERROR")
# QKeras registers its quantizers as constraints: Keras warns of it each time such a layer is copied
warnings.filterwarnings("ignore", r"The `keras.constraints.serialize\(\)` API", UserWarning)


@contextmanager
def hls4ml_sees_keras2() -> Iterator[ModuleType]:
    """Let hls4ml, which branches on ``keras.__version__``, see Keras 2 for the time of a conversion."""
    with mock.patch.dict(sys.modules, {"keras": tf_keras}):
        yield tf_keras
