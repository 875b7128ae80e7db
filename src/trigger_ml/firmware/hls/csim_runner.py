"""Runs a compiled C simulation in a process of its own; started by :mod:`trigger_ml.firmware.hls.csim`.

Only ctypes and numpy are imported: an assertion or a fault in the library ends this process and no other.
The working folder holds ``job.json`` and ``values.npy`` (float64: events, values) and receives
``output<i>.npy`` or, with traces, ``layers.json`` and ``layer<i>.npy``. A line on stdout tells each event.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Trace(ctypes.Structure):
    """One layer's recorded output, as the project's bridge hands it out."""

    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p))


def simulate(folder: Path) -> None:
    """Run the job of a folder."""
    job: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    values = np.load(folder / "values.npy", allow_pickle=False)
    library = ctypes.CDLL(job["library"])
    function = getattr(library, job["function"])
    array = np.ctypeslib.ndpointer(dtype=np.float64, flags="C_CONTIGUOUS")
    function.argtypes = [array] * (1 + len(job["outputs"]))
    function.restype = None
    if job["layers"] is None:
        results = [np.zeros((len(values), size)) for size in job["outputs"]]
        for event, value in enumerate(values):
            function(value, *(result[event] for result in results))
            print(event, flush=True)
        for number, result in enumerate(results):
            np.save(folder / f"output{number}.npy", result)
        return
    _trace(folder, job, library, function, values)


def _trace(
    folder: Path,
    job: dict[str, Any],
    library: ctypes.CDLL,
    function: Callable[..., None],
    values: NDArray[np.float64],
) -> None:
    sizes: dict[str, int] = job["layers"]
    library.allocate_trace_storage.argtypes = [ctypes.c_size_t]
    library.allocate_trace_storage.restype = None
    library.collect_trace_output.argtypes = [ctypes.POINTER(Trace)]
    library.collect_trace_output.restype = None
    library.allocate_trace_storage(ctypes.sizeof(ctypes.c_double))
    recorded: dict[str, list[NDArray[np.float64]]] = {}
    for event, value in enumerate(values):
        function(value, *(np.zeros(size) for size in job["outputs"]))
        records = (Trace * len(sizes))()
        library.collect_trace_output(records)
        for record in records:
            if not record.name:
                break
            name = record.name.decode()
            data = ctypes.cast(record.data, ctypes.POINTER(ctypes.c_double))
            layer = np.ctypeslib.as_array(data, shape=(sizes[name],)).copy()
            recorded.setdefault(name, []).append(layer)
        print(event, flush=True)
    (folder / "layers.json").write_text(json.dumps(list(recorded)), encoding="utf-8")
    for number, layers in enumerate(recorded.values()):
        np.save(folder / f"layer{number}.npy", np.stack(layers))


if __name__ == "__main__":
    simulate(Path(sys.argv[1]))
