"""Opening ctapipe's HDF5 files, and reading columns of their tables."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import astropy.units as u
import numpy as np
import tables
from astropy.table import Table
from ctapipe.io.hdf5tableio import get_column_attrs, get_column_transforms
from ctapipe.io.tableio import FixedPointColumnTransform
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import atomic_path, not_whole, require_file
from trigger_ml.core.foreign import naming


def _handles(path: Path) -> set[tables.File]:
    """Open handles of a file by this name."""
    registry = tables.file._open_files
    return set(registry.get_handlers_by_name(str(path))) if str(path) in registry.filenames else set()


def _abandon(handle: tables.File, error: BaseException | None = None) -> None:
    """Let go of a file that cannot be closed, or opened only half, without a word at the end of the process.

    PyTables tries to close again what it counts as open: files when the process ends, nodes when the last
    reference to them is gone. On a full or damaged disk each of these prints a traceback.

    Parameters
    ----------
    handle : tables.File
    error : BaseException, optional
        That was raised: nodes at work then are known to its frames alone.
    """
    if handle in tables.file._open_files.handlers:
        tables.file._open_files.remove(handle)
    nodes = list(handle._node_manager.registry.values()) if handle.isopen else []
    while error is not None:
        nodes += [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
        error = error.__context__
    for node in nodes:
        if isinstance(node, tables.Node):
            node._v_isopen = False


@contextmanager
def _opened(path: Path) -> Iterator[tables.File]:
    """The open file; one that opens only half, or cannot be closed, is abandoned."""
    before = _handles(path)
    try:
        with tables.open_file(str(path), mode="r") as h5:
            yield h5
    except Exception as error:
        for handle in _handles(path) - before:
            _abandon(handle, error)
        raise


@contextmanager
def open_dl1(path: Path) -> Iterator[tables.File]:
    """Open an HDF5 file for reading; damage found inside the block becomes an `InputError` too.

    Raises
    ------
    InputError
        If the file is missing, is no HDF5, is cut off, or a table in it lacks a column.
    """
    require_file(path)
    try:
        if not tables.is_hdf5_file(str(path)):
            raise InputError(str(path), "is no HDF5 file", "Give a file that ctapipe-process wrote")
        with naming(str(path)), _opened(path) as h5:
            yield h5
    except tables.NoSuchNodeError as error:
        raise InputError(
            str(path), f"lacks a table ({_cause(error)})", "Give a ctapipe DL1 file with images"
        ) from error
    except KeyError as error:
        raise InputError(
            str(path), f"a table lacks the column {error}", "Give a file of ctapipe's data model v6 or later"
        ) from error
    except OverflowError as error:
        raise InputError(str(path), str(error), "Give a file with ids that ctapipe wrote") from error
    except (tables.HDF5ExtError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            str(path),
            f"is damaged or cut off ({_cause(error)})",
            "Copy the file again, or make it again",
        ) from error


def _cause(error: Exception) -> str:
    """The telling line of an HDF5 error, which may hold a whole traceback of the C library."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    ends = [number for number, line in enumerate(lines) if line.startswith("End of HDF5 error")]
    return lines[ends[0] - 1] if ends and ends[0] > 0 else lines[-1]


@contextmanager
def written_hdf5(path: Path, rows: Mapping[str, int]) -> Iterator[Path]:
    """As `trigger_ml.core.files.atomic_path`, for HDF5, which may lose data on a full disk and not tell.

    Every table is read back, and its checksums with it, before the file takes its place.

    Parameters
    ----------
    path : pathlib.Path
    rows : mapping of str to int
        Tables that were written and their rows; filled inside the block.

    Raises
    ------
    OSError, StageError
        If the file could not be written whole; what was at ``path`` stays.
    """

    def check(partial: Path) -> None:
        try:
            with _opened(partial) as h5:
                found = {node._v_pathname: _rows_read(node) for node in h5.walk_nodes("/", "Leaf")}
        except (tables.HDF5ExtError, tables.NoSuchNodeError, OSError) as error:
            raise not_whole(path, _cause(error)) from error
        for name, expected in rows.items():
            if found.get(name, 0) != expected:
                raise not_whole(path, f"{name} has {found.get(name, 0)} of {expected} rows")

    try:
        with atomic_path(path, check) as partial:
            try:
                yield partial
            except BaseException as error:
                for handle in _handles(partial):
                    _abandon(handle, error)
                raise
    except tables.HDF5ExtError as error:
        raise not_whole(path, _cause(error)) from error


def _rows_read(node: tables.Leaf) -> int:
    """Rows of a table or array, all of which could be read."""
    if node.ndim == 0 or not node.nrows:
        node.read()
        return int(node.nrows)
    step = max(1, (64 * READ_BYTES) // max(1, node.rowsize))
    for start in range(0, int(node.nrows), step):
        node.read(start, min(start + step, int(node.nrows)))
    return int(node.nrows)


def unit_column(table: Table, name: str, unit: u.Unit) -> NDArray[np.float64]:
    """Column in a unit; columns without one are taken to have it."""
    column = table[name]
    values = np.asarray(column, dtype=np.float64)
    given = getattr(column, "unit", None)
    return values if given is None else np.asarray(u.Quantity(values, given).to_value(unit))


def id_column(table: Table, name: str) -> NDArray[np.int64]:
    """Column of identifiers, whatever integers the file has; see `as_ids`."""
    return as_ids(np.asarray(table[name]))


def as_ids(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """Identifiers or numbers as 64-bit integers.

    Raises
    ------
    OverflowError
        If one is no integer, or too large: wrapped, it would be another's.
    """
    if values.dtype.kind == "u" and len(values) and int(values.max()) > np.iinfo(np.int64).max:
        raise OverflowError(f"the identifier {values.max()} is larger than 2^63")
    result = values.astype(np.int64)
    if values.dtype.kind == "f" and (result != values).any():
        raise OverflowError(f"the identifier {values[result != values][0]} is no integer")
    return result


def narrowed[T: np.integer](values: NDArray[np.integer], dtype: type[T], what: str) -> NDArray[T]:
    """Integers as a narrower type.

    Raises
    ------
    InputError
        If one does not fit.
    """
    limits = np.iinfo(dtype)
    bad = (values < limits.min) | (values > limits.max)
    if bad.any():
        why = f"{values[bad][0]} does not lie within {limits.min} to {limits.max}, what ctapipe files hold"
        raise InputError(what, why, "Number them anew")
    return np.asarray(values, dtype=dtype)


READ_BYTES = 1 << 19
"""Bytes of rows unpacked together: they stay in a core's cache until their columns are copied."""


class ColumnReader:
    """Reads columns of a table by rows, scaled integers made floats again as by ctapipe's ``read_table``.

    An astropy table and its metadata for each chunk would take half of the time. Not for two threads at once.

    Parameters
    ----------
    node : tables.Table
    names : sequence of str
        Columns wanted; those that the table lacks are left out.
    """

    def __init__(self, node: tables.Table, names: Sequence[str]) -> None:
        self._node = node
        self._names = [name for name in names if name in node.colnames]
        self._transforms = {
            name: transform
            for name, transform in get_column_transforms(get_column_attrs(node)).items()
            if isinstance(transform, FixedPointColumnTransform)
        }
        self._rows = np.empty(max(1, READ_BYTES // node.dtype.itemsize), node.dtype)

    def read(self, start: int, stop: int) -> dict[str, NDArray[np.generic]]:
        """Columns of the rows from ``start`` to before ``stop``; each an array of its own, aligned."""
        pieces = range(start, max(stop, start + 1), len(self._rows))
        columns: dict[str, NDArray[np.generic]] = {}
        for first in pieces:
            n = min(len(self._rows), stop - first)
            rows = self._node.read(first, first + n, out=self._rows[:n])
            for name in self._names:
                piece = self._transforms[name].inverse(rows[name]) if name in self._transforms else rows[name]
                if name not in columns:
                    columns[name] = np.empty((stop - start, *piece.shape[1:]), piece.dtype)
                columns[name][first - start : first - start + n] = piece
        return columns

    def read_rows(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
        """Columns of single rows, in the order given; slower than `read` by far."""
        found = self._node.read_coordinates(rows)
        return {
            name: self._transforms[name].inverse(found[name])
            if name in self._transforms
            else found[name].copy()
            for name in self._names
        }
