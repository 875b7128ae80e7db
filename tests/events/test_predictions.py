import numpy as np
import pytest
import tables
from ctapipe.io import TableLoader, read_table

from trigger_ml.core.errors import InputError
from trigger_ml.events.digicam import sst1m_subarray
from trigger_ml.events.predictions import write_dl2

TABLE = "/dl2/event/telescope/particle_type/trigger_ml/tel_001"


@pytest.fixture
def answers():
    """Six telescope events of four array events, out of order."""
    return {
        "obs_id": np.array([3, 3, 3, 2, 2, 3]),
        "event_id": np.array([7, 9, 7, 5, 9, 1]),
        "tel_id": np.array([2, 1, 1, 1, 2, 1]),
        "logit": np.array([0.5, -2.0, 3.0, 0.0, 1.0, -1.0]),
        "gammaness": 1 / (1 + np.exp(-np.array([0.5, -2.0, 3.0, 0.0, 1.0, -1.0]))),
    }


def test_ctapipe_reads_the_tables(tmp_path, answers):
    path = tmp_path / "out.dl2.h5"
    write_dl2(
        path,
        **answers,
        columns={"energy": np.arange(6.0)},
        event_type=np.full(6, 32),
        source={"network": "demo"},
    )
    table = read_table(path, TABLE)
    assert table["trigger_ml_tel_is_valid"].all()
    np.testing.assert_array_equal(table["event_id"], [7, 9, 5, 1])
    np.testing.assert_array_equal(table["trigger_ml_tel_logit"], [3, -2, 0, -1])
    np.testing.assert_array_equal(table["trigger_ml_tel_energy"], [2, 1, 3, 5])
    assert table["trigger_ml_tel_prediction"][2] == 0.5
    with tables.open_file(path) as h5:
        assert h5.root._v_attrs["CONTEXT NETWORK"] == "demo"
        assert h5.root._v_attrs["CTA PRODUCT DATA LEVELS"] == "DL2"
        assert h5.root._v_attrs["CTA CONTACT NAME"] == "unknown"


def test_table_loader_opens_the_file_by_itself(tmp_path, answers):
    path = tmp_path / "out.dl2.h5"
    write_dl2(path, **answers, subarray=sst1m_subarray([(0, 0, 0), (90, 0, 0)]), simulated=True)
    with TableLoader(path) as loader:
        events = loader.read_telescope_events(dl2=True)
        assert len(loader) == 5
    expected = {
        (obs, event, tel): logit
        for obs, event, tel, logit in zip(
            answers["obs_id"], answers["event_id"], answers["tel_id"], answers["logit"], strict=True
        )
    }
    found = {(row["obs_id"], row["event_id"], row["tel_id"]): row["trigger_ml_tel_logit"] for row in events}
    assert found == expected


def test_event_twice_is_refused_and_nothing_written(tmp_path, answers):
    answers["event_id"] = np.array([7, 9, 7, 5, 9, 9])
    with pytest.raises(InputError, match="event 9 of observation 3, telescope 1: is there 2 times"):
        write_dl2(tmp_path / "out.h5", **answers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("column", ["logit", "gammaness"])
def test_nan_is_refused(tmp_path, answers, column):
    answers[column] = answers[column].copy()
    answers[column][3] = np.nan
    with pytest.raises(
        InputError, match=r"event 5 of observation 2, telescope 1: its trigger_ml_tel_[a-z]* is nan"
    ):
        write_dl2(tmp_path / "out.h5", **answers)


def test_lengths_must_agree(tmp_path, answers):
    answers["logit"] = answers["logit"][:5]
    with pytest.raises(ValueError, match="trigger_ml_tel_logit has shape"):
        write_dl2(tmp_path / "out.h5", **answers)
