"""Writing ctapipe's DL1 HDF5 files, many events at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import astropy.units as u
import numpy as np
import tables
from astropy.table import Column, Table
from astropy.time import Time
from ctapipe.containers import (
    EventType,
    ObservationBlockContainer,
    PixelStatus,
    SchedulingBlockContainer,
)
from ctapipe.instrument import SubarrayDescription
from ctapipe.io import DataLevel, HDF5TableWriter, write_table
from ctapipe.io.tableio import FixedPointColumnTransform
from numpy.typing import NDArray

from trigger_ml.events.hdf5 import narrowed, written_hdf5
from trigger_ml.events.image_parameters import ANGLES, ImageParameters
from trigger_ml.events.monitoring import SIMULATION_START, Conditions, EventClock, write_conditions
from trigger_ml.events.provenance import write_reference
from trigger_ml.events.runs import SimulatedRun, write_runs
from trigger_ml.events.table import NO_TIME, EventTable, as_time, has_true_image, whole_array_events

__all__ = ["impact_distance", "write_dl1"]

# most pixels are noise: zstd, ctapipe's choice, saves 7 % of the space but unpacks eight times slower
FILTERS = tables.Filters(complevel=5, complib="blosc:lz4", fletcher32=True)
# 0.02 ns is far below any camera's resolution; half the bytes of a float, and of unpacking
PEAK_TIME = FixedPointColumnTransform(scale=50.0, offset=0, source_dtype=np.float32, target_dtype=np.int16)
# bytes of the rows that are written together: fewer are slow and make small HDF5 chunks
WRITE_BYTES = 64 * 2**20
type Index = dict[str, NDArray[np.integer]]
"""Columns that name the events of a table."""
# ctapipe's, so that tables can be joined without a conflict
DESCRIPTIONS = {
    "obs_id": "Observation Block ID",
    "event_id": "Array Event ID",
    "tel_id": "Telescope ID",
}


@dataclass
class _Writer:
    """One file being written; holds what must be known across chunks."""

    h5: HDF5TableWriter
    subarray: SubarrayDescription
    simulated: bool
    with_parameters: bool
    clock: EventClock
    pointed: set[tuple[int, int]] = field(default_factory=set)
    parameters: dict[int, ImageParameters] = field(default_factory=dict)
    levels: set[DataLevel] = field(default_factory=set)
    # of each table, to be compared with what can be read back
    rows: dict[str, int] = field(default_factory=dict)

    def append(self, path: str, columns: Mapping[str, object], prefixes: Sequence[str] = ()) -> None:
        table = Table(columns, copy=False)
        for name in table.colnames:
            field_name = name
            for prefix in prefixes:
                field_name = field_name.removeprefix(f"{prefix}_")
            # ctapipe's event source finds a container's fields by this name
            table[name].info.meta = (table[name].info.meta or {}) | {"NAME": field_name}
            if name in DESCRIPTIONS:
                table[name].description = DESCRIPTIONS[name]
        write_table(table, self.h5.h5file, path, append=True, filters=FILTERS)
        self.rows[path] = self.rows.get(path, 0) + len(table)

    def write(self, events: EventTable) -> None:
        """Append whole array events."""
        _, first, inverse = np.unique(
            np.stack([events.obs_id, events.event_id]), axis=1, return_index=True, return_inverse=True
        )
        # keep the order of the input, all telescopes of an array event together
        rank = np.argsort(np.argsort(first))
        place = rank[inverse.ravel()]
        order = np.lexsort((events.tel_id, place))
        events, place = events[order], place[order]
        same = (np.diff(place) == 0) & (np.diff(events.tel_id) == 0)
        if same.any():
            row = int(np.flatnonzero(same)[0])
            raise ValueError(
                f"event {events.event_id[row]} of observation {events.obs_id[row]} is given twice "
                f"for telescope {events.tel_id[row]}"
            )
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        self._write_array_events(events, place, starts)
        for tel_id in np.unique(events.tel_id):
            self._write_telescope(int(tel_id), events[events.tel_id == tel_id])

    def _write_array_events(
        self, events: EventTable, place: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> None:
        index: Index = {"obs_id": events.obs_id.astype(np.int64), "event_id": events.event_id}
        array_index = {name: column[starts] for name, column in index.items()}
        # what was recorded at an unknown time gets none that was made up
        simulated = events.truth is not None
        if events.time is None or (simulated and (events.time[starts] == NO_TIME).all()):
            times = self.clock.times(None if events.block is None else events.block[starts], len(starts))
        else:
            times = as_time(events.time[starts])
        triggered = np.zeros((len(starts), len(self.subarray)), dtype=bool)
        triggered[place, self.subarray.tel_ids_to_indices(events.tel_id)] = True
        kind = events.kinds
        enum = {"ENUM": EventType, "TRANSFORM": "enum"}
        self.append(
            "/dl1/event/subarray/trigger",
            {
                **array_index,
                "time": times,
                "tels_with_trigger": Column(triggered, meta={"TRANSFORM": "tel_list_to_mask"}),
                "event_type": Column(kind[starts], meta=enum),
            },
        )
        self.append(
            "/dl1/event/telescope/trigger",
            {
                **index,
                "tel_id": events.tel_id.astype(np.int16),
                "time": times[place],
                "event_type": Column(kind, meta=enum),
                "n_trigger_pixels": np.full(len(events), -1, dtype=np.int64),
            },
        )
        if events.truth is not None:
            truth = events.truth[starts]
            self.append(
                "/simulation/event/subarray/shower",
                {
                    **array_index,
                    "true_energy": truth.energy * u.TeV,
                    "true_alt": np.rad2deg(truth.alt) * u.deg,
                    "true_az": np.rad2deg(truth.az) * u.deg,
                    "true_core_x": truth.core_x * u.m,
                    "true_core_y": truth.core_y * u.m,
                    "true_h_first_int": truth.h_first_int * u.m,
                    "true_x_max": truth.x_max * u.g / u.cm**2,
                    "true_starting_grammage": np.zeros(len(starts)) * u.g / u.cm**2,
                    "true_shower_primary_id": truth.primary_id,
                },
                prefixes=["true"],
            )

    def _write_telescope(self, tel_id: int, events: EventTable) -> None:
        name = f"tel_{tel_id:03d}"
        index: Index = {
            "obs_id": events.obs_id.astype(np.int64),
            "event_id": events.event_id,
            "tel_id": narrowed(events.tel_id, np.int16, "telescope number"),
        }
        if tel_id not in self.parameters:
            self.parameters[tel_id] = ImageParameters(self.subarray.tel[tel_id].camera.geometry)
        mask = self.parameters[tel_id].clean(events.image)
        peak_time = np.zeros_like(events.image) if events.peak_time is None else events.peak_time
        self.append(
            f"/dl1/event/telescope/images/{name}",
            {
                **index,
                "image": events.image.astype(np.float32, copy=False),
                "peak_time": _fixed_point(peak_time),
                "image_mask": mask,
                "is_valid": np.ones(len(events), dtype=bool),
            },
        )
        self.levels.add(DataLevel.DL1_IMAGES)
        if self.with_parameters:
            self._write_parameters(
                f"/dl1/event/telescope/parameters/{name}", index, tel_id, events.image, mask
            )
            if events.true_image is not None and events.truth is not None:
                known = has_true_image(events)
                true_image = events.true_image[known].astype(np.float32)
                self._write_parameters(
                    f"/simulation/event/telescope/parameters/{name}",
                    {key: column[known] for key, column in index.items()},
                    tel_id,
                    true_image,
                    true_image > 0,
                    prefix="true_",
                )
            self.levels.add(DataLevel.DL1_PARAMETERS)
        if events.waveform is not None:
            self._write_waveforms(name, index, events.waveform)
        self._write_pointing(tel_id, name, index, events)
        if events.truth is not None:
            self._write_truth(tel_id, name, index, events)

    def _write_parameters(
        self,
        path: str,
        index: Index,
        tel_id: int,
        image: NDArray[np.float32],
        mask: NDArray[np.bool_],
        prefix: str = "",
    ) -> None:
        computed = self.parameters[tel_id].compute(image, mask)
        self.append(
            path,
            {
                **index,
                **{
                    prefix + key: column * u.deg if key.removeprefix("hillas_") in ANGLES else column
                    for key, column in computed.items()
                },
            },
            prefixes=[prefix + kind for kind in ("hillas", "leakage", "morphology")],
        )

    def _write_waveforms(self, name: str, index: Index, waveform: NDArray[np.float32]) -> None:
        n_events, n_pixels, _ = waveform.shape
        self.append(
            f"/r1/event/telescope/{name}",
            {
                **index,
                # R1 has an axis of gain channels before the pixels
                "waveform": waveform[:, np.newaxis].astype(np.float32, copy=False),
                "selected_gain_channel": np.zeros((n_events, n_pixels), dtype=np.int8),
                "pixel_status": np.full(
                    (n_events, n_pixels), PixelStatus.HIGH_GAIN_STORED.value, dtype=np.uint8
                ),
            },
        )
        self.levels.add(DataLevel.R1)

    def _write_pointing(self, tel_id: int, name: str, index: Index, events: EventTable) -> None:
        for obs_id in np.unique(events.obs_id):
            if (int(obs_id), tel_id) in self.pointed:
                continue
            self.pointed.add((int(obs_id), tel_id))
            row = int(np.flatnonzero(events.obs_id == obs_id)[0])
            self.append(
                f"/configuration/telescope/pointing/{name}",
                {
                    "obs_id": index["obs_id"][row : row + 1],
                    "tel_id": np.array([tel_id], dtype=np.int64),
                    "telescope_pointing_azimuth": events.pointing_az[row : row + 1].astype(np.float64)
                    * u.rad,
                    "telescope_pointing_altitude": events.pointing_alt[row : row + 1].astype(np.float64)
                    * u.rad,
                },
                prefixes=["telescope_pointing"],
            )

    def _write_truth(self, tel_id: int, name: str, index: Index, events: EventTable) -> None:
        truth = events.truth
        assert truth is not None
        if events.true_image is not None:
            known = has_true_image(events)
            true_image = events.true_image[known].astype(np.int32, copy=False)
            self.append(
                f"/simulation/event/telescope/images/{name}",
                {
                    **{key: column[known] for key, column in index.items()},
                    "true_image_sum": true_image.sum(axis=1, dtype=np.int32),
                    "true_image": true_image,
                },
            )
        core = np.stack([truth.core_x, truth.core_y, np.zeros(len(truth))], axis=1)
        distance = impact_distance(core, truth.alt, truth.az, self.subarray.positions[tel_id].to_value(u.m))
        self.append(
            f"/simulation/event/telescope/impact/{name}",
            {
                **index,
                "true_impact_distance": distance * u.m,
                "true_impact_distance_uncert": np.zeros(len(distance)) * u.m,
            },
            prefixes=["true_impact"],
        )

    def write_blocks(self) -> None:
        for obs_id in sorted({obs for obs, _ in self.pointed}):
            self.h5.write(
                "configuration/observation/scheduling_block",
                SchedulingBlockContainer(sb_id=np.uint64(obs_id), producer_id="trigger_ml"),
            )
            self.h5.write(
                "configuration/observation/observation_block",
                ObservationBlockContainer(
                    obs_id=np.uint64(obs_id), sb_id=np.uint64(obs_id), producer_id="trigger_ml"
                ),
            )

    def write_metadata(self, activity: str) -> None:
        write_reference(
            self.h5.h5file,
            simulated=self.simulated,
            levels=self.levels,
            obs_ids=[obs_id for obs_id, _ in self.pointed],
            subarray=self.subarray.name,
            activity=activity,
            description="trigger_ml events",
        )


def impact_distance(
    core: NDArray[np.float64],
    alt: NDArray[np.floating],
    az: NDArray[np.floating],
    telescope: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Distance of a telescope from the axes of showers.

    Parameters
    ----------
    core : numpy.ndarray, shape (n, 3)
        Metres, ground frame (x north, y west).
    alt, az : numpy.ndarray, shape (n,)
        Radians.
    telescope : numpy.ndarray, shape (3,)
        Metres.

    Returns
    -------
    numpy.ndarray, shape (n,)
        Metres.
    """
    axis = np.stack([np.cos(alt) * np.cos(az), -np.cos(alt) * np.sin(az), np.sin(alt)], axis=1)
    return np.asarray(np.linalg.norm(np.cross(telescope - core, axis), axis=1))


def _fixed_point(times: NDArray[np.float32]) -> Column:
    """Peak times as scaled 16-bit integers: ctapipe's writer offers this too, and its readers undo it."""
    with np.errstate(invalid="ignore"):  # NaN has a code of its own
        scaled = PEAK_TIME(times)
    meta = {key.removeprefix("CTAFIELD_n_"): value for key, value in PEAK_TIME.get_meta("n").items()}
    return Column(scaled, meta=meta)


def write_dl1(
    path: Path,
    events: EventTable | Iterable[EventTable],
    subarray: SubarrayDescription,
    *,
    runs: Sequence[SimulatedRun] | Callable[[], Sequence[SimulatedRun]] = (),
    conditions: Callable[[], Conditions] | None = None,
    start: Time = SIMULATION_START,
    parameters: bool = True,
    activity: str = "trigger-ml",
) -> int:
    """Write telescope events as ``ctapipe-process`` would, atomically.

    Memory stays bounded by the largest table that ``events`` yields.

    Parameters
    ----------
    path : pathlib.Path
        HDF5 file; replaced if there is one.
    events : EventTable or iterable of EventTable
        Rows of one array event must follow each other. All tables have the same optional columns: waveforms
        go to ``/r1``, true images and truth to ``/simulation``.
    subarray : ctapipe.instrument.SubarrayDescription
        Must have every telescope of the events.
    runs : sequence of SimulatedRun, or a function that gives one
        A function is called after the last event, when a generator knows what it has thrown.
    conditions : function that gives a Conditions, optional
        Called after the last event: pedestals and true conditions of the events' blocks.
    start : astropy.time.Time
        Of the first block.
    parameters : bool
        Clean the images and write Hillas and leakage parameters (dl1-data-handler needs them).
    activity : str
        Name written to the file's metadata.

    Returns
    -------
    int
        Telescope events written.

    Raises
    ------
    ValueError
        If an event is given twice, or blocks are not in ascending order.
    """
    chunks = [events] if isinstance(events, EventTable) else events
    n_written = 0
    rows: dict[str, int] = {}
    with written_hdf5(path, rows) as partial, HDF5TableWriter(str(partial), mode="w", filters=FILTERS) as h5:
        subarray.to_hdf(h5.h5file)
        clock = EventClock(start)
        writer = _Writer(h5, subarray, simulated=True, with_parameters=parameters, clock=clock, rows=rows)
        for chunk in whole_array_events(chunks, WRITE_BYTES):
            writer.simulated = chunk.truth is not None
            writer.write(chunk)
            n_written += len(chunk)
        write_runs(h5, runs() if callable(runs) else runs)
        if conditions is not None:
            write_conditions(h5.h5file, conditions(), FILTERS)
        writer.write_blocks()
        writer.write_metadata(activity)
    return n_written
