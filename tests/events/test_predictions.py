import astropy.units as u
import numpy as np
import pytest
import tables
from ctapipe.io import TableLoader, read_table

from trigger_ml.core.errors import InputError
from trigger_ml.events.predictions import read_answers, write_answers
from trigger_ml.instrument.digicam import sst1m_subarray

TABLE = "/dl2/event/telescope/particle_type/trigger_ml/tel_001"


@pytest.fixture
def answers():
    """Six telescope events of four array events, out of order."""
    return {
        "obs_id": np.array([3, 3, 3, 2, 2, 3]),
        "event_id": np.array([7, 9, 7, 5, 9, 1]),
        "tel_id": np.array([2, 1, 1, 1, 2, 1]),
        "answers": {
            "prediction": 1 / (1 + np.exp(-np.array([0.5, -2.0, 3.0, 0.0, 1.0, -1.0]))),
            "logit": np.array([0.5, -2.0, 3.0, 0.0, 1.0, -1.0]),
        },
    }


def test_ctapipe_reads_the_tables(tmp_path, answers):
    path = tmp_path / "out.dl2.h5"
    answers["answers"]["energy"] = np.arange(6.0)
    write_answers(
        path,
        "type",
        **answers,
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
    write_answers(path, "type", **answers, subarray=sst1m_subarray([(0, 0, 0), (90, 0, 0)]), simulated=True)
    with TableLoader(path) as loader:
        events = loader.read_telescope_events(dl2=True)
        assert len(loader) == 5
    expected = {
        (obs, event, tel): logit
        for obs, event, tel, logit in zip(
            *(answers[name] for name in ("obs_id", "event_id", "tel_id")),
            answers["answers"]["logit"],
            strict=True,
        )
    }
    found = {(row["obs_id"], row["event_id"], row["tel_id"]): row["trigger_ml_tel_logit"] for row in events}
    assert found == expected


def test_event_twice_is_refused_and_nothing_written(tmp_path, answers):
    answers["event_id"] = np.array([7, 9, 7, 5, 9, 9])
    with pytest.raises(InputError, match="event 9 of observation 3, telescope 1: is there 2 times"):
        write_answers(tmp_path / "out.h5", "type", **answers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("column", ["logit", "prediction"])
def test_nan_is_refused(tmp_path, answers, column):
    answers["answers"][column][3] = np.nan
    with pytest.raises(
        InputError, match=r"event 5 of observation 2, telescope 1: its trigger_ml_tel_[a-z]* is nan"
    ):
        write_answers(tmp_path / "out.h5", "type", **answers)


def test_lengths_must_agree(tmp_path, answers):
    answers["answers"]["logit"] = answers["answers"]["logit"][:5]
    with pytest.raises(ValueError, match="trigger_ml_tel_logit has shape"):
        write_answers(tmp_path / "out.h5", "type", **answers)


IDS = {"obs_id": np.array([1, 1, 2]), "event_id": np.array([4, 5, 4]), "tel_id": np.array([2, 1, 1])}


def test_energies_and_directions_have_ctapipes_columns(tmp_path):
    energy, alt, az = np.array([0.5, 20.0, 3.0]), np.array([69.0, 70.0, 71.0]), np.array([0.1, 359.9, 180.0])
    write_answers(tmp_path / "energy.h5", "energy", {"energy": energy * u.TeV}, **IDS, prefix="net")
    answers = {"alt": alt * u.deg, "az": az * u.deg}
    array = sst1m_subarray([(0, 0, 0), (90, 0, 0)])
    write_answers(tmp_path / "dir.h5", "direction", answers, **IDS, prefix="net", subarray=array)
    with TableLoader(tmp_path / "dir.h5") as loader:
        found = loader.read_telescope_events(dl2=True)
    assert found["net_tel_alt"].unit == u.deg
    assert {"net_tel_alt", "net_tel_az", "net_tel_is_valid"} <= set(found.colnames)
    one = read_table(tmp_path / "energy.h5", "/dl2/event/telescope/energy/net/tel_001")
    np.testing.assert_array_equal(one["net_tel_energy"].quantity.to_value("GeV"), [20000, 3000])
    both = read_answers(tmp_path / "dir.h5", "direction", "net")
    assert set(both.colnames) == {"obs_id", "event_id", "tel_id", "alt", "az", "is_valid"}
    assert sorted(both["az"]) == sorted(az)
    with pytest.raises(InputError, match="holds no /dl2/event/telescope/energy/net"):
        read_answers(tmp_path / "dir.h5", "energy", "net")
