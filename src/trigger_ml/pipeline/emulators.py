"""Which engine answers for the firmware: the compiled emulator where there is a compiler, else ONNX."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from trigger_ml.core import layout
from trigger_ml.core.errors import InputError, ToolMissingError
from trigger_ml.core.fixed_point import to_float

if TYPE_CHECKING:
    from trigger_ml.firmware.ir.network import Network
    from trigger_ml.firmware.native.library import NativeEmulator

__all__ = ["FirmwareEmulator", "compiled_emulator", "open_emulator"]


@dataclass(frozen=True)
class FirmwareEmulator:
    """What the firmware would answer, by whichever engine: all of them give the same bits.

    Parameters
    ----------
    engine : str
    metadata : mapping
        Of the network: see docs/network-format.md.
    input_shape : tuple of int
        Of one event: height, width, channels.
    answer : callable
        From counts, shape (events, *input_shape), to the first output as real numbers, shape (events, n).
    file : Path
        What it was made from.
    """

    engine: str
    metadata: Mapping[str, Any]
    input_shape: tuple[int, ...]
    answer: Callable[[NDArray[Any]], NDArray[np.float64]]
    file: Path


def compiled_emulator(
    network: "Network", console: Console | None, threads: int = 2
) -> "NativeEmulator | None":
    """A network's compiled emulator; None, and said so, where there is no C++ compiler.

    Parameters
    ----------
    network : Network
    console : rich.console.Console, optional
    threads : int
    """
    from trigger_ml.firmware.native.library import NativeEmulator

    try:
        return NativeEmulator.compiled(network, threads=threads)
    except ToolMissingError as error:
        if console is not None:
            text = f"  no compiled emulator, the ONNX emulator answers: {error}"
            console.print(text, highlight=False, markup=False)
        return None


def open_emulator(path: Path, console: Console | None = None, *, threads: int = 2) -> FirmwareEmulator:
    """The emulator of a run directory, of its network file, or of an ONNX file.

    Parameters
    ----------
    path : Path
    console : rich.console.Console, optional
        Where it is said that the faster engine is missing.
    threads : int

    Raises
    ------
    InputError
        If there is none, or the file is no emulator.
    """
    from trigger_ml.firmware.ir import serialize
    from trigger_ml.firmware.onnx.emulator import Emulator

    is_run = path.is_dir()
    onnx = path / layout.EMULATOR if is_run else path
    if is_run and (path / layout.OBSTACLES).is_file():
        why = "was made with `firmware: null`: its compressed model has no firmware to be emulated"
        raise InputError(str(path), why, "Remove `firmware: null` from its configuration, and run it again")
    if is_run and not onnx.is_file():
        raise InputError(
            str(path), f"no {layout.EMULATOR} in it", "Run `trigger-ml compress CONFIG` for this run first"
        )
    file = path / layout.NETWORK if is_run else path
    if file.suffix == layout.NETWORK.suffix and file.is_file():
        network = serialize.load(file)
        compiled = compiled_emulator(network, console, threads)
        if compiled is not None:
            output = network.outputs[0]
            fraction = network.types[output].fraction
            return FirmwareEmulator(
                "native",
                network.metadata,
                network.input.size,
                lambda counts: to_float(compiled.run(counts)[output], fraction),
                file,
            )
        if not is_run:
            raise InputError(
                str(path),
                "needs a C++ compiler to be emulated, and there is none",
                "Install g++, or give an ONNX file",
            )
    emulator = Emulator(onnx, threads=threads)
    first = next(iter(emulator.fractions))
    return FirmwareEmulator(
        "onnx",
        emulator.metadata,
        emulator.input_shape,
        lambda counts: np.asarray(emulator.values(counts)[first], dtype=np.float64),
        onnx,
    )
