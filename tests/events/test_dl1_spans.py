"""Files piece by piece give the events that reading them whole gives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tables

from trigger_ml.events.dl1 import Dl1Reader, open_dl1, read_dl1, write_dl1
from trigger_ml.events.dl1_spans import Dl1Spans
from trigger_ml.events.table import EventTable, concatenate
from trigger_ml.instrument.digicam import sst1m_subarray

TRIGGERS = "/dl1/event/telescope/trigger"
N = 50


def events(telescopes: int) -> EventTable:
    """Array events of one or more telescopes, with times and kinds of their own."""
    rng = np.random.default_rng(telescopes)
    event_id = np.repeat(np.arange(N) * 3, telescopes)
    n = len(event_id)
    return EventTable(
        obs_id=np.full(n, 5), event_id=event_id, tel_id=np.tile(np.arange(1, telescopes + 1), N),
        image=rng.normal(size=(n, 1296)).astype(np.float32), peak_time=np.zeros((n, 1296), np.float32),
        pointing_alt=np.full(n, 1.2), pointing_az=np.full(n, 0.3),
        event_type=np.where(event_id % 2, 32, 2), time=1_700_000_000_123_456_789 + 7_000_000 * event_id,
    )  # fmt: skip


def read(path: Path, rows: int, chunk: int) -> EventTable:
    with open_dl1(path) as h5:
        reader = Dl1Reader(h5, path)
        spans = Dl1Spans(reader, reader.telescopes, peak_time=True, pointing=True)
        return concatenate([t for span in spans.spans(rows) for t in spans.read(span, chunk)])


@pytest.mark.parametrize("telescopes", [1, 2])
@pytest.mark.parametrize("shuffled", [False, True])
def test_pieces_are_the_whole(tmp_path: Path, telescopes: int, shuffled: bool) -> None:
    path = tmp_path / "events.h5"
    array = sst1m_subarray([(0, 0, 0), (90, 0, 0)][:telescopes])
    write_dl1(path, events(telescopes), array, parameters=False)
    if shuffled:
        with tables.open_file(path, "a") as h5:
            node = h5.get_node(TRIGGERS)
            node.modify_rows(
                0, node.nrows, rows=node.read()[np.random.default_rng(1).permutation(node.nrows)]
            )
    expected = concatenate(list(read_dl1(path, peak_time=True)))
    for rows, chunk in ((1000, 1000), (7, 3), (13, 64)):
        found = read(path, rows, chunk)
        for name in ("obs_id", "event_id", "tel_id", "image", "event_type", "time", "block", "pointing_alt"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_only_the_telescopes_that_were_chosen(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    write_dl1(path, events(2), sst1m_subarray([(0, 0, 0), (90, 0, 0)]), parameters=False)
    with tables.open_file(path, "a") as h5:
        # as files that are split by the telescopes' type
        group = h5.get_node("/dl1/event/telescope/images")
        rows = np.concatenate([group.tel_001.read(), group.tel_002.read()])
        for name in ("tel_001", "tel_002"):
            h5.remove_node(group, name)
        h5.create_table(group, "SST_1M", rows[np.random.default_rng(2).permutation(len(rows))])
    with open_dl1(path) as h5:
        spans = Dl1Spans(Dl1Reader(h5, path), [2])
        found = concatenate([t for span in spans.spans(9) for t in spans.read(span, 4)])
    assert set(found.tel_id) == {2}
    order = np.argsort(found.event_id)
    expected = events(2)[events(2).tel_id == 2]
    np.testing.assert_array_equal(found.image[order], expected.image)
    np.testing.assert_array_equal(found.time[order], expected.time)


def test_a_window_of_triggers_that_is_not_that_of_the_images(tmp_path: Path) -> None:
    """As many rows, but one event has another's place."""
    path = tmp_path / "events.h5"
    table = events(1)
    write_dl1(path, replace(table, time=table.time), sst1m_subarray(), parameters=False)
    with tables.open_file(path, "a") as h5:
        node = h5.get_node(TRIGGERS)
        rows = node.read()
        rows[[3, 40]] = rows[[40, 3]]
        node.modify_rows(0, len(rows), rows=rows)
    np.testing.assert_array_equal(read(path, 10, 10).time, table.time)
