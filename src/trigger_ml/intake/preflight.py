"""What stands between a model and its firmware: all of it at once, each with its layer, reason and remedy.

The model goes the way that the verb ``firmware`` takes it, without any work that takes long. A layer that is
refused gets a stand-in, and the model goes again, until nothing is refused any more.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trigger_ml.core.config import HlsConfig, IntakeConfig
from trigger_ml.core.documents.intake import Refusal, Refusals
from trigger_ml.core.errors import MappingError, ToolMissingError, TriggerMLError
from trigger_ml.core.keras_types import Layer, Model
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.extraction import Extraction
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.registry import Registry
from trigger_ml.firmware.layers import KERAS
from trigger_ml.intake.inputs import random_inputs
from trigger_ml.intake.subject import Brought, bring, input_type, quantized
from trigger_ml.models.graph import Step, steps
from trigger_ml.models.standin import with_stand_ins

__all__ = ["Preflight", "plain_layers", "preflight", "refusals_of"]

IMAGES = 2
"""Random inputs from which ranges follow: widths decide on what can be built, not on what there is."""
PASSES = 100
DECISIVE = ("activation", "max_value", "negative_slope", "alpha", "threshold", "axis", "keepdims", "groups")
"""Settings of a layer that are neither its size, nor its name, nor of its training."""


@dataclass(frozen=True, eq=False)
class Preflight:
    """What was found.

    Parameters
    ----------
    brought : Brought
    refusals : tuple of Refusal
        Empty if firmware can be made.
    model : tf_keras.Model or None
        The model as given, flat; None where a network was brought.
    network : Network or None
        Of what can be held, with stand-ins for what cannot; None if nothing is left.
    stand_ins : frozenset of str
        Nodes that stand for other layers.
    lost : tuple of str
        Layers behind one that has not even a stand-in; they were not looked at.
    """

    brought: Brought
    refusals: tuple[Refusal, ...]
    model: Model | None
    network: Network | None
    stand_ins: frozenset[str] = frozenset()
    lost: tuple[str, ...] = ()


def preflight(
    path: Path, config: IntakeConfig, weights: Path | None = None, *, fits: bool = True
) -> Preflight:
    """Go the way to firmware without the work, and gather what is refused.

    Parameters
    ----------
    path : Path
        As of the verb ``firmware``.
    config : IntakeConfig
    weights : Path, optional
    fits : bool
        Ask, too, whether the part is large enough.

    Raises
    ------
    InputError
        If there is no model to be read.
    """
    opening: list[MappingError] = []
    brought = bring(path, weights, opening)
    found = [_refusal(error, brought.given and brought.given.native, "conversion") for error in opening]
    if brought.network is not None:
        return Preflight(brought, tuple(_backends(brought.network, config, fits)), None, brought.network)
    way = _Way(brought, config)
    way.stand_ins.update(refusal.layer for refusal in found)
    network = way.go()
    found += way.found
    if network is not None:
        found += [refusal for refusal in _backends(network, config, fits) if not way.foreign(refusal.layer)]
    told = tuple(dict.fromkeys(found))
    twin = brought.given.twin
    if opening:
        # what led to a layer of Keras 3 alone that has a stand-in went with it
        reached = {layer.name for layer in twin.layers} | {refusal.layer for refusal in told}
        way.lost += [layer.name for layer in plain_layers(brought.given.native) if layer.name not in reached]
    return Preflight(brought, told, twin, network, frozenset(way.stand_ins), tuple(way.lost))


def plain_layers(model: Model) -> Iterator[Layer]:
    """Layers of a model of either Keras, those of models inside it too, without inputs."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from plain_layers(layer)
        elif type(layer).__name__ != "InputLayer":
            yield layer


def refusals_of(path: Path, config: IntakeConfig, weights: Path | None = None) -> Refusals:
    """All that stands between a model and its firmware; see :func:`preflight`."""
    found = preflight(path, config, weights)
    brought = found.brought
    return Refusals(
        str(path), brought.framework, str(input_type(brought, config)), found.refusals, found.lost
    )


def _refusal(error: TriggerMLError, model: Model | None, by: str) -> Refusal:
    """An error with the layer that it names."""
    named = re.match(r"layer (.+?)(?: \((\w+)\))?$", error.what)
    name, kind = (named[1], named[2] or "") if named else (error.what, "")
    kinds = {} if model is None else {layer.name: type(layer).__name__ for layer in plain_layers(model)}
    if not named and name not in kinds:
        return Refusal("", "", by, f"({error.what}) {error.why}", error.remedy)
    return Refusal(name, kind or kinds.get(name, "Layer"), by, error.why, error.remedy)


class _Way:
    """A Keras model on its way to a network."""

    def __init__(self, brought: Brought, config: IntakeConfig) -> None:
        self.brought, self.config = brought, config
        self.dtype = input_type(brought, config)
        self.found: list[Refusal] = []
        self.stand_ins: set[str] = set()
        self.lost: list[str] = []

    def foreign(self, name: str) -> bool:
        """Whether a node is, or was made behind, a stand-in's layer."""
        return any(name == layer or name.startswith((f"{layer}_", f"{layer}/")) for layer in self.stand_ins)

    def go(self) -> Network | None:
        """The network; None where nothing can be held."""
        try:
            model = self.brought.given.model
        except MappingError as error:
            twin = self.brought.given.twin
            last = self._note(error, twin).layer
            model, _ = with_stand_ins(twin, {last})
            self.stand_ins.add(last)
        if self.brought.quantized:
            return self._extracted(model)
        return self._of_float(model)

    def _note(self, error: TriggerMLError, model: Model) -> Refusal:
        refusal = _refusal(error, model, "conversion")
        self.found.append(refusal)
        return refusal

    def _of_float(self, model: Model) -> Network | None:
        """Quantize and extract, with a stand-in for each layer that is refused on the way."""
        current = model
        for _ in range(PASSES):
            try:
                inputs = random_inputs(self.brought.input_shape, self.dtype, IMAGES, 1)
                twin = quantized(current, self.config.quantization, inputs)
                return extract(twin, input_type=self.dtype)
            except MappingError as error:
                refusal = self._note(error, current)
            layers = {step.name: step for step in steps(current)}
            step = layers.get(refusal.layer) or _owner(refusal.layer, layers)
            if step is None:
                return None
            alike = self._alike(step, layers, refusal)
            self.stand_ins.update({step.name, *alike})
            current, lost = with_stand_ins(current, {step.name, *alike})
            self.lost += sorted(lost - {step.name, *alike})
            if current is None:
                return None
        return None

    def _alike(self, step: Step, layers: dict[str, Step], refusal: Refusal) -> list[str]:
        """Layers of the same kind and settings behind the same kind of layers: refused for the same reason.

        A reason with numbers may hold for one size alone.
        """
        reason = refusal.why
        for name in layers:
            reason = reason.replace(name, "")
        if re.search(r"\d", reason.replace("2D", "").replace("1D", "")):
            return []
        pattern = _pattern(step, layers)
        alike = [
            other.name
            for other in layers.values()
            if other.name != step.name and _pattern(other, layers) == pattern
        ]
        self.found += [
            Refusal(name, refusal.kind, refusal.by, refusal.why.replace(step.name, name), refusal.remedy)
            for name in alike
        ]
        return alike

    def _extracted(self, model: Model) -> Network | None:
        """Extract layer by layer; what is refused is passed by, or cuts the model."""
        try:
            return extract(model, input_type=self.dtype)
        except MappingError as error:
            whole = error
        state = Extraction(self.dtype)
        known: set[str] = set()
        for step in steps(model):
            if not known.issuperset(step.inputs):
                self.lost.append(step.name)
                if step.kind not in KERAS.entries:
                    self._taken(step, state, model)
                continue
            if self._taken(step, state, model):
                known.add(step.name)
            elif same := _same_shape(step):
                state.tensors[step.name] = state.tensors[same]
                known.add(step.name)
        if not self.found:
            # nothing of a layer alone, but of all together
            self._note(whole, model)
        read = {name for node in state.nodes for name in node.inputs}
        ends = [node.name for node in state.nodes[1:] if node.name not in read]
        return Network(tuple(state.nodes), tuple(ends)) if ends else None

    def _taken(self, step: Step, state: Extraction, model: Model) -> bool:
        """Whether a layer becomes nodes; its refusal is noted."""
        before = len(state.nodes)
        try:
            KERAS.add(state, step.layer, step.inputs)
        except MappingError as error:
            self._note(error, model)
            self.stand_ins.add(step.name)
            del state.nodes[before:]
            return False
        return True


def _owner(name: str, layers: dict[str, Step]) -> Step | None:
    """The layer that a part of it (``fc_relu``, ``pool_q``) is named after."""
    owners = [step for own, step in layers.items() if name.startswith((f"{own}_", f"{own}/"))]
    return max(owners, key=lambda step: len(step.name), default=None)


def _pattern(step: Step, layers: dict[str, Step]) -> object:
    """What decides, with the kinds of the layers before, whether a layer has an equivalent."""
    config = step.layer.get_config()
    settings = {key: config[key] for key in DECISIVE if key in config}
    before = [(layers[name].kind, layers[name].layer.get_config().get("activation")) for name in step.inputs]
    return step.kind, str(settings), str(before)


def _same_shape(step: Step) -> str | None:
    """A tensor that a layer reads and that has the shape of its result."""
    inputs = step.layer.input_shape
    inputs = inputs if isinstance(inputs, list) else [inputs]
    shapes = dict(zip(step.inputs, inputs, strict=False))
    return next((name for name, shape in shapes.items() if shape == step.layer.output_shape), None)


def _backends(network: Network, config: IntakeConfig, fits: bool) -> Iterator[Refusal]:
    """What the backends refuse of a network."""
    from trigger_ml.firmware.native.generate import TRANSLATIONS
    from trigger_ml.firmware.onnx.nodes import ONNX

    for by, registry in (("ONNX emulator", ONNX), ("C++ emulator", TRANSLATIONS)):
        yield from _entries(network, by, registry)
    if config.firmware.hls is not None:
        yield from _hls(network, config.firmware.hls)
    if config.firmware.rtl is not None:
        yield from _rtl(network, config, fits)


def _hls(network: Network, config: HlsConfig) -> Iterator[Refusal]:
    from trigger_ml.firmware.hls.project import preflight as hls_preflight
    from trigger_ml.firmware.hls.support import HLS, Setting

    some = False
    for node in network.nodes:
        try:
            HLS.of(node)(Setting(network, config), node)
        except MappingError as error:
            some = True
            yield _refusal(error, None, "HLS")
    if not some:
        try:
            # what is asked of the network as a whole, and of the settings
            hls_preflight(network, config)
        except (MappingError, ToolMissingError) as error:
            yield _refusal(error, None, "HLS")


def _entries(network: Network, by: str, registry: Registry[Any]) -> Iterator[Refusal]:
    # an input is given, not computed
    for node in network.nodes[1:]:
        try:
            registry.of(node)
        except MappingError as error:
            yield _refusal(error, None, by)


def _rtl(network: Network, config: IntakeConfig, fits: bool) -> Iterator[Refusal]:
    from trigger_ml.firmware.cost.rtl_project import check_fit
    from trigger_ml.firmware.rtl.plan import refusals

    rtl = config.firmware.rtl
    assert rtl is not None
    some = False
    for error in refusals(network, rtl):
        some = True
        yield _refusal(error, None, f"RTL, {rtl.style}")
    if fits and not some:
        try:
            check_fit(network, rtl)
        except MappingError as error:
            yield _refusal(error, None, f"RTL, {rtl.style}")
