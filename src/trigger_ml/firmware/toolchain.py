"""Programs that make something of generated code: where they are, and how they are run."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from trigger_ml.core.errors import StageError, ToolMissingError

__all__ = ["cxx", "run_program"]


def cxx() -> str:
    """The C++ compiler.

    Raises
    ------
    ToolMissingError
        If there is none.
    """
    found = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")
    if found is None:
        raise ToolMissingError("g++", "no C++ compiler on PATH", "Install g++ (Debian: apt install g++)")
    return found


def run_program(
    command: Sequence[str | Path], folder: Path, what: str, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program in a folder, and return what it says.

    Parameters
    ----------
    command : sequence of str or Path
    folder : Path
    what : str
        The program, in words.
    environment : mapping, optional
        Variables beside those of this process.

    Raises
    ------
    StageError
        If it fails, with the end of what it said.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
    )
    if done.returncode:
        # a program that ends itself is no result that differs: exit code 2
        ended = f"exit status {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        why = f"failed ({ended}):\n{done.stderr[-3000:]}"
        raise StageError(what, why, "Report it with the network's file")
    return done.stdout
