"""What the user's environment gives: cache folders that can be written and that nobody else can write to.

Caches hold what is executed (compiled simulators, numba's machine code), so that a folder in which another
user can write is refused, never used.
"""

import atexit
import grp
import os
import pwd
import shutil
import stat
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from trigger_ml.core.errors import InputError

__all__ = ["cache_folder", "require_private", "settle_caches"]


def settle_caches() -> None:
    """Make the environment's cache folders usable by every library, before one of them looks; idempotent.

    A relative ``XDG_CACHE_HOME`` is ignored, as its specification demands: libraries would leave folders
    wherever the program is started. Where neither the installation nor the user's cache can be written,
    numba refuses to import what it should cache: it gets a temporary folder.
    """
    named = os.environ.get("XDG_CACHE_HOME")
    if named is not None and not os.path.isabs(named):
        del os.environ["XDG_CACHE_HOME"]
    if "NUMBA_CACHE_DIR" not in os.environ and not (_writable(Path(__file__).parent) and _beside_libraries()):
        try:
            safe = _writable(_user_caches()) and _others_writing(_user_caches()) is None
        except InputError:
            safe = False
        if not safe:
            os.environ["NUMBA_CACHE_DIR"] = str(_temporary())


def _beside_libraries() -> bool:
    """Whether libraries can keep compiled code beside themselves, as numba prefers."""
    found = find_spec("numba")
    return found is not None and found.origin is not None and _writable(Path(found.origin).parent.parent)


def _writable(folder: Path) -> bool:
    """Whether a folder, or the nearest one above it that exists, can be written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    # a read-only file system answers here too
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _user_caches() -> Path:
    named = os.environ.get("XDG_CACHE_HOME")
    if named and os.path.isabs(named):
        return Path(named)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        raise InputError(
            "HOME", "is not set, and the user has no home folder", "Set XDG_CACHE_HOME"
        ) from None


@cache
def _temporary() -> Path:
    """A folder of this process alone, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="trigger_ml-cache-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _own_group(gid: int) -> bool:
    """Whether a group holds nobody but this user (the private group that many systems give each user)."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}


def _others_writing(path: Path) -> str | None:
    """Why others can change what is at ``path``; None if they cannot.

    The path and all folders above must belong to this user or to root; in one that others can write to
    (as /tmp), only the sticky bit protects what belongs to this user.
    """
    at = path.absolute()
    for folder in (at, *at.parents):
        try:
            info = folder.stat()
        except OSError:
            continue
        if info.st_uid not in (0, os.geteuid()):
            return f"{folder} belongs to another user"
        group = info.st_mode & stat.S_IWGRP and not _own_group(info.st_gid)
        if (group or info.st_mode & stat.S_IWOTH) and (folder == at or not info.st_mode & stat.S_ISVTX):
            return f"others can write to {folder}"
    return None


def require_private(path: Path) -> None:
    """Refuse a file or folder that somebody else can change.

    Raises
    ------
    InputError
        Saying why.
    """
    if why := _others_writing(path):
        remedy = "Name a folder of your own (XDG_CACHE_HOME), or take away others' right to write"
        raise InputError(str(path), f"what it holds would be trusted, but {why}", remedy)


def cache_folder(*parts: str, named: Path | None = None) -> Path:
    """A folder for what is kept between runs, made if needed, for this user alone.

    Parameters
    ----------
    *parts : str
        Below ``$XDG_CACHE_HOME/trigger_ml`` (``~/.cache/trigger_ml``).
    named : Path, optional
        A folder that the caller names takes its place.

    Returns
    -------
    Path
        Absolute. A temporary one where the user's cannot be written.

    Raises
    ------
    InputError
        If others can write to it.
    """
    folder = (named or _user_caches().joinpath("trigger_ml", *parts)).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        folder = _temporary().joinpath(*parts)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_private(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        folder = _temporary().joinpath(*parts)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
