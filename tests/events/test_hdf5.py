import numpy as np
import pytest
import tables
from ctapipe.io import read_table

from trigger_ml.events import hdf5
from trigger_ml.events.dl1 import write_dl1
from trigger_ml.instrument.digicam import sst1m_subarray

IMAGES = "/dl1/event/telescope/images/tel_001"
COLUMNS = ("event_id", "image", "peak_time")


@pytest.mark.parametrize(("start", "stop"), [(0, 23), (0, 1), (2, 9), (4, 8), (22, 23), (5, 5)])
@pytest.mark.parametrize("rows_together", [0, 1, 4, 100])
def test_columns_are_those_of_ctapipe(tmp_path, monkeypatch, make_events, start, stop, rows_together):
    """Whatever number of rows is unpacked together, and wherever a chunk begins and ends."""
    path = tmp_path / "events.dl1.h5"
    write_dl1(path, make_events(23), sst1m_subarray())
    with tables.open_file(str(path)) as h5:
        node = h5.get_node(IMAGES)
        monkeypatch.setattr(hdf5, "READ_BYTES", rows_together * node.dtype.itemsize)
        reader = hdf5.ColumnReader(node, COLUMNS)
        columns = reader.read(start, stop)
        reader.read(0, 23)  # what was given stays as it was
        expected = read_table(h5, IMAGES, start=start, stop=stop)
    assert tuple(columns) == COLUMNS
    for name, column in columns.items():
        np.testing.assert_array_equal(column, np.asarray(expected[name]), err_msg=name)
        assert column.dtype == expected[name].dtype
        assert column.flags.aligned
        assert column.flags.c_contiguous
