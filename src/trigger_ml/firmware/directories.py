"""Folders that are complete when they exist."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_directory"]


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
