"""One way to open whatever holds telescope images."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ctapipe.instrument import CameraGeometry, SubarrayDescription
from numpy.typing import NDArray

from trigger_ml.core.errors import CameraMismatchError, InputError
from trigger_ml.core.files import require_file
from trigger_ml.events.dead_pixels import silent_by_telescope
from trigger_ml.events.dl1 import Dl1Reader, open_dl1, read_dl1
from trigger_ml.events.dl1_spans import Dl1Spans
from trigger_ml.events.monitoring import Conditions
from trigger_ml.events.pedestals import FileNoise, find_noise
from trigger_ml.events.provenance import is_simulated
from trigger_ml.events.raw import SimtelReader, read_zfits
from trigger_ml.events.table import EventTable
from trigger_ml.instrument.camera import AxialGrid, axial_grid
from trigger_ml.instrument.digicam import digicam

__all__ = ["EventSource", "open_events", "require_camera", "source_noise"]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
FITS_MAGIC = b"SIMPLE"
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, eq=False)
class EventSource:
    """Events of one camera in a file, and where its pixels are.

    An image of DigiCam looks the same to a network whichever file it came from. Simulated files (prod4, the
    SST-1M array) and `digicam_geometry` give every pixel number the same place to 10 micrometres, hence the
    same cell. Raw files carry only software pixel numbers: those of the camera's configuration table are
    these same numbers, with its axes turned (x = -y, y = -x of the table), and sums over that table's patches
    give the trigger inputs that the camera recorded beside its waveforms. The tests check both.

    Parameters
    ----------
    path : pathlib.Path
    kind : str
        ``ctapipe`` (HDF5), ``simtel`` or ``digicam`` (zfits).
    geometry : ctapipe.instrument.CameraGeometry
    grid : AxialGrid
        From that geometry.
    subarray : ctapipe.instrument.SubarrayDescription or None
        None for raw data.
    simulated : bool
    conditions : Conditions or None
        Pedestals of the file's monitoring tables; None where it has none.
    tel_ids : tuple of int
        Telescopes of that camera; only of ``ctapipe``.
    """

    path: Path
    kind: str
    geometry: CameraGeometry
    grid: AxialGrid
    subarray: SubarrayDescription | None
    simulated: bool
    conditions: Conditions | None
    _read: Callable[[], Iterator[EventTable]]
    tel_ids: tuple[int, ...] = ()
    _conditions: Conditions | None = None

    def __iter__(self) -> Iterator[EventTable]:
        """Tables of events; each with at most (simtel: about) the chunk size."""
        return self._read()

    def silent(self) -> dict[int, NDArray[np.bool_]]:
        """For each telescope, pixels that are NaN in all of its first images, shape (pixels,)."""
        if self.kind != "ctapipe":
            return silent_by_telescope(self._read(), self.grid.n_pixels)
        with self._reader() as reader:
            return {tel_id: reader.silent(tel_id) for tel_id in self.tel_ids}

    @contextmanager
    def _reader(self) -> Iterator[Dl1Reader]:
        assert self.subarray is not None
        assert self._conditions is not None
        with open_dl1(self.path) as h5:
            yield Dl1Reader(h5, self.path, (self.subarray, self._conditions))

    @contextmanager
    def spans(self, *, peak_time: bool = False, pointing: bool = False) -> Iterator[Dl1Spans]:
        """The open file, to be read piece by piece; only of kind ``ctapipe``.

        Parameters
        ----------
        peak_time, pointing : bool
            Read these too.
        """
        with self._reader() as reader:
            yield Dl1Spans(reader, self.tel_ids, peak_time=peak_time, pointing=pointing)


def _one_camera(names: list[str], camera: str | None, path: Path) -> str:
    """The camera asked for, or the only one.

    Raises
    ------
    CameraMismatchError
    """
    unique = sorted(set(names))
    if camera is None and len(unique) == 1:
        return unique[0]
    if camera in unique:
        return str(camera)
    if camera is None:
        raise CameraMismatchError(
            str(path),
            f"has several cameras ({', '.join(unique)})",
            "Say which one, or give one camera's file",
        )
    raise CameraMismatchError(
        str(path), f"has camera {', '.join(unique)}, not {camera}", f"Give a file with events of {camera}"
    )


def open_events(
    path: Path,
    *,
    chunk_size: int = 1024,
    camera: str | None = None,
    peak_time: bool = True,
    waveform: bool = False,
) -> EventSource:
    """Open a ctapipe HDF5, sim_telarray or raw DigiCam file; the content decides which it is.

    Parameters
    ----------
    path : pathlib.Path
    chunk_size : int
        Most events in one table.
    camera : str, optional
        Needed only for a file with several.
    peak_time, waveform : bool
        Read these columns too, where the file has them.

    Returns
    -------
    EventSource
        Iterate over it to read.

    Raises
    ------
    InputError
        If the file is missing or of an unknown kind (reading may raise it later, if the file is damaged).
    CameraMismatchError
        If the file lacks the camera, or has several and none is named.
    """
    path = Path(path)
    require_file(path)
    with path.open("rb") as stream:
        magic = stream.read(8)
    if magic == HDF5_MAGIC:
        return _open_ctapipe(path, chunk_size, camera, peak_time, waveform)
    if magic.startswith(FITS_MAGIC):
        recorded = digicam()
        _one_camera([recorded.name], camera, path)
        return EventSource(
            path=path,
            kind="digicam",
            geometry=recorded.geometry,
            grid=recorded.grid,
            subarray=None,
            simulated=False,
            conditions=None,
            _read=lambda: read_zfits(path, chunk_size=chunk_size, waveform=waveform),
        )
    if magic.startswith(GZIP_MAGIC) and _unpacked(path).startswith(FITS_MAGIC):
        raise InputError(
            str(path), "is a FITS file packed with gzip, no DigiCam raw data", "Give a DigiCam .fits.fz file"
        )
    if ".simtel" in path.suffixes or path.suffix in (".gz", ".zst"):
        return _open_simtel(path, chunk_size, camera, waveform)
    raise InputError(
        str(path),
        "is neither HDF5, sim_telarray nor FITS",
        "Give a ctapipe .h5, a .simtel(.gz, .zst) or a DigiCam .fits.fz file",
    )


def _unpacked(path: Path) -> bytes:
    """The first bytes inside a gzip file; none if it is damaged."""
    try:
        with gzip.open(path) as stream:
            return stream.read(8)
    except (OSError, EOFError, zlib.error):
        return b""


def _open_ctapipe(
    path: Path, chunk_size: int, camera: str | None, peak_time: bool, waveform: bool
) -> EventSource:
    with open_dl1(path) as h5:
        reader = Dl1Reader(h5, path)
        subarray, conditions, simulated = reader.subarray, reader.conditions, is_simulated(h5)
        cameras = {tel_id: subarray.tel[tel_id].camera.name for tel_id in reader.telescopes}
    name = _one_camera(list(cameras.values()), camera, path)
    tel_ids = tuple(tel_id for tel_id, own in cameras.items() if own == name)
    geometry = subarray.tel[tel_ids[0]].camera.geometry
    return EventSource(
        path=path,
        kind="ctapipe",
        geometry=geometry,
        grid=axial_grid(geometry),
        subarray=subarray,
        simulated=simulated,
        conditions=conditions if len(conditions) else None,
        _read=lambda: read_dl1(
            path, tel_ids=tel_ids, chunk_size=chunk_size, peak_time=peak_time, waveform=waveform
        ),
        tel_ids=tel_ids,
        _conditions=conditions,
    )


def _open_simtel(path: Path, chunk_size: int, camera: str | None, waveform: bool) -> EventSource:
    reader = SimtelReader(path)
    cameras = {tel_id: telescope.camera.name for tel_id, telescope in reader.subarray.tel.items()}
    name = _one_camera(list(cameras.values()), camera, path)
    first = next(tel_id for tel_id, own in cameras.items() if own == name)
    geometry = reader.subarray.tel[first].camera.geometry

    def read() -> Iterator[EventTable]:
        # a reader is used up by one pass
        return SimtelReader(path).tables(name, chunk_size=chunk_size, waveform=waveform)

    return EventSource(
        path=path,
        kind="simtel",
        geometry=geometry,
        grid=axial_grid(geometry),
        subarray=reader.subarray,
        simulated=True,
        conditions=None,
        _read=read,
    )


def source_noise(source: EventSource) -> FileNoise:
    """The noise of a source's events; see `find_noise`."""
    return find_noise(source.conditions, source, str(source.path))


def require_camera(source: EventSource, grid: AxialGrid) -> None:
    """Refuse events that a network was not made for.

    Parameters
    ----------
    source : EventSource
    grid : AxialGrid
        Of the network's input.

    Raises
    ------
    CameraMismatchError
        If the camera, or the outline of its images on the grid, is another.
    """
    if source.grid.camera != grid.camera or not source.grid.same_layout(grid):
        other = source.grid

        def size(grid: AxialGrid) -> str:
            return f"{grid.n_pixels} pixels on {grid.shape[0]} x {grid.shape[1]}"

        raise CameraMismatchError(
            str(source.path),
            f"has camera {other.camera} ({size(other)}), "
            f"the network was made for {grid.camera} ({size(grid)})",
            f"Give events of {grid.camera}, or a network made for {other.camera}",
        )
