"""The bit-exact emulator: an ONNX file, and the session that runs it fast.

The file is written by :func:`write_emulator` and needs nothing else: its metadata says what the counts
are, and any runtime of plain float32 operators gives the exact logits. :class:`Emulator` is loaded once
and can be used from several threads; several emulators can live in one process.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper
from scipy.special import expit

from trigger_ml.core.errors import InputError
from trigger_ml.core.fixed_point import FixedPoint, IntArray, from_grid
from trigger_ml.core.foreign import reading
from trigger_ml.firmware.ir.exactness import LayerProof, prove_float32_exact
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.onnx.properties import Properties, TapProperties
from trigger_ml.firmware.onnx.writer import EMULATOR_FORMAT, PROPERTY, build_emulator, write_emulator

__all__ = [
    "Emulator",
    "LayerProof",
    "build_emulator",
    "changed_constants",
    "prove_float32_exact",
    "run_batches",
    "session",
    "write_emulator",
]

BATCH = 128


def session(model: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime session with one thread, made for running several batches side by side."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # batches in parallel scale better than the small convolutions of one batch
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_batches(
    loaded: onnxruntime.InferenceSession,
    outputs: Sequence[str],
    values: NDArray[np.number],
    *,
    batch: int = BATCH,
    threads: int = 1,
) -> list[NDArray[np.floating]]:
    """Run a one-input session over all events, in batches on several threads.

    Parameters
    ----------
    loaded : onnxruntime.InferenceSession
    outputs : sequence of str
    values : numpy.ndarray, shape (events, ...)
        At least one event.
    batch : int
        Events in one call; small enough for the caches.
    threads : int

    Returns
    -------
    list of numpy.ndarray, one for each output, shape (events, ...)
    """
    name = loaded.get_inputs()[0].name

    def one(start: int) -> list[NDArray[np.floating]]:
        return list(loaded.run(list(outputs), {name: values[start : start + batch]}))

    starts = range(0, len(values), batch)
    if threads == 1 or len(starts) == 1:
        parts = [one(start) for start in starts]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(one, starts))
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


class Emulator:
    """Runs an emulator file.

    Parameters
    ----------
    model : pathlib.Path or bytes
        File written by :func:`write_emulator`, or its content.
    threads : int
        Batches evaluated side by side.

    Raises
    ------
    InputError
        If the file is missing, is not ONNX or is not one of trigger_ml's emulators.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 2) -> None:
        self._source = str(model) if isinstance(model, Path) else "emulator"
        self._content = self._read(model) if isinstance(model, Path) else model
        self._require_plain()
        try:
            self._session = session(self._content)
        except Exception as error:  # onnxruntime raises several classes of its own for a bad file
            reason = str(error).splitlines()[0][:200]
            raise InputError(
                self._source, f"not a readable ONNX file ({reason})", "Write it again with `trigger-ml build`"
            ) from None
        properties = self._session.get_modelmeta().custom_metadata_map.get(PROPERTY)
        if properties is None:
            raise InputError(
                self._source,
                "an ONNX file, but not one of trigger_ml's emulators",
                "Give the emulator that `trigger-ml build` wrote (onnx/emulator.onnx of a run)",
            )
        with reading(self._source, "emulator", "Write it again with `trigger-ml build`"):
            self.properties: Properties = json.loads(properties)
            if self.properties["format"] > EMULATOR_FORMAT:
                raise InputError(
                    self._source,
                    f"emulator format {self.properties['format']} is newer than {EMULATOR_FORMAT}",
                    "Upgrade trigger_ml",
                )
            self._require_described()
        self.threads = threads
        self._kind = np.dtype(self._session.get_inputs()[0].type.removeprefix("tensor(").removesuffix(")"))
        self._tap_session: onnxruntime.InferenceSession | None = None

    def _require_plain(self) -> None:
        """Refuse a file that is not whole by itself, or whose constants are no numbers.

        Raises
        ------
        InputError
        """
        again = "Write it again with `trigger-ml build`"
        with reading(self._source, "ONNX file", again):
            model = onnx.load_from_string(self._content)
            if any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
                raise InputError(self._source, "holds operators that are not ONNX's own", again)
            for item in model.graph.initializer:
                if item.data_location == onnx.TensorProto.EXTERNAL:
                    raise InputError(self._source, f"constant {item.name} lies in another file", again)
                values = numpy_helper.to_array(item)
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    raise InputError(
                        self._source, f"constant {item.name} holds values that are no numbers", again
                    )

    def _require_described(self) -> None:
        """Compare what the file says of itself with what it has.

        Raises
        ------
        ValueError, KeyError, TypeError, AttributeError
        """
        (entry,) = self._session.get_inputs()
        said = self.properties["input"]
        kind = self.input_type
        whole = (kind.width, kind.fraction, *self.input_shape, *self.fractions.values())
        if type(kind.signed) is not bool or not all(type(number) is int for number in whole):
            raise ValueError("its types and shapes are no numbers")
        if (said["name"], [*said["shape"]]) != (entry.name, [*entry.shape[1:]]):
            raise ValueError("its input is not what it says")
        there = {output.name: [*output.shape[1:]] for output in self._session.get_outputs()}
        outputs = {o["tensor"]: [*o["shape"]] for o in self.properties["outputs"].values()}
        if outputs != there:
            raise ValueError("its outputs are not what it says")
        self.properties["metadata"].keys()

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise InputError(
                str(path), "no such file", "Write it with `trigger-ml build`, or check the path"
            ) from None
        except OSError as error:
            raise InputError(str(path), f"cannot be read ({error.strerror})", "Give an ONNX file") from None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The network's metadata: camera, task, how charge becomes counts."""
        return dict(self.properties["metadata"])

    @property
    def input_type(self) -> FixedPoint:
        """Type of the counts."""
        return FixedPoint(**self.properties["input"]["type"])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one event's counts."""
        return tuple(self.properties["input"]["shape"])

    @property
    def fractions(self) -> dict[str, int]:
        """Fraction bits of each output."""
        return {name: output["fraction"] for name, output in self.properties["outputs"].items()}

    def _counts(self, counts: ArrayLike) -> NDArray[np.integer]:
        x = np.asarray(counts)
        if x.shape[1:] != self.input_shape or x.dtype.kind not in "iu":
            raise InputError(
                "counts",
                f"{x.dtype} of shape {x.shape}, the network takes integers of shape (n, "
                f"{', '.join(map(str, self.input_shape))})",
                "Make them with the input configuration in the network's metadata",
            )
        dtype = self.input_type
        fits = x.dtype.kind == "u" and not dtype.signed and np.iinfo(x.dtype).max <= dtype.maximum
        if not fits and x.size and not dtype.contains(int(x.min()), int(x.max())):
            raise InputError(
                "counts",
                f"span {x.min()} to {x.max()}, outside {dtype}",
                "Saturate them to the input type before",
            )
        return np.ascontiguousarray(x, dtype=self._kind)

    def values(self, counts: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Real values of the outputs.

        Parameters
        ----------
        counts : array_like of int, shape (events, height, width, channels)

        Returns
        -------
        dict of str to numpy.ndarray of float64, shape (events, outputs)

        Raises
        ------
        InputError
            If shape, kind or range of the counts is not the network's.
        """
        x = self._counts(counts)
        outputs = self.properties["outputs"]
        if not len(x):
            return {name: np.zeros((0, *output["shape"])) for name, output in outputs.items()}
        tensors = [output["tensor"] for output in outputs.values()]
        results = run_batches(self._session, tensors, x, threads=self.threads)
        return {name: result.astype(np.float64) for name, result in zip(outputs, results, strict=True)}

    def run(self, counts: ArrayLike) -> dict[str, IntArray]:
        """Outputs as integers, in units of ``2**-fractions[name]``.

        A value that is no multiple of that unit, which only a damaged file gives, becomes
        :data:`~trigger_ml.core.fixed_point.OFF_GRID`.
        """
        values = self.values(counts)
        return {name: from_grid(values[name], fraction) for name, fraction in self.fractions.items()}

    def gammaness(self, counts: ArrayLike) -> NDArray[np.float64]:
        """Probability of gamma, shape (events,): the logistic function of the only logit.

        Raises
        ------
        InputError
            If the network does not end in a single logit.
        """
        outputs = list(self.properties["outputs"].values())
        if len(outputs) != 1 or outputs[0]["shape"] != [1]:
            shapes = {name: output["shape"] for name, output in self.properties["outputs"].items()}
            raise InputError(
                self._source, f"its outputs are {shapes}, not one logit", "Use a network of task `type`"
            )
        (logit,) = self.values(counts).values()
        return np.asarray(expit(logit[:, 0]), dtype=np.float64)

    def taps(self, counts: ArrayLike) -> dict[str, IntArray]:
        """Every node's output as integers, as the interpreter gives them; slow, to find differences."""
        x = self._counts(counts)
        taps = self.properties["taps"]
        tensors = sorted({tap["tensor"] for tap in taps.values()})
        if self._tap_session is None:
            self._tap_session = session(_with_outputs(self._content, tensors))
        results = dict(zip(tensors, run_batches(self._tap_session, tensors, x), strict=True))
        return {name: _tap(results[tap["tensor"]], tap) for name, tap in taps.items()}


def _tap(values: NDArray[np.floating], tap: TapProperties) -> IntArray:
    integers = from_grid(values, tap["places"])
    if tap["flat_map"] is not None:
        height, width, channels = tap["flat_map"]
        integers = integers.reshape(-1, channels, height, width)
        return integers.transpose(0, 2, 3, 1).reshape(len(values), -1)
    return integers.transpose(0, 2, 3, 1) if integers.ndim == 4 else integers


def _with_outputs(content: bytes, tensors: Sequence[str]) -> bytes:
    """The model with more of its tensors as outputs."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
    kinds = {info.name: info.type.tensor_type.elem_type for info in model.graph.value_info}
    present = {output.name for output in model.graph.output}
    for tensor in tensors:
        if tensor not in present:
            model.graph.output.append(helper.make_tensor_value_info(tensor, kinds[tensor], None))
    return bytes(model.SerializeToString())


def changed_constants(network: Network, path: Path) -> list[tuple[str, str]]:
    """Compare every constant of an emulator file with what the network prescribes, bit for bit.

    Returns
    -------
    list of (str, str)
        Layer and description for each constant that differs, in the order of the network; layers first.
    """

    def constants(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
        return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}

    expected = constants(build_emulator(network))
    found = constants(onnx.load_from_string(path.read_bytes()))
    order = {node.name: number for number, node in enumerate(network.nodes)}
    differences = []
    for name, values in expected.items():
        layer = next((node for node in order if name.startswith(f"{node}/")), name)
        part = name.removeprefix(f"{layer}/")
        if name not in found or found[name].shape != values.shape or found[name].dtype != values.dtype:
            differences.append((layer, f"{part} is missing or has another shape or type"))
        elif found[name].tobytes() != values.tobytes():
            bits = np.dtype(f"u{values.dtype.itemsize}")
            changed = np.argwhere(found[name].view(bits) != values.view(bits))
            where = tuple(int(i) for i in changed[0])
            differences.append(
                (
                    layer,
                    f"{part}{list(where)} is {float(found[name][where])!r}, "
                    f"should be {float(values[where])!r} ({len(changed)} differ)",
                )
            )
    return sorted(differences, key=lambda item: order.get(item[0], len(order)))
