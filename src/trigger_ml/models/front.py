"""What stands before a model's first weights: the unit of its input, and layers that scale or shift it.

Firmware's model takes ``v = counts * 2**-bits``. A model of an owner takes ``x = scale * v + offset``, and
may begin with a Rescaling, a Normalization or a BatchNormalization. All of that is one factor and one summand
for each channel, which go into the first layers with weights: ``w (a v + b) + c = (w a) v + (w b + c)``.
Where it would not be exact (a summand before zeros that a convolution pads with), it is a layer of its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Model, Tensor
from trigger_ml.models.graph import Step, fresh, rebuild, steps
from trigger_ml.models.layers import AFFINE, LINEAR_PASS, SCALERS

__all__ = ["Pending", "absorbed", "fold_front", "scale_and_offset"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pending:
    """What has not been folded yet: the owner's tensor is ``scale * ours + offset``, by channel."""

    scale: FloatArray
    offset: FloatArray

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to fold."""
        return bool(np.all(self.scale == 1) and np.all(self.offset == 0))

    def then(self, scale: FloatArray, offset: FloatArray) -> "Pending":
        """Followed by another factor and summand."""
        return Pending(self.scale * scale, self.offset * scale + offset)

    def repeated(self, times: int) -> "Pending":
        """For a map that was made a vector, channels last."""
        return Pending(np.tile(self.scale, times), np.tile(self.offset, times))


def scale_and_offset(layer: Layer) -> tuple[FloatArray, FloatArray]:
    """Factor and summand of a Rescaling, Normalization or BatchNormalization in inference.

    Parameters
    ----------
    layer : layer of Keras 2 or 3
        Built.

    Returns
    -------
    scale, offset : numpy.ndarray of float64, shape (channels,) or ()

    Raises
    ------
    MappingError
        If it works along another axis than the channels.
    """
    kind = type(layer).__name__
    if kind == "Rescaling":
        return _flat(layer, layer.scale), _flat(layer, layer.offset)
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else (layer.axis,)
    rank = len(layer.input_shape if hasattr(layer, "input_shape") else layer.input.shape)
    if [axis % rank for axis in axes if axis is not None] not in ([], [rank - 1]):
        raise MappingError(
            layer.name, f"normalizes along axes {tuple(axes)}", "Normalize each channel: axis=-1"
        )
    if kind == "Normalization":
        mean, variance = _flat(layer, layer.mean), _flat(layer, layer.variance)
        # Keras' own least divisor
        scale = 1 / np.maximum(np.sqrt(variance), 1e-7)
        if getattr(layer, "invert", False):
            return 1 / scale, mean
        return scale, -mean * scale
    mean, variance = _flat(layer, layer.moving_mean), _flat(layer, layer.moving_variance)
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * _flat(layer, layer.gamma)
    return scale, (_flat(layer, layer.beta) if layer.center else 0.0) - mean * scale


def _flat(layer: Layer, values: ArrayLike | None) -> FloatArray:
    if values is None:
        raise MappingError(layer.name, "has no mean and variance", "Adapt it to its data before saving")
    found = np.asarray(values, dtype=np.float64)
    if found.size != max(found.shape, default=1):
        raise MappingError(
            layer.name, f"scales by values of shape {found.shape}", "Give one value, or one for each channel"
        )
    return found.reshape(-1) if found.size > 1 else found.reshape(())


def fold_front(model: Model, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> Model:
    """Model of ``v`` that equals another model of ``scale * v + offset``, without the layers that only scale.

    Parameters
    ----------
    model : tf_keras.Model
        Functional, float, one input.
    scale, offset : array_like of float, shape () or (channels,)

    Returns
    -------
    tf_keras.Model
        Layers keep their names; ``model`` itself if there is nothing to fold. Where no weights can take the
        factor and the summand, as before zeros that a convolution pads with, they become a depthwise
        convolution of 1 x 1, called ``<layer>_front``.

    Raises
    ------
    MappingError
        Naming the layer that the input's factor or summand cannot be folded into exactly.
    """
    plan = steps(model)
    channels = int(model.input_shape[-1])
    pending: dict[str, Pending | None] = {}
    changed: dict[str, list[FloatArray]] = {}
    gone: set[str] = set()
    stems: dict[str, Pending] = {}
    for step in plan:
        if step.kind == "InputLayer":
            start = (np.broadcast_to(np.asarray(v, dtype=np.float64), (channels,)) for v in (scale, offset))
            pending[step.name] = Pending(*start)
            continue
        sources = [pending[name] for name in step.inputs]
        before = sources[0]
        if before is None or len(sources) > 1:
            _require_none(step, sources)
            pending[step.name] = None
        elif step.kind in SCALERS:
            pending[step.name] = before.then(*scale_and_offset(step.layer))
            gone.add(step.name)
        elif _must_stand(step, before):
            stems[step.name], pending[step.name] = before, None
        elif step.kind in AFFINE:
            if not before.nothing:
                changed[step.name] = absorbed(step, before)
            pending[step.name] = None
        else:
            pending[step.name] = _passed(step, before)
    for name in model.output_names:
        if (left := pending[name]) is not None and not left.nothing:
            raise MappingError(
                name, "leaves the model before any weights", "End the model with a dense layer"
            )
    if not changed and not gone and not stems:
        return model
    return _rebuilt(model, changed, gone, stems)


def _must_stand(step: Step, before: Pending) -> bool:
    """Whether what is pending becomes a layer of its own before ``step``: no weights of a map can take it."""
    if before.nothing or len(step.layer.input_shape) != 4:
        return False
    shifted = bool(np.any(before.offset != 0))
    if step.kind in AFFINE:
        return shifted and step.layer.padding != "valid" and max(step.layer.kernel_size) > 1
    try:
        _passed(step, before)
    except MappingError:
        return True
    return False


def _rebuilt(
    model: Model, changed: dict[str, list[FloatArray]], gone: set[str], stems: dict[str, Pending]
) -> Model:
    made: list[tuple[Layer, list[FloatArray]]] = []

    def make(step: Step, sources: list[Tensor]) -> Tensor:
        if step.kind == "InputLayer":
            return tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
        if step.name in gone:
            return sources[0]
        if stem := stems.get(step.name):
            each = tf_keras.layers.DepthwiseConv2D(1, name=f"{step.name}_front")
            sources = [each(sources[0])]
            made.append((each, [stem.scale.reshape(1, 1, -1, 1), stem.offset]))
        weights = changed.get(step.name)
        with_bias = {} if weights is None else {"use_bias": len(weights) == 2}
        layer = fresh(step.layer, **with_bias)
        result = layer(sources if len(sources) > 1 else sources[0])
        made.append((layer, step.layer.get_weights() if weights is None else weights))
        return result

    folded = rebuild(model, make)
    for layer, weights in made:
        layer.set_weights([np.asarray(w, dtype=np.float32) for w in weights])
    return folded


def _require_none(step: Step, sources: list[Pending | None]) -> None:
    if any(source is not None and not source.nothing for source in sources):
        raise MappingError(
            step.name,
            f"a {step.kind} layer joins the input, before any weights, with something else",
            "Put a convolution or dense layer before it, into which the input's scale can be folded",
        )


def _passed(step: Step, before: Pending) -> Pending | None:
    """What is pending behind a layer without weights; None where the input's region ends."""
    if step.kind in LINEAR_PASS or (step.kind == "Activation" and step.layer.activation.__name__ == "linear"):
        return before
    if step.kind == "Flatten":
        return before.repeated(int(np.prod(step.layer.input_shape[1:-1], dtype=np.int64)))
    if step.kind == "MaxPooling2D" and np.all(before.scale > 0):
        return before
    if step.kind == "ZeroPadding2D" and np.all(before.offset == 0):
        return before
    if before.nothing:
        return None
    raise MappingError(
        step.name,
        f"a {step.kind} layer reads the input, whose factor {_shown(before.scale)} and summand "
        f"{_shown(before.offset)} cannot be moved behind it",
        "Put a convolution or dense layer before it, or let the model take counts (model.input)",
    )


def _shown(values: FloatArray) -> str:
    return ", ".join(f"{value:g}" for value in np.unique(values)[:3])


def absorbed(step: Step, before: Pending) -> list[FloatArray]:
    """Weights of an affine layer with the factor and the summand before it multiplied in.

    Raises
    ------
    MappingError
        If it pads with zeros what the summand shifts.
    """
    layer = step.layer
    kernel, *rest = (np.asarray(w, dtype=np.float64) for w in layer.get_weights())
    shifted = bool(np.any(before.offset != 0))
    if step.kind != "Dense" and shifted and layer.padding != "valid" and max(layer.kernel_size) > 1:
        raise MappingError(
            step.name,
            f"pads with zeros an input shifted by {_shown(before.offset)}, which no weights can repeat",
            "Shift nothing before it (scale alone), or use padding='valid'",
        )
    axis = kernel.ndim - 2
    if kernel.shape[axis] != before.scale.size and np.ptp(before.scale) == np.ptp(before.offset) == 0:
        # a grouped convolution sees a part of the channels, all alike
        before = Pending(before.scale[: kernel.shape[axis]], before.offset[: kernel.shape[axis]])
    elif kernel.shape[axis] != before.scale.size:
        raise MappingError(
            step.name, "is grouped, and the input's channels differ in scale", "Use one convolution for all"
        )
    shift = kernel * before.offset[:, np.newaxis]
    if step.kind == "DepthwiseConv2D":
        # each channel has outputs of its own: a sum over cells alone
        shift = shift.sum(axis=(0, 1)).reshape(-1)
    else:
        shift = shift.reshape(-1, kernel.shape[-1]).sum(axis=0)
    kernel = kernel * before.scale[:, np.newaxis]
    return [kernel, (rest[0] if rest else 0.0) + shift] if rest or shifted else [kernel]
