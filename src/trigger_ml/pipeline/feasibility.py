"""What firmware cannot hold, found on the graph alone: before the first epoch, not after the last."""

import numpy as np

from trigger_ml.core.config import ExperimentConfig, PruningConfig, QuantizationConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import input_values
from trigger_ml.core.keras_types import Model
from trigger_ml.core.task import TASKS, Task

__all__ = ["require_feasible", "require_outputs"]

_IMAGES = 4


def require_feasible(model: Model, config: ExperimentConfig) -> None:
    """Fold, quantize, extract and plan a float model as the later stages will, whatever its weights are.

    Without firmware (``firmware: null``) it is folded and quantized alone.

    Nothing is judged that depends on trained weights, as whether the part is large enough; of a budget only
    what the network takes without any weight.

    Parameters
    ----------
    model : tf_keras.Model
        Float; trained or not.
    config : ExperimentConfig

    Raises
    ------
    MappingError
        Naming the layer that has no equivalent in a configured backend, or outputs that the task has not.
    ConfigError
        If the configuration names layers that the model has not, or a budget that no network of its layers
        meets.
    ToolMissingError
        If a configured backend needs what is not installed.
    """
    from trigger_ml.compression.fold import fold_batch_norm
    from trigger_ml.compression.pruning import prunable
    from trigger_ml.compression.quantization import quantized_twin, snap_weights
    from trigger_ml.compression.split import split_layers
    from trigger_ml.firmware.extract import extract
    from trigger_ml.models.heads import without_squashing
    from trigger_ml.pipeline.price import require_reachable

    plain = split_layers(without_squashing(model))
    recipe, budget = config.compression.recipe, config.compression.budget
    for item in recipe:
        if isinstance(item, PruningConfig):
            prunable(plain, item)
    require_outputs(plain, config.task)
    input_type = config.events.input.dtype
    # any images do: ranges of activations decide on widths, not on what there is
    counts = np.random.default_rng(1).integers(0, input_type.maximum + 1, (_IMAGES, *plain.input_shape[1:]))
    images = input_values(counts, input_type.fraction)
    (quantization,) = (item for item in recipe if isinstance(item, QuantizationConfig))
    twin = quantized_twin(fold_batch_norm(plain), quantization, input_type, images)
    snap_weights(twin)
    firmware = config.firmware
    if firmware is None:
        return
    try:
        network = extract(twin, input_type=input_type)
    except MappingError as error:
        remedy = f"{error.remedy.rstrip('.')}; or judge the model off-line: `firmware: null`"
        raise MappingError(error.what, error.why, remedy) from None
    if firmware.hls is not None:
        from trigger_ml.firmware.hls.project import preflight

        preflight(network, firmware.hls)
    if firmware.rtl is not None:
        from trigger_ml.firmware.rtl.project import outline

        outline(network, firmware.rtl)
        if budget is not None:
            require_reachable(network, budget, firmware.rtl)


def require_outputs(model: Model, task: Task) -> None:
    """Refuse a model without one image as input, or with other outputs than its task has.

    Parameters
    ----------
    model : tf_keras.Model
        With linear outputs.
    task : {'type', 'energy', 'direction'}

    Raises
    ------
    MappingError
    """
    number = len(TASKS[task].outputs)
    if len(model.inputs) != 1 or None in model.input_shape[1:]:
        raise MappingError(f"model {model.name}", "has not one input of a fixed shape", "Use one image input")
    found = [tuple(tensor.shape[1:]) for tensor in model.outputs]
    if found != [(number,)]:
        raise MappingError(
            f"model {model.name}",
            f"its outputs have shape {', '.join(map(str, found))}, task {task} needs {number} value(s)",
            "End it with a dense layer of that size; for a type also a two-class softmax is converted",
        )
