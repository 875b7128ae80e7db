"""The one owner of the Keras switch.

QKeras and tensorflow-model-optimization are written for Keras 2, which TensorFlow hands out as
``tf.keras`` only if ``TF_USE_LEGACY_KERAS`` is set before TensorFlow is imported. CTLearn is Keras 3.
Both can live in one process: ``import keras`` is Keras 3, ``tf_keras`` (and so ``tf.keras``) is Keras 2.
Every module of trigger_ml that needs Keras 2 asks this module for it and never sets the switch itself.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

__all__ = ["activate", "hls4ml_sees_keras2", "tf", "tf_keras"]


def activate() -> None:
    """Select Keras 2 for ``tf.keras`` and quieten TensorFlow's start-up; idempotent.

    Raises
    ------
    RuntimeError
        If TensorFlow was already imported with Keras 3 selected.
    """
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN may reorder float sums between runs of different thread counts; training should be repeatable
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and not tensorflow.keras.__version__.startswith("2."):
        raise RuntimeError(
            "tensorflow was imported with Keras 3 before trigger_ml: import trigger_ml.core.keras2 first, "
            "or set TF_USE_LEGACY_KERAS=1"
        )


activate()

import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402

tf.get_logger().setLevel("ERROR")


@contextmanager
def hls4ml_sees_keras2() -> Iterator[Any]:
    """Let hls4ml, which branches on ``keras.__version__``, see Keras 2 for the time of a conversion."""
    with mock.patch.dict(sys.modules, {"keras": tf_keras}):
        yield tf_keras
