"""Model families by name: the project's own, and those of installed packages."""

from trigger_ml.core.config import ModelConfig
from trigger_ml.core.errors import ConfigError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.core.plugins import Registry
from trigger_ml.core.task import Task
from trigger_ml.models import cnn, resnet
from trigger_ml.models.family import Family

__all__ = ["FAMILIES", "KEY", "build_model", "family"]

KEY = "model.family"

FAMILIES = Registry(
    kind="model family",
    group="trigger_ml.families",
    product=Family,
    built_in={
        "cnn": lambda: Family("cnn", cnn.backbone),
        "resnet": lambda: Family("resnet", resnet.backbone),
    },
)


def family(name: str) -> Family:
    """A model family by its name.

    Raises
    ------
    ConfigError
        If no family, or more than one, has this name, or the package that gives it is broken.
    """
    return FAMILIES.get(name, KEY)


def build_model(config: ModelConfig, input_shape: tuple[int, int, int], task: Task, seed: int = 0) -> Model:
    """Float model with random weights.

    Parameters
    ----------
    config : ModelConfig
    input_shape : tuple of int
        (height, width, channels) of the axial grid.
    task : {'type', 'energy', 'direction'}
    seed : int
        Of the initial weights.

    Returns
    -------
    tf_keras.Model
        Functional. The input ``counts`` takes float32 values ``n * 2**-bits``; the output ``head`` is
        linear, shape (events, outputs).

    Raises
    ------
    ConfigError
        If there is no such family, the strides shrink the image to less than one cell, or an even kernel is
        to be hexagonal.
    """
    if config.kernel == "hexagonal" and config.stem_kernel % 2 == 0:
        raise ConfigError("model.stem_kernel", "an even kernel has no hexagonal mask", "Give an odd size")
    tf_keras.utils.set_random_seed(seed)
    counts = tf_keras.Input(input_shape, name="counts")
    chosen = family(config.family)
    output = chosen.head(chosen.backbone(counts, config), config, task)
    # Keras would count the models of a process, and files would tell what was made before
    model = tf_keras.Model(counts, output, name=config.family)
    for layer in model.layers:
        if rule := getattr(layer, "kernel_constraint", None):
            layer.kernel.assign(rule(layer.kernel))
    return model
