"""The ways to evaluate a network that are compared with the integer interpreter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config.firmware import HlsConfig
from trigger_ml.core.fixed_point import IntArray, from_grid, to_float
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.csim import Csim
from trigger_ml.firmware.exactness import prove_float32_exact
from trigger_ml.firmware.hls import MANIFEST, HlsProject, write_project
from trigger_ml.firmware.network import Network
from trigger_ml.firmware.onnx import Emulator, changed_constants
from trigger_ml.firmware.qkeras64 import predict_in_float64
from trigger_ml.models.heads import before_squashing, squashing

__all__ = ["Backend", "CsimBackend", "KerasBackend", "OnnxBackend"]


@runtime_checkable
class Backend(Protocol):
    """Something that evaluates the network.

    A backend may also have ``type_of(layer) -> str``, which names the type a layer has in it, and
    ``audit() -> list of (layer, what)``, which compares stored numbers without evaluating anything, and
    ``disturbance``, a mapping that says under which gaps and stalls it ran.
    """

    @property
    def name(self) -> str:
        """Key in ``verification.json``."""

    def run(self, counts: NDArray[Any]) -> Mapping[str, IntArray]:
        """Logits by output name, as integers in units of the network's last bit."""

    def taps(self, counts: NDArray[Any]) -> Mapping[str, IntArray] | None:
        """Outputs of the network's nodes, as far as they can be seen; None if they cannot."""


class KerasBackend:
    """The QKeras model itself, as its owner has it.

    It is evaluated in float32, which is how it was trained, where that holds every sum of the network; where
    it does not, QKeras' own code runs in float64 (see `trigger_ml.firmware.qkeras64`): the model's function
    is what its quantizers say, not what float32 makes of it.

    Parameters
    ----------
    model : tf_keras.Model
        Also one that ends with a softmax or sigmoid: what comes before that is compared, and for two classes
        the difference of their columns.
    network : Network
        Extracted from it.
    batch : int
    gamma_column : int
        Column of a two-class softmax that means gamma.
    """

    name = "qkeras"

    def __init__(self, model: Any, network: Network, *, batch: int = 256, gamma_column: int = 1) -> None:
        self._joins = squashing(model) == "softmax"
        self._model = before_squashing(model)
        self._network = network
        self._batch = batch
        self._gamma_column = gamma_column
        self._single = all(layer.exact for layer in prove_float32_exact(network))

    def _evaluate(self, model: Any, counts: NDArray[Any]) -> list[NDArray[Any]]:
        x = to_float(counts, self._network.input.dtype.fraction)
        if self._single:
            results = model.predict(x.astype(np.float32), batch_size=self._batch, verbose=0)
        else:
            results = predict_in_float64(model, x, self._batch)
        return list(results) if isinstance(results, list) else [results]

    def run(self, counts: NDArray[Any]) -> dict[str, IntArray]:
        """See :class:`Backend`."""
        results = [result.astype(np.float64) for result in self._evaluate(self._model, counts)]
        if self._joins:
            gamma = self._gamma_column
            results = [result[..., [gamma]] - result[..., [1 - gamma]] for result in results]
        network = self._network
        return {
            name: from_grid(result, network.types[name].fraction)
            for name, result in zip(network.outputs, results, strict=True)
        }

    def taps(self, counts: NDArray[Any]) -> dict[str, IntArray]:
        """See :class:`Backend`."""
        present = {layer.name: layer for layer in self._model.layers}
        shapes = self._network.shapes
        # a head whose columns the network has joined is another tensor
        names = [
            node.name
            for node in self._network.nodes
            if node.name in present and tuple(present[node.name].output.shape[1:]) == shapes[node.name]
        ]
        inner = tf_keras.Model(self._model.inputs, [present[name].output for name in names])
        bounds = self._network.bounds
        return {
            name: from_grid(result, bounds[name].fraction)
            for name, result in zip(names, self._evaluate(inner, counts), strict=True)
        }

    def type_of(self, layer: str) -> str:
        """Number format in which Keras computes."""
        return "float32" if self._single else "float64"


class OnnxBackend:
    """The ONNX emulator file.

    Parameters
    ----------
    path : Path
    network : Network, optional
        What the file must hold; without it only results are compared, not every stored weight.
    threads : int
    """

    name = "onnx"

    def __init__(self, path: Path, network: Network | None = None, *, threads: int = 2) -> None:
        self._path = path
        self._network = network
        self.emulator = Emulator(path, threads=threads)

    def run(self, counts: NDArray[Any]) -> dict[str, IntArray]:
        """See :class:`Backend`."""
        return self.emulator.run(counts)

    def taps(self, counts: NDArray[Any]) -> dict[str, IntArray]:
        """See :class:`Backend`."""
        return self.emulator.taps(counts)

    def type_of(self, layer: str) -> str:
        """Number format and unit of a layer's tensor."""
        tap = self.emulator.properties["taps"].get(layer)
        return "float32" if tap is None else f"float32 in units of 2**{tap['places']} last bits"

    def audit(self) -> list[tuple[str, str]]:
        """Constants of the file that differ from what the network prescribes."""
        return [] if self._network is None else changed_constants(self._network, self._path)


class CsimBackend:
    """The C simulation of the hls4ml project.

    Parameters
    ----------
    project : HlsProject
    model, network, config
        What the project was written from; needed only to look into it where it differs, through a second
        project beside the first that records every layer.
    progress : bool
        Show a progress bar on a terminal.
    """

    name = "csim"

    def __init__(
        self,
        project: HlsProject,
        model: Any = None,
        network: Network | None = None,
        config: HlsConfig | None = None,
        *,
        progress: bool = True,
    ) -> None:
        self.project = project
        self._sources = (model, network, config)
        self._progress = progress
        self._csim = Csim(project)

    def run(self, counts: NDArray[Any]) -> dict[str, IntArray]:
        """See :class:`Backend`."""
        return self._csim.run(counts, progress=self._progress)

    def taps(self, counts: NDArray[Any]) -> dict[str, IntArray] | None:
        """See :class:`Backend`; a second project that records every layer is written and compiled for it."""
        model, network, config = self._sources
        if model is None or network is None or config is None:
            return None
        return Csim(self._traced(model, network, config)).taps(counts)

    def _traced(self, model: Any, network: Network, config: HlsConfig) -> HlsProject:
        """The project that records layers, written anew if this one is newer."""
        directory = self.project.directory
        folder = directory.with_name(f"{directory.name}-trace")
        written, own = folder / MANIFEST, directory / MANIFEST
        if written.is_file() and written.stat().st_mtime_ns > own.stat().st_mtime_ns:
            return HlsProject.open(folder)
        return write_project(
            model, network, config, folder, name=self.project.manifest["project"], trace=True
        )

    def type_of(self, layer: str) -> str:
        """Type of the HLS variable that holds a layer's result."""
        for entry in self.project.manifest["layers"]:
            if entry["node"] == layer:
                return f"ap_{entry['type']}"
        return "not a variable of the HLS code"
