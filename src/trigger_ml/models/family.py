"""A family of models: a backbone and a head, apart; and backbones that were trained elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trigger_ml.core.config import ModelConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras_types import Tensor
from trigger_ml.core.task import Task
from trigger_ml.models.graph import fresh, steps
from trigger_ml.models.heads import add_head

__all__ = ["Family", "trained_backbone"]


@dataclass(frozen=True)
class Family:
    """What `trigger_ml.models.registry.build_model` makes a model of.

    Parameters
    ----------
    name : str
        By which ``model.family`` asks for it.
    backbone : callable
        From the input tensor (events, height, width, channels) and the configuration to the last feature map.
    head : callable, optional
        From the feature map, the configuration and the task to the outputs; by default pooling, the hidden
        layers of ``head_units`` and a linear dense layer named ``head``.
    """

    name: str
    backbone: Callable[[Tensor, ModelConfig], Tensor]
    head: Callable[[Tensor, ModelConfig, Task], Tensor] = add_head


def trained_backbone(
    path: Path, until: str, *, frozen: bool = True, scale: float | tuple[float, ...] = 1.0
) -> Callable[[Tensor, ModelConfig], Tensor]:
    """The first layers of a trained model as the backbone of a family.

    Parameters
    ----------
    path : Path
        As in ``model.weights``: of Keras 2, or CTLearn's.
    until : str
        Name of the last layer that is taken.
    frozen : bool
        Whether its weights stay as they are while the float model is trained. (Compression trains all.)
    scale : float or tuple of float
        By which each channel of our input, values in [0, 1), is multiplied to be in the model's unit.

    Returns
    -------
    callable
        See `Family`.

    Raises
    ------
    MappingError
        When it is called: if the model has no such layer, or takes another input.
    """

    def backbone(counts: Tensor, _: ModelConfig) -> Tensor:
        # a family is known before its file has to be there
        from trigger_ml.models.files import load_model
        from trigger_ml.models.front import fold_front

        model = fold_front(load_model(path), scale)
        if tuple(model.input_shape[1:]) != tuple(counts.shape[1:]):
            why = f"takes images of shape {model.input_shape[1:]}, the events have {tuple(counts.shape[1:])}"
            raise MappingError(str(path), why, "Use events of the model's camera and channels")
        tensors: dict[str, Tensor] = {}
        for step in steps(model):
            if step.kind == "InputLayer":
                tensors[step.name] = counts
                continue
            sources = [tensors[name] for name in step.inputs]
            layer = fresh(step.layer, trainable=not frozen)
            tensors[step.name] = layer(sources if len(sources) > 1 else sources[0])
            layer.set_weights(step.layer.get_weights())
            if step.name == until:
                return tensors[until]
        names = ", ".join(list(tensors)[-5:])
        raise MappingError(str(path), f"has no layer {until}", f"Name one of its layers, as {names}")

    return backbone
