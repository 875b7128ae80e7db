"""C simulation: the HLS project's C++ compiled with g++ and called event by event.

The library is compiled once for a project and kept in its folder (``csim/``); a compilation that is
interrupted leaves none. Values pass the interface as float64, which holds every fixed-point number of
the network, so the integers that come back are exact.
"""

import ctypes
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich import get_console
from rich.progress import track

from trigger_ml.core.errors import StageError, ToolMissingError
from trigger_ml.core.fixed_point import IntArray, from_grid, to_float
from trigger_ml.firmware.hls import CSIM_BACKENDS, HlsProject

__all__ = ["Csim", "compile_csim"]


class _Trace(ctypes.Structure):
    """One layer's recorded output, as the project's bridge hands it out."""

    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p))


def compile_csim(project: HlsProject) -> Path:
    """Compile a project's C simulation, unless it is there.

    Returns
    -------
    Path
        The shared library.

    Raises
    ------
    ToolMissingError
        If there is no g++, or the backend's simulation needs a vendor's compiler.
    StageError
        If the compilation fails.
    """
    name = project.manifest["project"]
    # the library holds the absolute path of its weights: a copied project compiles its own
    place = hashlib.sha256(str(project.directory.resolve()).encode()).hexdigest()[:8]
    library = project.directory / "csim" / f"{name}-{place}.so"
    if library.exists():
        return library
    backend = project.manifest["backend"]
    if backend not in CSIM_BACKENDS:
        raise ToolMissingError(
            f"C simulation of {project.directory}",
            f"the {backend} backend needs the vendor's compiler",
            f"Set firmware.hls.backend to {' or '.join(CSIM_BACKENDS)}, whose C++ is compiled with g++",
        )
    if shutil.which("g++") is None:
        raise ToolMissingError(
            "g++",
            "not found on PATH, but the C simulation is compiled with it",
            "Install g++ (build-essential)",
        )
    done = subprocess.run(
        ["bash", "build_lib.sh"],
        cwd=project.directory,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    built = sorted(
        (project.directory / "firmware").glob(f"{name}-*.so"), key=lambda path: path.stat().st_mtime
    )
    if done.returncode or not built:
        errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        reason = (errors or done.stderr.splitlines() or [f"exit status {done.returncode}"])[0]
        raise StageError(
            str(project.directory / "build_lib.sh"),
            f"the C simulation does not compile: {reason[:300]}",
            "Run it by hand to see the whole output",
        )
    library.parent.mkdir(exist_ok=True)
    built[-1].replace(library)
    return library


class Csim:
    """The compiled C simulation of a project.

    Parameters
    ----------
    project : HlsProject

    Raises
    ------
    ToolMissingError, StageError
        See :func:`compile_csim`.
    """

    def __init__(self, project: HlsProject) -> None:
        self.project = project
        self._library = ctypes.CDLL(str(compile_csim(project)))
        manifest = project.manifest
        self._fraction: int = manifest["input"]["type"]["fraction"]
        self._shape = tuple(manifest["input"]["shape"])
        self._outputs: list[dict[str, Any]] = manifest["outputs"]
        self._function = getattr(self._library, f"{manifest['project']}_double")
        array = np.ctypeslib.ndpointer(dtype=np.float64, flags="C_CONTIGUOUS")
        self._function.argtypes = [array] * (1 + len(self._outputs))
        self._function.restype = None

    def _values(self, counts: ArrayLike) -> NDArray[np.float64]:
        x = np.asarray(counts)
        if x.shape[1:] != self._shape:
            raise ValueError(f"counts have shape {x.shape}, the project takes (n, {self._shape})")
        return np.ascontiguousarray(to_float(x, self._fraction))

    def run(self, counts: ArrayLike, *, progress: bool = False) -> dict[str, IntArray]:
        """Logits as integers, for each output (events, outputs).

        Parameters
        ----------
        counts : array_like of int, shape (events, height, width, channels)
        progress : bool
            Show a progress bar on a terminal.
        """
        values = self._values(counts)
        results = [np.zeros((len(values), *output["shape"])) for output in self._outputs]
        shown = progress and get_console().is_terminal
        for event in track(range(len(values)), "C simulation", disable=not shown, transient=True):
            self._function(values[event], *(result[event] for result in results))
        return {
            output["name"]: from_grid(result, output["fraction"])
            for output, result in zip(self._outputs, results, strict=True)
        }

    def taps(self, counts: ArrayLike) -> dict[str, IntArray]:
        """Outputs of the network's nodes that the simulation shows.

        Raises
        ------
        ValueError
            If the project was written without ``trace``.
        """
        layers = {layer["name"]: layer for layer in self.project.manifest["layers"]}
        values = self._values(counts)
        allocate, free = self._library.allocate_trace_storage, self._library.free_trace_storage
        allocate.argtypes, allocate.restype = [ctypes.c_size_t], None
        free.argtypes, free.restype = [], None
        allocate(ctypes.sizeof(ctypes.c_double))
        try:
            events = [self._trace(value, len(layers)) for value in values]
        finally:
            free()
        if not events or not events[0]:
            raise ValueError("the project records no layers: write it with trace=True")
        taps = {}
        for name in events[0]:
            layer = layers[name]
            if layer["node"] is None:
                continue
            flat = np.stack([event[name][: int(np.prod(layer["shape"]))] for event in events])
            taps[layer["node"]] = from_grid(flat, layer["fraction"]).reshape(-1, *layer["shape"])
        return taps

    def _trace(self, value: NDArray[np.float64], most: int) -> dict[str, NDArray[np.float64]]:
        outputs = [np.zeros(output["shape"]) for output in self._outputs]
        self._function(value, *outputs)
        records = (_Trace * most)()
        collect = self._library.collect_trace_output
        collect.argtypes, collect.restype = [ctypes.POINTER(_Trace)], None
        collect(records)
        sizes = {layer["name"]: int(np.prod(layer["shape"])) for layer in self.project.manifest["layers"]}
        recorded: dict[str, NDArray[np.float64]] = {}
        for record in records:
            if not record.name:
                break
            name = record.name.decode()
            data = ctypes.cast(record.data, ctypes.POINTER(ctypes.c_double))
            recorded[name] = np.ctypeslib.as_array(data, shape=(sizes[name],)).copy()
        return recorded
