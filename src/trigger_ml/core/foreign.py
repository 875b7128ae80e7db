"""What libraries and the system raise, as what / why / remedy: the one boundary between them and the user.

Code that knows which file or stage it works on says so with :func:`naming`; the command line turns whatever
arrives into one line with :func:`explain`. Errors that trigger_ml raises on purpose pass unchanged.
"""

import errno
import traceback
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path

from trigger_ml.core.errors import InputError, StageError, TriggerMLError

__all__ = ["explain", "naming", "reading", "reason"]

DEBUG = "--debug shows the traceback"

# by error number: what the user can do
_REMEDIES = {
    errno.ENOSPC: "Free space there, or write to another disk",
    errno.EDQUOT: "Free space within the quota, or write to another disk",
    errno.EFBIG: "Write to a file system or under a limit that allows larger files",
    errno.EROFS: "Write to another folder (--run, --output)",
    errno.EACCES: "Change the permissions, or name another path",
    errno.EPERM: "Change the permissions, or name another path",
    errno.ENOENT: "Check the path",
    errno.ENOTDIR: "A part of the path is a file: rename it, or name another path",
    errno.EISDIR: "Name a file, not a folder",
    errno.EEXIST: "Something else has that name: rename it, or name another path",
    errno.ENOTEMPTY: "Another process writes there: wait for it, or name another path",
    errno.EMFILE: "Raise the limit of open files (ulimit -n)",
    errno.ENAMETOOLONG: "Use shorter names",
    errno.EPIPE: "Keep the program that reads the output open",
    errno.ENOMEM: "Use fewer events, or a machine with more memory",
}


def reason(error: BaseException) -> str:
    """First line of an error's text, or its kind where it has none; at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Note on an error that passes which stage or file the work was about; the innermost counts."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise


@contextmanager
def reading(path: Path | str, kind: str, remedy: str) -> Iterator[None]:
    """Say of whatever fails inside that ``path`` is no readable ``kind``.

    Raises
    ------
    InputError
        In place of every error but those of trigger_ml, of memory and of the system.
    """
    try:
        yield
    except (TriggerMLError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError(str(path), "no such file", remedy) from None
    except OSError as error:
        if error.errno in _REMEDIES:
            raise InputError(str(path), f"cannot be read ({error.strerror})", remedy) from error
        raise InputError(str(path), f"not a readable {kind} ({reason(error)})", remedy) from error
    except Exception as error:
        # libraries raise what their many readers raise; the user needs to know which file it was
        detail = reason(error)
        if isinstance(error, KeyError):
            detail = f"no {detail}"
        raise InputError(str(path), f"not a readable {kind} ({detail})", remedy) from error


def _origin(error: BaseException) -> str:
    """Package in whose code the error was raised."""
    frames = list(traceback.walk_tb(error.__traceback__))
    name = str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""
    return name.split(".")[0] or "python"


def explain(error: BaseException, doing: str) -> TriggerMLError:
    """The error that a user can act on.

    Parameters
    ----------
    error : BaseException
    doing : str
        What ran; used where the error does not tell more.

    Returns
    -------
    TriggerMLError
        The error itself if it is one; else one with exit code 2 that names the file or stage, the library
        and its reason, and what can be done.
    """
    if isinstance(error, TriggerMLError):
        return error
    notes = getattr(error, "__notes__", ())
    what = str(notes[0]) if notes else doing
    if isinstance(error, OSError) and error.errno is not None:
        remedy = _REMEDIES.get(error.errno, f"See what the system says of it; {DEBUG}")
        second = getattr(error, "filename2", None)
        names = [str(name) for name in (error.filename, second) if isinstance(name, str | bytes)]
        return StageError(" and ".join(names) or what, error.strerror or reason(error), remedy)
    if isinstance(error, MemoryError):
        return StageError(what, f"not enough memory ({reason(error)})", _REMEDIES[errno.ENOMEM])
    if isinstance(error, BrokenExecutor):
        why = "a process that it started was killed, often for lack of memory"
        return StageError(what, why, "Use fewer workers or events, or a machine with more memory")
    origin, kind = _origin(error), type(error).__name__
    if origin == "trigger_ml":
        return StageError(what, f"{kind}: {reason(error)}", f"Report it as a defect; {DEBUG}")
    why = f"{origin} ends with {kind}: {reason(error)}"
    return StageError(what, why, f"Check the files and settings that it concerns; {DEBUG}")
