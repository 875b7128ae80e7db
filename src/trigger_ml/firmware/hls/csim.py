"""C simulation: the HLS project's C++ compiled with g++ and called event by event, in a process of its own.

The library is compiled once for a project and kept in its folder (``csim/``); a compilation that is
interrupted leaves none. It is loaded only if it was built here, from the sources that are there now: a
receipt of it lies in the user's own cache. Values pass the interface as float64, which holds every
fixed-point number of the network, so the integers that come back are exact.
"""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich import get_console
from rich.progress import track

from trigger_ml.core.errors import InputError, StageError, ToolMissingError
from trigger_ml.core.files import sha256
from trigger_ml.core.fixed_point import IntArray, from_grid, to_float
from trigger_ml.core.surroundings import cache_folder
from trigger_ml.firmware.hls.project import CSIM_BACKENDS, HlsProject

__all__ = ["Csim", "compile_csim"]

RUNNER = Path(__file__).with_name("csim_runner.py")
FOLDER = "csim"


def _hashed(directory: Path, files: Iterable[Path], start: str = "") -> str:
    """Hash of a project's files but what was compiled of them, by their names."""
    result = hashlib.sha256(start.encode(errors="surrogateescape"))
    for path in sorted(files):
        if path.is_file() and path.suffix not in (".so", ".o"):
            result.update(f"\0{path.relative_to(directory)}\0{sha256(path)}".encode(errors="surrogateescape"))
    return result.hexdigest()


def _sources(directory: Path) -> str:
    """Hash of what a project's library is made from, and of where it is."""
    files = (path for path in directory.rglob("*") if path.relative_to(directory).parts[0] != FOLDER)
    return _hashed(directory, files, str(directory.resolve()))


def _code(directory: Path) -> str:
    """Hash of a project's C++ and weights: what its answers follow from."""
    return _hashed(directory, (directory / "firmware").rglob("*"))


def _receipt(sources: str, library: Path) -> Path:
    """Where it is noted that a library with this content was built here from these sources."""
    return cache_folder("csim") / hashlib.sha256(f"{sources} {sha256(library)}".encode()).hexdigest()


def compile_csim(project: HlsProject) -> Path:
    """Compile a project's C simulation, unless that was done here before.

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
    place = hashlib.sha256(str(project.directory.resolve()).encode(errors="surrogateescape")).hexdigest()[:8]
    library = project.directory / FOLDER / f"{name}-{place}.so"
    sources = _sources(project.directory)
    if library.is_file() and _receipt(sources, library).exists():
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
    for old in (project.directory / "firmware").glob("*.so"):
        old.unlink()
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
    _receipt(sources, library).touch()
    return library


def _ending(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {-status}, {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


class Csim:
    """The compiled C simulation of a project.

    Parameters
    ----------
    project : HlsProject

    Raises
    ------
    InputError
        If the project's description lacks something.
    ToolMissingError, StageError
        See :func:`compile_csim`.
    """

    def __init__(self, project: HlsProject) -> None:
        self.project = project
        manifest = project.manifest
        try:
            self._fraction: int = manifest["input"]["type"]["fraction"]
            self._shape = tuple(manifest["input"]["shape"])
            self._outputs: list[dict[str, Any]] = manifest["outputs"]
            self._function = f"{manifest['project']}_double"
        except (KeyError, TypeError) as error:
            why = f"its description is not complete ({error})"
            raise InputError(str(project.directory), why, "Write it again with `trigger-ml build`") from None
        self._library = compile_csim(project)
        self._made_from = _code(project.directory)

    def _values(self, counts: ArrayLike) -> NDArray[np.float64]:
        x = np.asarray(counts)
        if x.shape[1:] != self._shape:
            raise ValueError(f"counts have shape {x.shape}, the project takes (n, {self._shape})")
        return np.ascontiguousarray(to_float(x, self._fraction)).reshape(len(x), int(np.prod(self._shape)))

    def _run(self, folder: Path, values: NDArray[np.float64], layers: Any, progress: bool) -> None:
        """Let a process of its own do the job; whatever the library does ends only that.

        Raises
        ------
        InputError
            If the project's code is not what it was: a folder can be written again in one process.
        StageError
            If the process dies, with the last that it said.
        """
        if _code(self.project.directory) != self._made_from:
            raise InputError(
                str(self.project.directory),
                "was written again since its C simulation was made: it would give another network's answers",
                "Open the project again, with the network that is in it now",
            )
        job = {
            "library": str(self._library.resolve()),
            "function": self._function,
            "outputs": [int(np.prod(output["shape"])) for output in self._outputs],
            "layers": layers,
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        np.save(folder / "values.npy", values)
        with (folder / "said").open("w+b") as said:
            child = subprocess.Popen(
                [sys.executable, "-I", str(RUNNER), str(folder)], stdout=subprocess.PIPE, stderr=said
            )
            assert child.stdout is not None
            with child:
                try:
                    for _ in track(
                        child.stdout, "C simulation", len(values), disable=not progress, transient=True
                    ):
                        pass
                    status = child.wait()
                except BaseException:
                    child.kill()
                    raise
            said.seek(0)
            lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
        if status:
            last = next(
                (line for line in lines if "ssert" in line), lines[-1] if lines else "it said nothing"
            )
            raise StageError(
                f"C simulation of {self.project.directory}",
                f"the compiled code ended its process ({_ending(status)}): {last.strip()[:300]}",
                "Use wider types if its headers refuse a type or a value, or set firmware.hls to null",
            )

    def run(self, counts: ArrayLike, *, progress: bool = False) -> dict[str, IntArray]:
        """Logits as integers, for each output (events, outputs).

        Parameters
        ----------
        counts : array_like of int, shape (events, height, width, channels)
        progress : bool
            Show a progress bar on a terminal.

        Raises
        ------
        StageError
            If the compiled code ends its process.
        """
        values = self._values(counts)
        with tempfile.TemporaryDirectory(prefix="trigger_ml-csim-") as name:
            folder = Path(name)
            self._run(folder, values, None, progress and get_console().is_terminal)
            results = [np.load(folder / f"output{number}.npy") for number in range(len(self._outputs))]
        return {
            output["name"]: from_grid(result.reshape(-1, *output["shape"]), output["fraction"])
            for output, result in zip(self._outputs, results, strict=True)
        }

    def taps(self, counts: ArrayLike) -> dict[str, IntArray]:
        """Outputs of the network's nodes that the simulation shows.

        Raises
        ------
        ValueError
            If the project was written without ``trace``.
        StageError
            If the compiled code ends its process.
        """
        layers = {layer["name"]: layer for layer in self.project.manifest["layers"]}
        sizes = {name: int(np.prod(layer["shape"])) for name, layer in layers.items()}
        values = self._values(counts)
        with tempfile.TemporaryDirectory(prefix="trigger_ml-csim-") as folder_name:
            folder = Path(folder_name)
            self._run(folder, values, sizes, False)
            names: list[str] = json.loads((folder / "layers.json").read_text(encoding="utf-8"))
            recorded = {name: np.load(folder / f"layer{i}.npy") for i, name in enumerate(names)}
        if not recorded:
            raise ValueError("the project records no layers: write it with trace=True")
        return {
            layers[name]["node"]: from_grid(flat, layers[name]["fraction"]).reshape(
                -1, *layers[name]["shape"]
            )
            for name, flat in recorded.items()
            if layers[name]["node"] is not None
        }
