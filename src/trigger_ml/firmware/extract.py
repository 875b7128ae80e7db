"""From a QKeras model to the fixed-point network.

Every layer either has an exact equivalent in the network or is refused with its name, the reason and the
remedy (see :mod:`trigger_ml.firmware.layers`, whose table names the kinds of layers).
"""

from collections.abc import Mapping, Sequence

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.firmware.extraction import Extraction, Padded
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import NO_PADDING
from trigger_ml.firmware.layers import KERAS
from trigger_ml.models.graph import functional, steps
from trigger_ml.models.heads import before_squashing, squashings
from trigger_ml.models.quantizers import refuse

__all__ = ["extract"]


def _check(network: Network, model: Model, tensors: Mapping[str, Padded]) -> None:
    shapes = network.shapes
    for layer in model.layers:
        tensor = tensors[layer.name]
        if tensor.padding != NO_PADDING or type(layer).__name__ == "InputLayer":
            continue
        # axes of one cell come and go: a vector is a map of one position, a series a map of one row
        in_keras, here = ([n for n in s if n != 1] for s in (layer.output_shape[1:], shapes[tensor.name]))
        if in_keras != here:
            raise refuse(
                layer,
                f"gives {tuple(layer.output_shape[1:])} in Keras and {shapes[tensor.name]} as a network",
                "Use the layer's default options",
            )
    try:
        _ = network.bounds
    except OverflowError as error:
        raise MappingError(f"layer {error}", "its exact sum is too wide", "Use fewer bits") from None


def _heads(model: Model, nodes: Sequence[str]) -> dict[str, object]:
    """What is told of outputs that have names of their own, or a softmax or sigmoid that was cut."""
    structure = model.output
    names = sorted(structure) if isinstance(structure, dict) else model.output_names
    kinds = squashings(model)
    if len(names) == 1 and kinds == ["linear"]:
        return {}
    return {
        "outputs": {
            name: {"node": node, "activation": kind}
            for name, node, kind in zip(names, nodes, kinds, strict=True)
        }
    }


def extract(
    model: Model,
    *,
    input_type: FixedPoint,
    outputs: Sequence[str] | None = None,
    metadata: Mapping[str, object] | None = None,
    given: Model | None = None,
) -> Network:
    """Extract the fixed-point network of a QKeras model.

    Parameters
    ----------
    model : tf_keras.Model
        Functional or sequential, of the layers named in the module's description.
    input_type : FixedPoint
        Type of the input integers; the model's float input is ``n * 2**-fraction``.
    outputs : sequence of str, optional
        Names of the layers whose results leave the firmware; default: the model's outputs.
    metadata : mapping, optional
        JSON values stored in the network.
    given : tf_keras.Model, optional
        As its owner has it, where softmax and sigmoid were cut from ``model`` before: the metadata tell of
        its outputs.

    Returns
    -------
    Network
        With one node for each layer, named as the layer. Layers that change no value (an input quantizer
        of the input's own type, dropout) and zero padding have no node.

    Raises
    ------
    MappingError
        Naming the layer that has no exact equivalent, the reason and the remedy.
    """
    if not isinstance(model, tf_keras.Model) or not hasattr(model, "inbound_nodes"):
        raise MappingError(
            f"{type(model).__name__}", "is no Keras 2 model", "Load it with trigger_ml's own functions"
        )
    owner = functional(model if given is None else given)
    model = before_squashing(model)
    inputs = [layer for layer in model.layers if type(layer).__name__ == "InputLayer"]
    if len(inputs) != 1:
        raise MappingError(
            f"model {model.name}", f"has {len(inputs)} inputs", "Only models with one image input are mapped"
        )
    state = Extraction(input_type)
    for step in steps(model):
        KERAS.add(state, step.layer, step.inputs)
    names = outputs if outputs is not None else model.output_names
    if unknown := sorted(set(names) - set(state.tensors)):
        raise MappingError(f"output {unknown[0]}", "is no layer of the model", "Check the name")
    for name in names:
        if state.tensors[name].curves:
            layer = state.tensors[name].curves[-1].layer
            raise refuse(
                layer,
                "leaves the model, and its values are no fixed-point numbers",
                "Put a quantizer behind it, or end at the logit: probabilities are computed off-chip",
            )
    final = tuple(dict.fromkeys(state.tensors[name].name for name in names))
    heads = _heads(owner, [state.tensors[name].name for name in names]) if outputs is None else {}
    network = Network(tuple(state.nodes), final, {**(metadata or {}), **heads})
    _check(network, model, state.tensors)
    return network
