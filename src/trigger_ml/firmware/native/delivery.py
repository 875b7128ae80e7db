"""``firmware/emulator/``: the emulator's sources, ready for somebody else's program."""

from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.files import atomic_directory
from trigger_ml.firmware.ir.interpreter import logits
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.native.plan import storage
from trigger_ml.firmware.native.project import prefix, sources

__all__ = ["write_emulator_sources"]

TEMPLATES = ("CMakeLists.txt", "selfcheck.cpp", "example.cpp", "example.py")


def write_emulator_sources(network: Network, counts: NDArray[np.integer], directory: Path) -> None:
    """Write the emulator with build file, examples, golden vectors and self-check; replaces an older folder.

    Parameters
    ----------
    network : Network
    counts : numpy.ndarray of int, shape (events, *network.input.size)
        Of the golden vectors.
    directory : Path

    Raises
    ------
    MappingError
        If the network has an op without translation.
    """
    name = prefix(network)
    dtype = np.dtype(storage(network.bounds[network.input.name]).removesuffix("_t")).newbyteorder("<")
    words = {
        "prefix": name,
        "library": name.rstrip("_"),
        "dtype": dtype.str,
        "values": str(int(np.prod(network.input.size))),
    }
    found = logits(network, counts)
    golden = np.concatenate([found[output].reshape(len(counts), -1) for output in network.outputs], axis=1)
    with atomic_directory(directory) as folder:
        for file, text in sources(network).items():
            (folder / file).write_text(text, encoding="utf-8")
        for file in TEMPLATES:
            template = files(__package__).joinpath(f"{file}.in").read_text(encoding="utf-8")
            (folder / file).write_text(Template(template).substitute(words), encoding="utf-8")
        parts = (np.array([len(counts)], "<i8"), counts.astype(dtype), golden.astype("<i8"))
        (folder / "vectors.bin").write_bytes(b"".join(part.tobytes() for part in parts))
