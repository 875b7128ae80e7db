"""Writing files and folders so that a reader never sees half of one."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trigger_ml.core.errors import InputError


def require_file(path: Path, remedy: str = "Check the path") -> None:
    """Refuse a path that is no file, and say what it is instead.

    Raises
    ------
    InputError
    """
    if path.is_file():
        return
    if path.is_dir():
        raise InputError(str(path), "is a directory, not a file", "Give a file in it")
    raise InputError(str(path), "is no ordinary file" if path.exists() else "no such file", remedy)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Name of a temporary file beside ``path`` that takes its place when the block ends well.

    The temporary file keeps the suffixes of ``path``, since some writers choose the format by them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-", suffix="".join(path.suffixes))
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        # mkstemp makes files private; give the final one what a plain open() would have given
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(final: Path) -> Iterator[Path]:
    """Folder beside ``final`` that takes its place when the block ends well.

    An older folder of that name is replaced; if the block fails, it stays as it was.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".partial-{final.name}-"))
    try:
        yield partial
        # mkdtemp makes folders private
        partial.chmod(0o755)
        old = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".partial-old-{final.name}-"))
        if final.exists():
            final.rename(old / final.name)
        partial.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, atomically."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 file, atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically; NaN is refused since JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
