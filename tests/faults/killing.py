"""A stage in a process group of its own, to be killed at any moment; what a run left, without its times.

The processes are forked from one that has imported all that stages need and computed nothing: they cost what
stages cost, not imports of TensorFlow.
"""

import gzip
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import sys
import zipfile
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tables

IMPORTED = [
    "trigger_ml.core.keras2",
    "trigger_ml.pipeline.execute",
    "trigger_ml.pipeline.sample",
    "trigger_ml.pipeline.given",
    "trigger_ml.compression.compress",
    "trigger_ml.compression.control",
    "trigger_ml.evaluation.evaluate",
    "trigger_ml.evaluation.gadf",
    "trigger_ml.evaluation.robustness",
    "trigger_ml.firmware.engines.csim",
    "trigger_ml.firmware.engines.keras",
    "trigger_ml.firmware.engines.rtl",
    "trigger_ml.firmware.hls.project",
    "trigger_ml.firmware.cost.measure",
    "trigger_ml.firmware.onnx.emulator",
    "trigger_ml.firmware.cost.rtl_project",
    "trigger_ml.firmware.verify",
    "trigger_ml.models.export",
    "trigger_ml.models.description",
    "trigger_ml.models.training",
    "trigger_ml.report.page",
    "trigger_ml.pipeline.rivals",
    "trigger_ml.simulation.production",
]

# imported when a stage first needs them
LATE = ["alkaid", "tf2onnx", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf"]
LATE += ["matplotlib.backends.backend_svg", "hls4ml.converters", "sklearn.ensemble", "pyirf.irf"]

# when and how long, in JSON
TIMES = {"seconds", "started", "inference"}
# attributes of ctapipe's files that tell when, where and by which command they were made
ACTIVITY = ("CTA ACTIVITY", "CTA PRODUCT CREATION", "CTA PRODUCT ID")
# times
MARKS = {
    ".gz": [rb"DATE    = '[^']*'", rb"CHECKSUM= '[^']*'", rb"checksum updated [-\dT:]+"],
    ".html": [rb"\d+ \w+ \d{4}, \d\d:\d\d \w+"],
    ".pdf": [rb"/CreationDate \([^)]*\)"],
}


def _make_cheap() -> None:
    """Let a stage take seconds: what it writes, where, when and from what stays as it is.

    Graphs are not traced (that takes longer than the few batches), the drawings have no letters and ticks
    (nine tenths of their time), and chunks of showers are small.
    """
    import matplotlib.axis
    import matplotlib.text
    from matplotlib.transforms import Bbox

    from trigger_ml.core.keras2 import tf
    from trigger_ml.simulation import chunks

    tf.config.run_functions_eagerly(True)
    tf.data.experimental.enable_debug_mode()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    nowhere = Bbox.from_bounds(0, 0, 1, 1)
    for kind, name, answer in (
        (matplotlib.axis.Axis, "draw", None),
        (matplotlib.axis.Axis, "get_tightbbox", None),
        (matplotlib.text.Text, "draw", None),
        (matplotlib.text.Text, "get_window_extent", nowhere),
    ):
        setattr(kind, name, lambda *_, answer=answer, **__: answer)
    chunks.SHOWERS_PER_CHUNK.update(gamma=24, proton=60)
    chunks.BLOCKS_PER_CHUNK.update(gamma=2, proton=2)


def _work(config: Path, directory: Path, goal: str, log: Path) -> None:
    """Bring a run up to a stage as the command line does, with its exit codes."""
    os.setsid()
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    from trigger_ml.core.config import load_experiment
    from trigger_ml.core.errors import TriggerMLError
    from trigger_ml.pipeline.execute import execute

    _make_cheap()
    try:
        execute(load_experiment(config), directory, goal)
    except TriggerMLError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"{SPENT}{sum(usage.ru_utime + usage.ru_stime for usage in spent)}", flush=True)


SPENT = "seconds of processors: "


def _group(leader: int) -> list[list[str]]:
    """What the system knows of each process of a group: the fields of ``stat`` behind the name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == leader:
                found.append(fields)
    return found


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
        self.directory = directory
        self._log = directory.parent / f"{directory.name}.log"
        context = get_context("forkserver")
        context.set_forkserver_preload([*IMPORTED, *LATE])
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

    def spent(self) -> float:
        """Seconds of processors that it and its children took; when it has ended well."""
        return float(re.findall(rf"{SPENT}([\d.]+)", self.said())[-1])

    def _stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGSTOP)
        # what is within the system is let out first
        while any(fields[0] not in "TZX" for fields in _group(self._process.pid)):
            self._process.join(0.001)

    def killed(self, moments: list[float], left: Path) -> list[Path]:
        """Copies of what is left by a kill at each of some moments.

        The processes are stopped at the moments before the last one, their files copied, and let go on: what
        they wrote until then is what they had left if they had been killed there. At the last they are.

        Parameters
        ----------
        moments : list of float
            In seconds of processors, ascending.
        left : Path
            Folder for the copies.

        Returns
        -------
        list of Path
            One for each moment that came before the end.
        """
        ticks = os.sysconf("SC_CLK_TCK")
        copies: list[Path] = []
        for moment in moments:
            while self._process.is_alive():
                group = _group(self._process.pid)
                spent = sum(int(n) for fields in group for n in fields[11:15])
                # it is a group of its own when it has begun
                if group and spent / ticks >= moment:
                    break
                self._process.join(0.01)
            if not self._process.is_alive():
                break
            try:
                self._stop()
            except ProcessLookupError:
                break
            if len(copies) == len(moments) - 1:
                os.killpg(self._process.pid, signal.SIGKILL)
                if self.end() != -signal.SIGKILL:
                    break
            copies.append(left / f"{moment:.3f}")
            shutil.copytree(self.directory, copies[-1], symlinks=True)
            if self._process.is_alive():
                os.killpg(self._process.pid, signal.SIGCONT)
        self._process.join()
        return copies


def state(run: Path) -> str:
    """Hash of every byte below a folder, and of the names but for the random part of temporary ones."""
    lines = []
    for path in run.rglob("*"):
        name = re.sub(r"(\.partial-(?:\w+-)*)\w{8}", r"\1", str(path.relative_to(run)))
        lines.append(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_times(value) for key, value in content.items() if key not in TIMES}
    if isinstance(content, list):
        return [_without_times(value) for value in content]
    return content


def _hash(content: Any) -> str:
    if isinstance(content, np.ndarray) and content.dtype.names:
        # what lies between the fields of a row is no value
        return str({name: _hash(content[name]) for name in content.dtype.names})
    if isinstance(content, np.ndarray) and content.dtype.kind != "O":
        return f"{content.dtype} {content.shape} {hashlib.sha256(content.tobytes()).hexdigest()}"
    if not isinstance(content, bytes):
        content = (str(content.tolist()) if isinstance(content, np.ndarray) else repr(content)).encode()
    return hashlib.sha256(content).hexdigest()


def _values(dataset: Any, path: Path) -> str:
    """Hash of a data set's values; PyTables reads what is packed by filters that h5py does not have."""
    packing = dataset.id.get_create_plist()
    filters = [packing.get_filter(number)[0] for number in range(packing.get_nfilters())]
    if all(h5py.h5z.filter_avail(number) for number in filters):
        return _hash(dataset[()])
    with tables.open_file(path) as file:
        return _hash(file.get_node(dataset.name).read())


def _hdf5(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = _values(item, path)
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
