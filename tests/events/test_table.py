import numpy as np
import pytest

from trigger_ml.events.table import EventTable, concatenate


def test_rows_are_chosen_in_every_column(make_events):
    events = make_events(10, samples=3)
    chosen = events[np.array([7, 2])]
    np.testing.assert_array_equal(chosen.event_id, events.event_id[[7, 2]])
    np.testing.assert_array_equal(chosen.truth.energy, events.truth.energy[[7, 2]])
    np.testing.assert_array_equal(chosen.waveform, events.waveform[[7, 2]])
    assert len(chosen.truth) == len(chosen) == 2


def test_concatenate_restores_what_was_divided(make_events):
    events = make_events(10)
    joined = concatenate([events[:3], events[3:]])
    np.testing.assert_array_equal(joined.image, events.image)
    np.testing.assert_array_equal(joined.truth.core_x, events.truth.core_x)


def test_concatenate_drops_a_column_that_one_table_lacks(make_events):
    joined = concatenate([make_events(2, samples=3), make_events(2)])
    assert joined.waveform is None
    assert joined.true_image is not None


def test_concatenate_nothing():
    with pytest.raises(ValueError, match="nothing"):
        concatenate([])


def test_columns_of_different_length_are_refused(make_events):
    events = make_events(4)
    with pytest.raises(ValueError, match="tel_id has 3 rows"):
        EventTable(
            events.obs_id, events.event_id, events.tel_id[:3], events.image, None,
            events.pointing_alt, events.pointing_az,
        )  # fmt: skip
