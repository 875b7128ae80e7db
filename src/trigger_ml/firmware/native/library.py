"""The emulator compiled for this machine: found by content, loaded once."""

import ctypes
import hashlib
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError, StageError
from trigger_ml.core.files import sha256, write_text
from trigger_ml.core.fixed_point import IntArray
from trigger_ml.core.surroundings import cache_folder, require_private
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.native.plan import Plan, storage
from trigger_ml.firmware.native.project import ABI, prefix, sources
from trigger_ml.firmware.toolchain import cxx, run_program

__all__ = ["FLAGS", "TARGETS", "NativeEmulator", "compile_library"]

TARGETS: Mapping[str, tuple[str, ...]] = {
    "avx512": ("-mavx512bw", "-mavx512vl", "-mprefer-vector-width=512"),
    "avx2": ("-mavx2",),
    "plain": (),
}
"""Processors that code is made for, the best first, with what tells the compiler."""
FLAGS = ("-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-Wno-psabi")
FEATURES = {"avx512": {"avx512bw", "avx512vl"}, "avx2": {"avx2"}, "plain": set[str]()}
CODES = {1: "a pointer is null", 2: "a count is outside the input type", 3: "compiled for another processor"}
BLOCK = 8192
"""Events that a thread takes at a time."""


@lru_cache
def _features() -> frozenset[str]:
    """What this machine's processor can do."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    lines = (line for line in text.splitlines() if line.startswith("flags"))
    return frozenset(next(lines, "").partition(":")[2].split())


def best_target() -> str:
    """The best of `TARGETS` for this machine."""
    return next(name for name, needed in FEATURES.items() if needed <= _features())


def compile_library(
    network: Network, target: str | None = None, *, cache: Path | None = None, flags: tuple[str, ...] = FLAGS
) -> Path:
    """Shared library of a network's emulator; kept and found again by content.

    Parameters
    ----------
    network : Network
    target : str, optional
        One of `TARGETS`; default: the best for this machine.
    cache : Path, optional
        Folder of compiled emulators.
    flags : tuple of str
        For the compiler.

    Raises
    ------
    MappingError
        If the network has an op without translation.
    ToolMissingError
        If there is no C++ compiler.
    StageError
        If the compiler refuses the code.
    InputError
        If others can write to the folder of compiled emulators.
    """
    target = target or best_target()
    compiler = cxx()
    files = sources(network)
    folder = cache_folder("emulators", named=cache)
    version = run_program([compiler, "-dumpfullversion"], folder, "the C++ compiler").strip()
    parts = [compiler, version, target, *flags, *(f"{name}\n{text}" for name, text in sorted(files.items()))]
    library = folder / f"{hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:32]}.so"
    if library.exists():
        require_private(library)
        if _is_whole(library):
            return library
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as name:
        work = Path(name)
        for file, text in files.items():
            (work / file).write_text(text, encoding="utf-8")
        commands: list[list[str | Path]] = [
            [compiler, *flags, *TARGETS[target], f"-DTML_TARGET={target}", "-c", "network.cpp"],
            [compiler, *flags, "-fvisibility=default", f"-DTML_WITH_{target.upper()}", "-c", "emulator.cpp"],
        ]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda command: run_program(command, work, "the C++ compiler"), commands))
        link = [
            compiler,
            "-shared",
            *(f for f in flags if f.startswith("-fsanitize")),
            "network.o",
            "emulator.o",
        ]
        run_program([*link, "-o", "emulator.so"], work, "the linker")
        sum_ = sha256(work / "emulator.so")
        (work / "emulator.so").replace(library)
        write_text(_sum_of(library), f"{sum_}\n")
    return library


def _sum_of(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _is_whole(library: Path) -> bool:
    """Whether a library is what was compiled: one that was cut off would end the process that loads it."""
    try:
        return _sum_of(library).read_text(encoding="utf-8").strip() == sha256(library)
    except (OSError, UnicodeDecodeError):
        return False


class _Facts(ctypes.Structure):
    _fields_ = (
        ("abi", ctypes.c_int),
        ("network", ctypes.c_char_p),
        ("metadata", ctypes.c_char_p),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("count_bytes", ctypes.c_int),
        ("count_signed", ctypes.c_int),
        ("count_low", ctypes.c_int64),
        ("count_high", ctypes.c_int64),
        ("outputs", ctypes.c_int),
        ("output_fractions", ctypes.POINTER(ctypes.c_int)),
        ("heads", ctypes.c_int),
        ("head_names", ctypes.POINTER(ctypes.c_char_p)),
        ("head_sizes", ctypes.POINTER(ctypes.c_int)),
        ("nodes", ctypes.c_int),
        ("node_names", ctypes.POINTER(ctypes.c_char_p)),
        ("node_sizes", ctypes.POINTER(ctypes.c_int)),
    )


@dataclass(frozen=True, eq=False)
class NativeEmulator:
    """A network, compiled for this machine.

    Parameters
    ----------
    network : Network
    library : Path
        Of `compile_library`, for this network.
    threads : int

    Raises
    ------
    InputError
        If the library is none, or another network's.
    """

    network: Network
    library: Path
    threads: int = 2

    def __post_init__(self) -> None:
        _ = self._functions

    @classmethod
    def compiled(cls, network: Network, *, threads: int = 2, cache: Path | None = None) -> "NativeEmulator":
        """The emulator of a network; compiled at the first time."""
        return cls(network, compile_library(network, cache=cache), threads)

    @cached_property
    def _functions(self) -> dict[str, Any]:
        again = "Remove it: it is compiled again when it is needed"
        name = prefix(self.network)
        if not _is_whole(self.library):
            raise InputError(str(self.library), "is not the library that was compiled", again)
        try:
            library = ctypes.CDLL(str(self.library))
            found = {key: getattr(library, name + key) for key in ("facts", "workspace", "run", "taps")}
        except OSError as error:
            raise InputError(
                str(self.library), f"is no library that can be loaded ({error})", again
            ) from None
        except AttributeError:
            raise InputError(str(self.library), "is the emulator of another network", again) from None
        found["facts"].restype = ctypes.POINTER(_Facts)
        found["workspace"].restype = ctypes.c_size_t
        facts = found["facts"]().contents
        if facts.abi != ABI:
            raise InputError(
                str(self.library), f"has version {facts.abi} of the interface, this program {ABI}", again
            )
        return found

    @cached_property
    def _plan(self) -> Plan:
        return Plan(self.network)

    def stored(self, name: str) -> str:
        """Type in which a node's values are stored."""
        buffer = self._plan.buffers.get(name)
        return "not stored" if buffer is None else buffer.ctype

    @cached_property
    def _count(self) -> np.dtype[np.integer]:
        kind = storage(self.network.bounds[self.network.input.name])
        return np.dtype(kind.removesuffix("_t"))

    @cached_property
    def _outputs(self) -> int:
        return sum(int(np.prod(self.network.shapes[name])) for name in self.network.outputs)

    @cached_property
    def _local(self) -> threading.local:
        return threading.local()

    def _workspace(self) -> NDArray[np.uint8]:
        if not hasattr(self._local, "space"):
            self._local.space = np.zeros(self._functions["workspace"](), np.uint8)
        space: NDArray[np.uint8] = self._local.space
        return space

    def _prepared(self, counts: NDArray[np.integer]) -> NDArray[np.integer]:
        counts = np.asarray(counts)
        size, dtype = self.network.input.size, self.network.input.dtype
        if counts.shape[1:] != size or counts.dtype.kind not in "iu":
            raise ValueError(
                f"inputs are {counts.dtype} {counts.shape}, the network takes integers (n, {size})"
            )
        if counts.dtype != self._count:
            # what another type would cut off is looked at before
            if counts.size and not dtype.contains(int(counts.min()), int(counts.max())):
                raise ValueError(f"inputs span [{counts.min()}, {counts.max()}], outside {dtype}")
            counts = counts.astype(self._count)
        return np.ascontiguousarray(counts)

    def _call(self, counts: NDArray[np.integer], taps: Mapping[int, IntArray] | None = None) -> IntArray:
        n = len(counts)
        logits = np.empty((n, self._outputs), dtype=np.int64)
        arguments = [counts.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(n), _pointer(logits)]
        if taps is not None:
            places = (ctypes.c_void_p * len(self.network.nodes))()
            for node, values in taps.items():
                places[node] = values.ctypes.data
            arguments.append(places)
        function = self._functions["run" if taps is None else "taps"]
        code = function(*arguments, _pointer(self._workspace()))
        if code == 2:
            dtype = self.network.input.dtype
            raise ValueError(f"inputs span [{counts.min()}, {counts.max()}], outside {dtype}")
        if code:
            raise StageError(str(self.library), CODES.get(code, f"code {code}"), "Report this as a defect")
        return logits

    def run(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        """Outputs for counts.

        Parameters
        ----------
        counts : numpy.ndarray of int, shape (events, *network.input.size)

        Returns
        -------
        dict of str to numpy.ndarray of int64
            For each output of the network, as `trigger_ml.firmware.ir.interpreter.logits` gives them.

        Raises
        ------
        ValueError
            If the inputs have another shape or leave the input type's range.
        """
        counts = self._prepared(counts)
        parts = [counts[i : i + BLOCK] for i in range(0, len(counts), BLOCK)]
        if self.threads > 1 and len(parts) > 1:
            # a call lets other threads work
            with ThreadPoolExecutor(self.threads) as pool:
                found = list(pool.map(lambda part: self._call(part), parts))
        else:
            found = [self._call(part) for part in parts]
        logits = np.concatenate(found) if found else np.empty((0, self._outputs), dtype=np.int64)
        result, at = {}, 0
        for name in self.network.outputs:
            size = int(np.prod(self.network.shapes[name]))
            result[name] = logits[:, at : at + size].reshape(-1, *self.network.shapes[name])
            at += size
        return result

    def taps(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        """Values of every node that is stored; sums that go straight to their quantizer are not."""
        counts = self._prepared(counts)
        shapes, n = self.network.shapes, len(counts)
        found = {name: np.empty((n, *shapes[name]), dtype=np.int64) for name in self._plan.buffers}
        self._call(counts, {self._plan.buffers[name].index: values for name, values in found.items()})
        return found


def _pointer(array: NDArray[np.integer]) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)
