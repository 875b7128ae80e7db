"""A stage in a process group of its own, to be killed at any moment; what a run left, without its times.

The processes are forked from one that has imported all that stages need and computed nothing: two hundred
of them cost two hundred stages, not two hundred imports of TensorFlow.
"""

import gzip
import hashlib
import json
import os
import re
import signal
import sys
import zipfile
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np

IMPORTED = [
    "trigger_ml.core.keras2",
    "trigger_ml.stages",
    "trigger_ml.compression.compress",
    "trigger_ml.compression.control",
    "trigger_ml.evaluation.evaluate",
    "trigger_ml.evaluation.gadf",
    "trigger_ml.evaluation.robustness",
    "trigger_ml.firmware.backends",
    "trigger_ml.firmware.hls",
    "trigger_ml.firmware.measure",
    "trigger_ml.firmware.onnx",
    "trigger_ml.firmware.rtl.flow",
    "trigger_ml.firmware.verify",
    "trigger_ml.models.export",
    "trigger_ml.models.summary",
    "trigger_ml.models.training",
    "trigger_ml.report.page",
    "trigger_ml.rivals",
    "trigger_ml.simulation.production",
]

# when and how long, in JSON
TIMES = {"seconds", "started", "inference"}
# attributes of ctapipe's files that tell when, where and by which command they were made
ACTIVITY = ("CTA ACTIVITY", "CTA PRODUCT CREATION", "CTA PRODUCT ID")
# times, the random stamp of a project of hls4ml, and the temporary folder in which that was made
MARKS = {
    ".gz": [rb"DATE    = '[^']*'"],
    ".html": [rb"\d+ \w+ \d{4}, \d\d:\d\d \w+"],
    ".pdf": [rb"/CreationDate \([^)]*\)"],
    ".yml": [rb"Stamp: \w+", rb"\S*/\.partial-\S*"],
    ".sh": [rb"LIB_STAMP=\w+"],
}


def _work(config: Path, directory: Path, goal: str, log: Path) -> None:
    """Bring a run up to a stage as the command line does, with its exit codes."""
    os.setsid()
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    from trigger_ml.core.config import load_experiment
    from trigger_ml.core.errors import TriggerMLError
    from trigger_ml.pipeline import execute

    try:
        execute(load_experiment(config), directory, goal)
    except TriggerMLError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


class StageProcess:
    """A run brought up to a stage, from its start on.

    Parameters
    ----------
    config, directory : Path
        The experiment and its run directory.
    goal : str
        The stage.
    """

    def __init__(self, config: Path, directory: Path, goal: str) -> None:
        self._marker = directory / f".started-{goal}"
        self._log = directory.parent / f"{directory.name}.log"
        context = get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        self._process = context.Process(target=_work, args=(config, directory, goal, self._log))
        self._process.start()

    def said(self) -> str:
        """Everything that processes in this directory have said."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def end(self) -> int:
        """Exit code, when it has ended."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def killed(self, after: float) -> bool:
        """Whether the whole group was killed some seconds after the stage began, and not ended before."""
        while self._process.is_alive() and not self._marker.exists():
            self._process.join(0.005)
        self._process.join(after)
        if not self._process.is_alive():
            return False
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self.end() == -signal.SIGKILL


def _without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_times(value) for key, value in content.items() if key not in TIMES}
    if isinstance(content, list):
        return [_without_times(value) for value in content]
    return content


def _hash(content: Any) -> str:
    if isinstance(content, np.ndarray) and content.dtype.kind != "O":
        return f"{content.dtype} {content.shape} {hashlib.sha256(content.tobytes()).hexdigest()}"
    if not isinstance(content, bytes):
        content = (str(content.tolist()) if isinstance(content, np.ndarray) else repr(content)).encode()
    return hashlib.sha256(content).hexdigest()


def _values(dataset: Any) -> str:
    """Hash of a data set; as it is stored where it is compressed, by filters that h5py may not have."""
    if dataset.chunks is None:
        return _hash(dataset[()])
    stored = hashlib.sha256(f"{dataset.dtype} {dataset.shape}".encode())
    for number in range(dataset.id.get_num_chunks()):
        place = dataset.id.get_chunk_info(number).chunk_offset
        stored.update(repr(place).encode() + dataset.id.read_direct_chunk(place)[1])
    return stored.hexdigest()


def _hdf5(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = _values(item)
        for key, value in item.attrs.items():
            if not key.startswith(ACTIVITY):
                found[f"{name}@{key}"] = _hash(value)

    with h5py.File(path) as file:
        take("", file)
        file.visititems(take)
    return found


def _stored(array: Any) -> Any:
    """An array's hash, or the JSON in it."""
    if array.dtype == np.uint8 and array.ndim == 1:
        with suppress(ValueError):
            return _without_times(json.loads(array.tobytes()))
    return _hash(array)


def content_of(path: Path) -> Any:
    """What a result says, without when it was written."""
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".h5":
        return _hdf5(path)
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: _stored(arrays[name]) for name in arrays.files}
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as parts:
            return {name: _hash(parts.read(name)) for name in parts.namelist() if name != "metadata.json"}
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    for mark in MARKS.get(path.suffix, ()):
        content = re.sub(mark, b"", content)
    return _hash(content)


def contents(run: Path) -> dict[str, Any]:
    """All results of a run by their place; not its manifest, but which stages that says are done."""
    found = {
        str(path.relative_to(run)): content_of(path)
        for path in sorted(run.rglob("*"))
        # compiled for the folder where it is
        if path.is_file() and path.name not in ("manifest.json", ".lock") and path.suffix != ".so"
    }
    stages = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["stages"]
    return {**found, "stages": {name: record["fingerprint"] for name, record in stages.items()}}


def differing(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where two contents differ, as deep as it can be told."""
    result: dict[str, tuple[Any, Any]] = {}
    for name in sorted(found.keys() | expected.keys()):
        one, other = found.get(name, "not there"), expected.get(name, "not there")
        if isinstance(one, dict) and isinstance(other, dict):
            result |= {f"{name}: {key}": pair for key, pair in differing(one, other).items()}
        elif one != other:
            result[name] = (one, other)
    return result
