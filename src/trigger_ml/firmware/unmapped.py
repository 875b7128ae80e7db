"""Which layers of a quantized model stand between it and firmware."""

from collections.abc import Mapping

from trigger_ml.core.documents.obstacles import Obstacle
from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras_types import Layer, Model
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.extraction import Extraction, Padded
from trigger_ml.firmware.ir.ops import Input
from trigger_ml.firmware.layers import KERAS
from trigger_ml.models.graph import Step, functional, steps

__all__ = ["obstacles"]

_ANY = FixedPoint(True, 8, 4)
"""Type of what a layer reads where it is judged alone: what it becomes is a matter of shapes and settings."""


def obstacles(model: Model, input_type: FixedPoint) -> tuple[Obstacle, ...]:
    """All layers that have no exact equivalent in the network, where `extract` names the first.

    Parameters
    ----------
    model : tf_keras.Model
        QKeras.
    input_type : FixedPoint
        Of the input integers.

    Returns
    -------
    tuple of Obstacle
        In the order of the model; none for a model that can be extracted.
    """
    try:
        extract(model, input_type=input_type)
    except MappingError as error:
        return _all(model, input_type) or (Obstacle(error.what, "model", error.why, error.remedy),)
    return ()


def _all(model: Model, input_type: FixedPoint) -> tuple[Obstacle, ...]:
    """Layers that have no equivalent, each judged alone."""
    plan = {step.name: step for step in steps(functional(model))}
    found = []
    for step in plan.values():
        try:
            KERAS.add(_alone(step, plan, input_type), step.layer, step.inputs)
        except MappingError as error:
            found.append(Obstacle(step.name, _function(step.layer), error.why, error.remedy))
    return tuple(found)


def _alone(step: Step, plan: Mapping[str, Step], input_type: FixedPoint) -> Extraction:
    """A network that holds nothing but what a layer reads; all that it reads has the shape of the first."""
    if not step.inputs:
        return Extraction(input_type)
    state, first = Extraction(_ANY), plan[step.inputs[0]]
    padded = first.kind == "ZeroPadding2D"
    shape = (first.layer.input_shape if padded else first.layer.output_shape)[1:]
    if first.kind == "InputLayer":
        state, shape = Extraction(input_type), first.layer.input_shape[0][1:]
    state.nodes.append(Input("input", (), state.input_type, tuple(shape)))
    read = Padded("input", first.layer.padding) if padded else Padded("input")
    state.tensors.update(dict.fromkeys(step.inputs, read))
    return state


def _function(layer: Layer) -> str:
    """Kind of a layer, or the curve that it computes."""
    kind = type(layer).__name__
    return str(layer.activation.__name__) if kind == "Activation" else kind
