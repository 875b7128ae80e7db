"""The events of a dataset read again from their files: what of them was not kept."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ctapipe.instrument import CameraGeometry
from numpy.typing import NDArray

from trigger_ml.core.config import EventsConfig
from trigger_ml.core.errors import InputError
from trigger_ml.events.camera_input import CameraInput
from trigger_ml.events.dataset import Dataset, Indices
from trigger_ml.events.dl1 import Dl1Reader, open_dl1
from trigger_ml.events.joins import RowIndex
from trigger_ml.events.quantize import channel_values
from trigger_ml.events.table import EventTable

__all__ = ["charges", "read_again"]


def read_again(
    dataset: Dataset, config: EventsConfig
) -> Iterator[tuple[Indices, EventTable, CameraGeometry, CameraInput]]:
    """Events with all channels of the input, dead pixels treated as for networks, in the order of the files.

    Parameters
    ----------
    dataset : Dataset
    config : EventsConfig
        With which it was loaded.

    Yields
    ------
    rows : numpy.ndarray of int64, shape (n,)
        Of the dataset; each row comes once.
    table : EventTable
        These n events.
    geometry : ctapipe.instrument.CameraGeometry
    feed : CameraInput
        Of the file.

    Raises
    ------
    InputError
        If a file cannot be read again, or lacks the image of an event.
    """
    missing = np.ones(len(dataset), dtype=bool)
    # what makes an event usable is asked of all channels again
    peak_time = "peak_time" in config.input.channels
    for number, path in enumerate(dataset.files):
        of_file = np.flatnonzero(dataset.file_index == number)
        if not len(of_file):
            continue
        tel_ids = np.unique(dataset.tel_id[of_file]).tolist()
        rows_of = {tel_id: of_file[dataset.tel_id[of_file] == tel_id] for tel_id in tel_ids}
        index = {i: RowIndex(dataset.obs_id[rows], dataset.event_id[rows]) for i, rows in rows_of.items()}
        with open_dl1(Path(path)) as h5:
            reader = Dl1Reader(h5, Path(path))
            feed = CameraInput.of_reader(reader, tel_ids, config)
            geometry = reader.subarray.tel[tel_ids[0]].camera.geometry
            # a table has the events of one telescope
            for table in reader.tables(tel_ids, peak_time=peak_time):
                tel_id = int(table.tel_id[0])
                place = index[tel_id].find(table.obs_id, table.event_id)
                rows = rows_of[tel_id][place[place >= 0]]
                if not len(rows):
                    continue
                yield rows, feed.prepare(table)[0][place >= 0], geometry, feed
                missing[rows] = False
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise InputError(
            f"{dataset.files[dataset.file_index[row]]}: event {dataset.event_id[row]}",
            "has no image there any more",
            "Run the experiment again from its event files",
        )


def charges(dataset: Dataset, config: EventsConfig) -> Iterator[tuple[Indices, NDArray[np.float32]]]:
    """Images as the files give them, before a pedestal, a threshold or rounding: what off-line models see.

    Parameters
    ----------
    dataset : Dataset
    config : EventsConfig
        With which it was loaded.

    Yields
    ------
    rows : numpy.ndarray of int64, shape (n,)
    images : numpy.ndarray of float32, shape (n, H, W, C)
        Photo-electrons, and nanoseconds in the channel ``peak_time``; cells without a pixel are 0.
    """
    channels = config.input.channels
    for rows, table, _, feed in read_again(dataset, config):
        layers = [feed.grid.to_grid(channel_values(table, channel)) for channel in channels]
        yield rows, np.stack(layers, axis=-1).astype(np.float32)
