"""Writing files and folders so that a reader never sees half of one."""

import gzip
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trigger_ml.core.errors import InputError, StageError

# formats that are archives, with a checksum of each part
ZIPPED = (".npz", ".keras", ".zip")
# bytes: with less room than this what was lost was lost for want of it
FULL = 1 << 16

# how the names of temporary files and folders begin; a killed process leaves them
PARTIAL = ".partial-"


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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


def not_whole(path: Path, why: str) -> StageError:
    """The error of a file that was written without complaint and cannot be read back."""
    remedy = "Free space there, or write to another disk; what was there before is as it was"
    # the folder of a file in a folder that is being written is not there yet
    folder = next(above for above in path.absolute().parents if above.is_dir())
    if shutil.disk_usage(folder).free < FULL:
        why = f"the disk is full; {why}"
    return StageError(str(path), f"was not written whole ({why})", remedy)


def _read_back(partial: Path, path: Path, check: Callable[[Path], None] | None) -> None:
    """Refuse what did not reach the disk, or cannot be read back from it.

    Raises
    ------
    OSError
        If the system could not keep what was written.
    StageError
        If the content is not what was written.
    """
    # some systems tell that a disk is full, or a quota spent, only now
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    if check is not None:
        check(partial)
        return
    try:
        if path.suffix in ZIPPED:
            with zipfile.ZipFile(partial) as archive:
                bad = archive.testzip()
            if bad is not None:
                raise not_whole(path, f"{bad} differs from what was written")
        elif path.suffix == ".gz":
            with gzip.open(partial) as packed:
                while packed.read(1 << 20):
                    pass
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise not_whole(path, str(error)) from error


@contextmanager
def atomic_path(path: Path, check: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Name of a temporary file beside ``path`` that takes its place when the block ends well.

    The temporary file keeps the suffixes of ``path``, since some writers choose the format by them. Before it
    takes its place, its content is handed to the disk; archives (``.npz``, ``.gz``) are read back.

    Parameters
    ----------
    path : Path
    check : callable, optional
        Reads the temporary file back, and raises what `not_whole` gives if it is not what was written: for
        formats whose libraries do not tell of a full disk.

    Raises
    ------
    OSError, StageError
        If the file could not be written whole; what was at ``path`` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL, suffix="".join(path.suffixes))
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        _read_back(partial, path, check)
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

    An older folder of that name is replaced; if the block fails, or a file could not be written whole, it
    stays as it was.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=final.parent, prefix=f"{PARTIAL}{final.name}-"))
    try:
        yield partial
        for written in partial.rglob("*"):
            if written.is_file() and not written.is_symlink():
                _read_back(written, final / written.relative_to(partial), None)
        # mkdtemp makes folders private
        partial.chmod(0o755)
        old = Path(tempfile.mkdtemp(dir=final.parent, prefix=f"{PARTIAL}old-{final.name}-"))
        kept = old / final.name
        try:
            if final.exists():
                final.rename(kept)
            partial.rename(final)
        except OSError:
            if kept.exists():
                kept.rename(final)
            raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, atomically."""

    def check(partial: Path) -> None:
        if partial.read_bytes() != content:
            raise not_whole(path, f"{partial.stat().st_size} of {len(content)} bytes are there")

    with atomic_path(path, check) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 file, atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: object) -> None:
    """Write JSON, atomically; NaN is refused since JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
