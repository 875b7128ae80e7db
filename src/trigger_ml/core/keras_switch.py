"""The one owner of the Keras switch; imported with the package, before anything can import TensorFlow.

QKeras and tensorflow-model-optimization are written for Keras 2, which TensorFlow hands out as
``tf.keras`` only if ``TF_USE_LEGACY_KERAS`` is set before TensorFlow is imported. CTLearn is Keras 3.
Both can live in one process: ``import keras`` is Keras 3, ``tf_keras`` (and so ``tf.keras``) is Keras 2.
"""

import os

from trigger_ml.core.surroundings import settle_caches

# before any library looks for its cache
settle_caches()

# loaded after TensorFlow, protozfits' library crashes the process: both bring a protobuf of their own
import protozfits  # noqa: E402, F401

__all__ = ["select_keras2"]


def select_keras2() -> None:
    """Select Keras 2 for ``tf.keras``, on the processor, with a quiet start-up; idempotent."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN's kernels would save a third of a training's processor time, but those of TensorFlow 2.21 corrupt
    # the heap while some small networks train: the test of a study ended with "corrupted size vs. prev_size"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
