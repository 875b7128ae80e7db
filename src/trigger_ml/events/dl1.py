"""Reading ctapipe's DL1 HDF5 files in vectorized chunks (writing them: `write_dl1`)."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import tables
from ctapipe.instrument import FocalLengthKind, SubarrayDescription
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import reading, reason
from trigger_ml.events.dead_pixels import MOST_IMAGES, silent_pixels
from trigger_ml.events.dl1_writer import write_dl1
from trigger_ml.events.hdf5 import ColumnReader, as_ids, open_dl1
from trigger_ml.events.joins import Companion, require_unique
from trigger_ml.events.monitoring import Conditions, conditions_of
from trigger_ml.events.provenance import require_data_model
from trigger_ml.events.runs import SimulatedRun, read_runs
from trigger_ml.events.showers import read_showers
from trigger_ml.events.table import NO_TRUE_IMAGE, EventTable
from trigger_ml.events.triggers import TelescopeTriggers

__all__ = [
    "Dl1Reader",
    "SimulatedRun",
    "image_telescopes",
    "open_dl1",
    "read_dl1",
    "read_runs",
    "read_subarray",
    "write_dl1",
]

IMAGES = "/dl1/event/telescope/images"
TRUE_IMAGES = "/simulation/event/telescope/images"
WAVEFORMS = "/r1/event/telescope"

FEW_IMAGES = 16
"""Images read at a time where some may suffice."""

Ids = NDArray[np.int64]


def read_subarray(path: Path) -> SubarrayDescription:
    """Telescopes, cameras and positions that a file describes.

    The effective focal length is used where the file gives it for all telescopes, else the nominal one.

    Raises
    ------
    InputError
        If the file cannot be read or describes no telescopes.
    """
    with open_dl1(path) as h5:
        return Dl1Reader(h5, path).subarray


def image_telescopes(path: Path) -> list[int]:
    """Telescope ids that have DL1 images in a file, ascending.

    Raises
    ------
    InputError
        If the file has no DL1 images.
    """
    with open_dl1(path) as h5:
        return Dl1Reader(h5, path).telescopes


class Dl1Reader:
    """An open DL1 file; `read_dl1` opens one for you.

    Parameters
    ----------
    h5 : tables.File
        From `open_dl1`.
    path : pathlib.Path
        Its name, for messages.
    known : tuple of (SubarrayDescription, Conditions), optional
        What an earlier reader of the same file found, which takes longer than reading thousands of events.
    """

    def __init__(
        self, h5: tables.File, path: Path, known: tuple[SubarrayDescription, Conditions] | None = None
    ) -> None:
        require_data_model(h5, str(path))
        self.h5 = h5
        self.path = path
        if known is not None:
            self.subarray, self.conditions = known

    @cached_property
    def subarray(self) -> SubarrayDescription:
        """Telescopes, cameras and positions; see `read_subarray`."""
        if "/configuration/instrument/subarray/layout" not in self.h5:
            raise InputError(
                str(self.path),
                "describes no telescopes",
                "Give a file that ctapipe-process or trigger-ml wrote",
            )
        why = "its description of the telescopes is of a version that this ctapipe does not read, or damaged"
        remedy = "Write it again with a ctapipe of these years (ctapipe-process), or give another file"
        try:
            return SubarrayDescription.from_hdf(self.h5, focal_length_choice=FocalLengthKind.EFFECTIVE)
        except RuntimeError:
            with reading(self.path, "ctapipe file", remedy):
                return SubarrayDescription.from_hdf(self.h5, focal_length_choice=FocalLengthKind.EQUIVALENT)
        except Exception as error:
            raise InputError(str(self.path), f"{why} ({reason(error)})", remedy) from error

    @cached_property
    def telescopes(self) -> list[int]:
        """Telescope ids that have images, ascending; see `image_telescopes`."""
        found = self._image_tables
        if not found:
            raise InputError(
                str(self.path),
                "has no DL1 images",
                "Make it with `ctapipe-process --write-images`, or give another file",
            )
        return sorted(found)

    @cached_property
    def conditions(self) -> Conditions:
        """Pedestals and conditions of the events' blocks; see `read_conditions`."""
        return conditions_of(self.h5)

    @cached_property
    def _image_tables(self) -> dict[int, dict[str, int]]:
        """For each telescope, the tables that have images of it, and how many.

        Files are split by telescope (``tel_001``) or by its type, where a table has several telescopes.
        """
        found: dict[int, dict[str, int]] = {}
        for table in self.h5.iter_nodes(IMAGES, classname="Table") if IMAGES in self.h5 else ():
            if "image" not in table.colnames or not table.nrows:
                continue
            number = table.name.removeprefix("tel_")
            if number != table.name and number.isdigit():
                found.setdefault(int(number), {})[table.name] = table.nrows
                continue
            for tel_id, rows in zip(*np.unique(table.col("tel_id"), return_counts=True), strict=True):
                found.setdefault(int(tel_id), {})[table.name] = int(rows)
        return found

    def silent(self, tel_id: int) -> NDArray[np.bool_]:
        """Pixels of a telescope that are NaN in all of its (first `MOST_IMAGES`) images, shape (pixels,)."""
        return silent_pixels(self._first_images(tel_id), self.subarray.tel[tel_id].camera.geometry.n_pixels)

    def _first_images(self, tel_id: int) -> Iterator[NDArray[np.float32]]:
        for name in self._image_tables[tel_id]:
            node = self.h5.get_node(f"{IMAGES}/{name}")
            reader = ColumnReader(node, ["tel_id", "image"])
            for start in range(0, min(node.nrows, MOST_IMAGES), FEW_IMAGES):
                columns = reader.read(start, min(start + FEW_IMAGES, node.nrows))
                image = np.asarray(columns["image"], dtype=np.float32)
                # images of several gain channels are refused where they are read
                if image.ndim == 2:
                    yield image[columns["tel_id"] == tel_id]

    def image_tables(self, tel_ids: Sequence[int]) -> list[str]:
        """Names of the tables that have images of some telescopes, each once."""
        return list(dict.fromkeys(name for tel_id in tel_ids for name in self._image_tables[tel_id]))

    def n_images(self, tel_ids: Sequence[int]) -> int:
        """Number of images of some telescopes."""
        return sum(sum(self._image_tables[tel_id].values()) for tel_id in tel_ids)

    def require(self, tel_ids: Sequence[int]) -> None:
        """Refuse telescopes that have no images.

        Raises
        ------
        InputError
        """
        absent = sorted(set(tel_ids) - set(self.telescopes))
        if absent:
            raise InputError(
                str(self.path),
                f"has no images of telescope {absent[0]}",
                f"It has those of {', '.join(map(str, self.telescopes))}",
            )

    def tables(
        self,
        tel_ids: Sequence[int] = (),
        *,
        chunk_size: int = 2048,
        peak_time: bool = False,
        true_image: bool = False,
        waveform: bool = False,
    ) -> Iterator[EventTable]:
        """Tables of events; see `read_dl1`."""
        self.require(tel_ids)
        h5, path = self.h5, self.path
        showers, conditions = read_showers(h5, path), self.conditions
        wanted = ["obs_id", "event_id", "tel_id", "image", *(["peak_time"] if peak_time else [])]
        for tel_id in tel_ids or self.telescopes:
            telescope = TelescopeTriggers(h5, tel_id, path)
            seen: dict[str, list[Ids]] = {"obs_id": [], "event_id": [], "row": []}
            for name in self._image_tables[tel_id]:
                node = h5.get_node(f"{IMAGES}/{name}")
                reader = ColumnReader(node, wanted)
                beside = _Beside(h5, name, tel_id, path, true_image=true_image, waveform=waveform)
                for start in range(0, node.nrows, chunk_size):
                    stop = min(start + chunk_size, node.nrows)
                    columns = reader.read(start, stop)
                    mine = columns["tel_id"] == tel_id
                    if not mine.any():
                        continue
                    if not mine.all():
                        columns = {key: column[mine] for key, column in columns.items()}
                    obs_id, event_id, tel = (as_ids(columns[key]) for key in ("obs_id", "event_id", "tel_id"))
                    for key, ids in (("obs_id", obs_id), ("event_id", event_id)):
                        seen[key].append(ids)
                    seen["row"].append(start + np.flatnonzero(mine))
                    image = np.asarray(columns["image"], dtype=np.float32)
                    if image.ndim != 2:
                        raise InputError(
                            f"{path}: telescope {tel_id}",
                            f"images have {image.shape[1]} gain channels",
                            "Process the file with gain selection (the default of ctapipe-process)",
                        )
                    rows = telescope.rows(obs_id, event_id)
                    alt, az = telescope.pointing(obs_id, rows)
                    yield EventTable(
                        obs_id=obs_id,
                        event_id=event_id,
                        tel_id=tel,
                        image=image,
                        peak_time=np.asarray(columns["peak_time"], np.float32)
                        if "peak_time" in columns
                        else None,
                        pointing_alt=alt,
                        pointing_az=az,
                        truth=None if showers is None else showers.of(obs_id, event_id, path),
                        waveform=beside.waveforms(start, stop, obs_id, event_id),
                        true_image=beside.true_images(start, stop, obs_id, event_id),
                        event_type=telescope.event_type(rows),
                        block=telescope.block(conditions, rows),
                        time=telescope.time(rows),
                    )
            if seen["row"]:
                obs_id, event_id, row = (np.concatenate(seen[key]) for key in ("obs_id", "event_id", "row"))
                require_unique(obs_id, event_id, f"{path}: {IMAGES}", row, f", telescope {tel_id}")


def read_dl1(
    path: Path,
    *,
    tel_ids: Sequence[int] = (),
    chunk_size: int = 2048,
    peak_time: bool = False,
    true_image: bool = False,
    waveform: bool = False,
) -> Iterator[EventTable]:
    """Telescope events of a ctapipe DL1 file, telescope by telescope.

    Parameters
    ----------
    path : pathlib.Path
        HDF5 file that ``ctapipe-process``, ``ctapipe-merge`` or `write_dl1` wrote.
    tel_ids : sequence of int
        Telescopes to read; empty means all that have images.
    chunk_size : int
        Most events in one table.
    peak_time, true_image, waveform : bool
        Read these columns too; None in the tables where the file has none.

    Yields
    ------
    EventTable
        Rows of one telescope, in the order of the file. ``truth`` is None where the file has no simulated
        showers.

    Raises
    ------
    InputError
        If the file cannot be read, has no images, or lacks a telescope asked for.
    """
    with open_dl1(path) as h5:
        yield from Dl1Reader(h5, path).tables(
            tel_ids, chunk_size=chunk_size, peak_time=peak_time, true_image=true_image, waveform=waveform
        )


class _Beside:
    """Tables that have a row for each image, where the file has them and they are asked for."""

    def __init__(
        self, h5: tables.File, name: str, tel_id: int, path: Path, *, true_image: bool, waveform: bool
    ) -> None:
        self._path = path

        def table(asked: bool, group: str, column: str) -> Companion | None:
            node = f"{group}/{name}"
            if not asked or node not in h5 or column not in h5.get_node(node).colnames:
                return None
            return Companion(h5.get_node(node), column, tel_id, str(path))

        self._true = table(true_image, TRUE_IMAGES, "true_image")
        self._waveform = table(waveform, WAVEFORMS, "waveform")

    def true_images(self, start: int, stop: int, obs_id: Ids, event_id: Ids) -> NDArray[np.int32] | None:
        if self._true is None:
            return None
        values, known = self._true.read(start, stop, obs_id, event_id)
        image = np.asarray(values, dtype=np.int32)
        image[~known] = NO_TRUE_IMAGE
        return image

    def waveforms(self, start: int, stop: int, obs_id: Ids, event_id: Ids) -> NDArray[np.float32] | None:
        if self._waveform is None:
            return None
        values, known = self._waveform.read(start, stop, obs_id, event_id)
        if not known.all():
            row = int(np.flatnonzero(~known)[0])
            raise InputError(
                f"{self._path}: event {event_id[row]} of observation {obs_id[row]}",
                "has an image but no waveform",
                "Make the file again",
            )
        waveform = np.asarray(values, dtype=np.float32)
        # data model v6 and later have an axis of gain channels
        return waveform[:, 0] if waveform.ndim == 4 else waveform
