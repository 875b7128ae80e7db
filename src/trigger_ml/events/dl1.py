"""Reading ctapipe's DL1 HDF5 files in vectorized chunks (writing them: `write_dl1`)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import tables
from astropy.table import Table
from ctapipe.instrument import FocalLengthKind, SubarrayDescription
from ctapipe.io import read_table
from ctapipe.monitoring.interpolation import PointingInterpolator
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.events.dl1_writer import write_dl1
from trigger_ml.events.runs import SimulatedRun
from trigger_ml.events.table import EventTable, Truth

__all__ = [
    "SimulatedRun",
    "image_telescopes",
    "open_dl1",
    "read_dl1",
    "read_runs",
    "read_subarray",
    "write_dl1",
]

IMAGES = "/dl1/event/telescope/images"
PARAMETERS = "/dl1/event/telescope/parameters"
SHOWERS = "/simulation/event/subarray/shower"
TRUE_IMAGES = "/simulation/event/telescope/images"
WAVEFORMS = "/r1/event/telescope"
TRIGGERS = "/dl1/event/telescope/trigger"
ARRAY_TRIGGERS = "/dl1/event/subarray/trigger"
RUNS = "/configuration/simulation/run"
DISTRIBUTION = "/simulation/service/shower_distribution"
FIXED_POINTING = "/configuration/telescope/pointing"
MONITORED_POINTING = "/dl0/monitoring/telescope/pointing"

Ids = NDArray[np.int64]


@contextmanager
def open_dl1(path: Path) -> Iterator[tables.File]:
    """Open an HDF5 file for reading; damage found inside the block becomes an `InputError` too.

    Raises
    ------
    InputError
        If the file is missing, is no HDF5, is cut off, or a table in it lacks a column.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", "Check the path")
    try:
        if not tables.is_hdf5_file(str(path)):
            raise InputError(str(path), "is no HDF5 file", "Give a file that ctapipe-process wrote")
        with tables.open_file(str(path), mode="r") as h5:
            yield h5
    except tables.NoSuchNodeError as error:
        raise InputError(
            str(path), f"lacks a table ({_cause(error)})", "Give a ctapipe DL1 file with images"
        ) from error
    except KeyError as error:
        raise InputError(
            str(path), f"a table lacks the column {error}", "Give a file of ctapipe's data model v6 or later"
        ) from error
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


def read_subarray(path: Path) -> SubarrayDescription:
    """Telescopes, cameras and positions that a file describes.

    The effective focal length is used where the file gives it for all telescopes, else the nominal one.

    Raises
    ------
    InputError
        If the file cannot be read or describes no telescopes.
    """
    with open_dl1(path) as h5:
        if "/configuration/instrument/subarray/layout" not in h5:
            raise InputError(
                str(path), "describes no telescopes", "Give a file that ctapipe-process or trigger-ml wrote"
            )
        try:
            return SubarrayDescription.from_hdf(h5, focal_length_choice=FocalLengthKind.EFFECTIVE)
        except RuntimeError:
            return SubarrayDescription.from_hdf(h5, focal_length_choice=FocalLengthKind.EQUIVALENT)


def image_telescopes(path: Path) -> list[int]:
    """Telescope ids that have DL1 images in a file, ascending.

    Raises
    ------
    InputError
        If the file has no DL1 images.
    """
    with open_dl1(path) as h5:
        found = []
        if IMAGES in h5:
            found = [
                int(table.name.removeprefix("tel_"))
                for table in h5.iter_nodes(IMAGES, classname="Table")
                if "image" in table.colnames and table.nrows
            ]
    if not found:
        raise InputError(
            str(path),
            "has no DL1 images",
            "Make it with `ctapipe-process --write-images`, or give another file",
        )
    return sorted(found)


def _column(table: Table, name: str, unit: u.Unit) -> NDArray[np.float64]:
    """Column in a unit; columns without one are taken to have it."""
    column = table[name]
    values = np.asarray(column, dtype=np.float64)
    given = getattr(column, "unit", None)
    return values if given is None else np.asarray(u.Quantity(values, given).to_value(unit))


def _ids(table: Table, name: str) -> Ids:
    return np.asarray(table[name]).astype(np.int64)


def match_rows(obs: Ids, event: Ids, known_obs: Ids, known_event: Ids) -> Ids:
    """Row of each (obs, event) in a list of known pairs; -1 where it is not there."""
    found = np.full(len(obs), -1, dtype=np.int64)
    for run in np.unique(obs):
        mine, known = np.flatnonzero(obs == run), np.flatnonzero(known_obs == run)
        if len(known) == 0:
            continue
        order = known[np.argsort(known_event[known], kind="stable")]
        place = np.minimum(np.searchsorted(known_event[order], event[mine]), len(order) - 1)
        hit = known_event[order[place]] == event[mine]
        found[mine[hit]] = order[place[hit]]
    return found


@dataclass(frozen=True, eq=False)
class _Showers:
    obs_id: Ids
    event_id: Ids
    truth: Truth

    def of(self, obs_id: Ids, event_id: Ids, path: Path) -> Truth:
        rows = match_rows(obs_id, event_id, self.obs_id, self.event_id)
        if (rows < 0).any():
            row = int(np.flatnonzero(rows < 0)[0])
            raise InputError(
                f"{path}: event {event_id[row]} of observation {obs_id[row]}",
                "has an image but no simulated shower",
                "The file was merged or cut wrongly: make it again",
            )
        return self.truth[rows]


def _read_showers(h5: tables.File) -> _Showers | None:
    if SHOWERS not in h5:
        return None
    table = read_table(h5, SHOWERS)
    obs_id = _ids(table, "obs_id")
    energy = _column(table, "true_energy", u.TeV)
    alt, az = _column(table, "true_alt", u.rad), _column(table, "true_az", u.rad)
    height = _column(table, "true_h_first_int", u.m)
    # uses of one shower differ in the core only
    identity = np.nan_to_num(np.stack([obs_id.astype(np.float64), energy, alt, az, height]))
    _, shower_id = np.unique(identity, axis=1, return_inverse=True)
    truth = Truth(
        primary_id=_ids(table, "true_shower_primary_id"),
        energy=energy,
        alt=alt,
        az=az,
        core_x=_column(table, "true_core_x", u.m),
        core_y=_column(table, "true_core_y", u.m),
        h_first_int=height,
        x_max=_column(table, "true_x_max", u.g / u.cm**2)
        if "true_x_max" in table.colnames
        else np.full(len(table), np.nan),
        shower_id=shower_id.ravel().astype(np.int64),
    )
    return _Showers(obs_id, _ids(table, "event_id"), truth)


class _Telescope:
    """What is read once for a telescope: triggers and pointing."""

    def __init__(self, h5: tables.File, tel_id: int) -> None:
        self._h5 = h5
        self._tel_id = tel_id
        self._triggers: Table | None = None
        if TRIGGERS in h5:
            self._triggers = read_table(h5, TRIGGERS, condition=f"tel_id == {tel_id}")
        self._fixed: Table | None = None
        if f"{FIXED_POINTING}/tel_{tel_id:03d}" in h5:
            self._fixed = read_table(h5, f"{FIXED_POINTING}/tel_{tel_id:03d}")

    def _trigger_rows(self, obs_id: Ids, event_id: Ids) -> Ids:
        if self._triggers is None:
            return np.full(len(obs_id), -1, dtype=np.int64)
        return match_rows(obs_id, event_id, _ids(self._triggers, "obs_id"), _ids(self._triggers, "event_id"))

    def event_type(self, obs_id: Ids, event_id: Ids) -> Ids | None:
        if self._triggers is None or "event_type" not in self._triggers.colnames:
            return None
        rows = self._trigger_rows(obs_id, event_id)
        if (rows < 0).any():
            return None
        return _ids(self._triggers, "event_type")[rows]

    def pointing(self, obs_id: Ids, event_id: Ids) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Altitude and azimuth in radians; NaN where the file tells none."""
        alt, az = np.full(len(obs_id), np.nan), np.full(len(obs_id), np.nan)
        if self._fixed is not None:
            runs = _ids(self._fixed, "obs_id")
            for row, run in enumerate(runs):
                alt[obs_id == run] = _column(self._fixed, "telescope_pointing_altitude", u.rad)[row]
                az[obs_id == run] = _column(self._fixed, "telescope_pointing_azimuth", u.rad)[row]
        elif f"{MONITORED_POINTING}/tel_{self._tel_id:03d}" in self._h5 and self._triggers is not None:
            rows = self._trigger_rows(obs_id, event_id)
            if (rows >= 0).all() and len(rows):
                interpolate = PointingInterpolator(h5file=self._h5)
                altitude, azimuth = interpolate(self._tel_id, self._triggers["time"][rows])
                alt, az = altitude.to_value(u.rad), azimuth.to_value(u.rad)
        return alt, az


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
    present = image_telescopes(path)
    absent = sorted(set(tel_ids) - set(present))
    if absent:
        raise InputError(
            str(path),
            f"has no images of telescope {absent[0]}",
            f"It has those of {', '.join(map(str, present))}",
        )
    with open_dl1(path) as h5:
        showers = _read_showers(h5)
        for tel_id in tel_ids or present:
            name = f"tel_{tel_id:03d}"
            telescope = _Telescope(h5, tel_id)
            n_rows = h5.get_node(f"{IMAGES}/{name}").nrows
            for start in range(0, n_rows, chunk_size):
                stop = min(start + chunk_size, n_rows)
                images = read_table(h5, f"{IMAGES}/{name}", start=start, stop=stop)
                obs_id, event_id = _ids(images, "obs_id"), _ids(images, "event_id")
                image = np.asarray(images["image"], dtype=np.float32)
                if image.ndim != 2:
                    raise InputError(
                        f"{path}: telescope {tel_id}",
                        f"images have {image.shape[1]} gain channels",
                        "Process the file with gain selection (the default of ctapipe-process)",
                    )
                alt, az = telescope.pointing(obs_id, event_id)
                has_time = peak_time and "peak_time" in images.colnames
                yield EventTable(
                    obs_id=obs_id,
                    event_id=event_id,
                    tel_id=_ids(images, "tel_id"),
                    image=image,
                    peak_time=np.asarray(images["peak_time"], dtype=np.float32) if has_time else None,
                    pointing_alt=alt,
                    pointing_az=az,
                    truth=None if showers is None else showers.of(obs_id, event_id, path),
                    waveform=_waveform(h5, name, start, stop, obs_id, event_id, path) if waveform else None,
                    true_image=_true_image(h5, name, start, stop) if true_image else None,
                    event_type=telescope.event_type(obs_id, event_id),
                )


def _true_image(h5: tables.File, name: str, start: int, stop: int) -> NDArray[np.int32] | None:
    path = f"{TRUE_IMAGES}/{name}"
    if path not in h5 or "true_image" not in h5.get_node(path).colnames:
        return None
    return np.asarray(read_table(h5, path, start=start, stop=stop)["true_image"], dtype=np.int32)


def _waveform(
    h5: tables.File, name: str, start: int, stop: int, obs_id: Ids, event_id: Ids, path: Path
) -> NDArray[np.float32] | None:
    if f"{WAVEFORMS}/{name}" not in h5:
        return None
    table = read_table(h5, f"{WAVEFORMS}/{name}", start=start, stop=stop)
    if not (
        np.array_equal(_ids(table, "obs_id"), obs_id) and np.array_equal(_ids(table, "event_id"), event_id)
    ):
        raise InputError(
            f"{path}: {WAVEFORMS}/{name}",
            "waveforms and images are of different events",
            "Make the file again",
        )
    waveform = np.asarray(table["waveform"], dtype=np.float32)
    # data model v6 and later have an axis of gain channels
    return waveform[:, 0] if waveform.ndim == 4 else waveform


def read_runs(path: Path) -> list[SimulatedRun]:
    """How the showers of each observation of a simulated file were thrown.

    Raises
    ------
    InputError
        If the file cannot be read or is not simulated.
    """
    with open_dl1(path) as h5:
        if RUNS not in h5:
            raise InputError(
                str(path), "tells nothing about its simulation", "Give a file of simulated events"
            )
        table = read_table(h5, RUNS)
        thrown: dict[int, Any] = {}
        if DISTRIBUTION in h5:
            distribution = read_table(h5, DISTRIBUTION)
            energy = _column(distribution, "bins_energy", u.TeV)
            core = _column(distribution, "bins_core_dist", u.m)
            for row, obs_id in enumerate(_ids(distribution, "obs_id")):
                thrown[int(obs_id)] = {
                    "energy_edges": energy[row],
                    "core_edges": core[row],
                    "thrown": np.asarray(distribution["histogram"][row], dtype=np.float64),
                }
        columns = {
            "energy_min": _column(table, "energy_range_min", u.TeV),
            "energy_max": _column(table, "energy_range_max", u.TeV),
            "spectral_index": _column(table, "spectral_index", u.one),
            "max_core_distance": _column(table, "max_scatter_range", u.m),
            "pointing_alt": _column(table, "max_alt", u.rad),
            "pointing_az": _column(table, "max_az", u.rad),
            "view_cone": _column(table, "max_viewcone_radius", u.deg),
            "site_altitude": _column(table, "prod_site_alt", u.m),
        }
        n_showers, n_reuse = _ids(table, "n_showers"), _ids(table, "shower_reuse")
        return [
            SimulatedRun(
                obs_id=int(obs_id),
                n_showers=int(n_showers[row]),
                n_reuse=int(n_reuse[row]),
                **{name: float(values[row]) for name, values in columns.items()},  # type: ignore[arg-type]
                **thrown.get(int(obs_id), {}),
            )
            for row, obs_id in enumerate(_ids(table, "obs_id"))
        ]
