"""The model that hls4ml is given: the user's, under names that are legal anywhere, with sums of two.

hls4ml makes C++ identifiers and names of its own from the layers' names, takes ``input`` for its own word,
and adds two tensors at a time. The twin has the same weights, quantizers and values.
"""

import re
from typing import Any

from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.firmware.hls.support import PAIRWISE
from trigger_ml.firmware.names import word
from trigger_ml.models.graph import Step, fresh, rebuild

__all__ = ["project_name", "twin_for_hls4ml"]


def project_name(name: str) -> str:
    """Name of the top function: a C++ identifier that is no word of the language."""
    text = word(name)
    return text if re.fullmatch(r"trigger(_\w+)?", text) else f"trigger_{text}"


def twin_for_hls4ml(model: Model) -> tuple[Any, dict[str, str]]:
    """The model for hls4ml, and its name of each of the model's layers.

    Parameters
    ----------
    model : tf_keras.Model
        QKeras, functional, one input.

    Returns
    -------
    tf_keras.Model
        Layers are called ``n1_stem``, ``n2_stem_q``, ...: the number before the name keeps names apart that
        differ in a character only, also with what hls4ml puts behind them.
    dict of str to str
        By the layer's name in ``model``; for a sum of several, the layer that has the whole sum.
    """
    names: dict[str, str] = {}
    made: list[tuple[Any, Any]] = []
    count = 0

    def new(name: str) -> str:
        nonlocal count
        count += 1
        return f"n{count}_{word(name)}"

    def make(step: Step, sources: list[Any]) -> Any:
        if step.kind == "InputLayer":
            names[step.name] = new(step.name)
            return tf_keras.Input(step.layer.input_shape[0][1:], name=names[step.name])
        while step.kind in PAIRWISE and len(sources) > 2:
            partial = fresh(step.layer, name=new(f"{step.name}_part"))
            sources = [partial(sources[:2]), *sources[2:]]
        names[step.name] = new(step.name)
        # its weights are set below: what would be drawn before does not matter
        drawn = {key: "zeros" for key in step.layer.get_config() if key.endswith("_initializer")}
        layer = fresh(step.layer, name=names[step.name], **drawn)
        result = layer(sources if len(sources) > 1 else sources[0])
        made.append((layer, step.layer))
        return result

    twin = rebuild(model, make)
    for layer, original in made:
        layer.set_weights(original.get_weights())
    return twin, names
