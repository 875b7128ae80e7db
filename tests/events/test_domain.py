from pathlib import Path

import numpy as np
import pytest

from trigger_ml.core.errors import InputError
from trigger_ml.events.domain import (
    Domain,
    DomainGuard,
    Place,
    add_tallies,
    dark_fraction,
    training_domain,
)

FILE = Path("night.h5")


@pytest.fixture
def domain():
    spread = np.linspace(1.0, 2.0, 1001)
    return training_domain({"pedestal": 2 * spread, "spread": spread, "dark": spread / 2}, None)


def test_ranges_are_those_of_the_training(domain):
    assert domain.ranges["spread"] == (1.0, 2.0)
    # of single events the outermost half per cent on either side does not count
    assert domain.ranges["dark"] == pytest.approx((0.5025, 0.9975))
    assert domain.triggers == ("SUBARRAY",)
    assert Domain.from_dict(domain.to_dict()) == domain


def test_a_value_is_inside_at_the_edge_or_outside(domain):
    # a tenth of the width beyond the range is the edge
    places = domain.place("spread", [1.0, 1.5, 2.0, 0.95, 2.09, 0.85, 2.2, np.nan])
    assert places.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


def test_a_training_at_one_night_sky_still_has_an_edge():
    domain = training_domain({"spread": np.full(10, 2.0)}, [32])
    assert domain.place("spread", [2.0, 2.05, 2.2]).tolist() == [Place.INSIDE, Place.EDGE, Place.OUTSIDE]


def test_fewer_dead_pixels_than_in_the_training_are_no_other_condition():
    domain = training_domain({"dead": np.linspace(0.01, 0.02, 11)}, [32])
    assert domain.place("dead", [0.0, 0.005, 0.0205, 0.03, np.nan]).tolist() == [0, 0, 1, 2, 2]


def test_half_of_the_events_outside_is_refused(domain):
    guard = DomainGuard(domain)
    places, tallies = guard.places({"spread": np.array([1.5, 1.6, 5.0])})
    assert places.tolist() == [0, 0, 2]
    guard.judge(tallies, FILE)
    expected = (
        r"night\.h5: median spread of that charge: 4\.5 p\.e\., the network was trained from 1 to 2: "
        r"its answers would mean nothing"
    )
    with pytest.raises(InputError, match=expected) as caught:
        guard.judge(guard.places({"spread": np.array([4.0, 5.0])})[1], FILE)
    assert "--outside-domain" in caught.value.remedy


def test_a_file_is_judged_whole_however_it_is_divided(domain):
    guard = DomainGuard(domain)
    rng = np.random.default_rng(0)
    values = {
        "spread": np.concatenate([np.full(49, 5.0), rng.uniform(1, 2, 51)]),
        "dark": rng.uniform(0, 1, 100),
    }
    values["spread"][60] = np.nan
    whole = guard.places(values)[1]
    for size in (1, 7, 50):
        parts = [
            guard.places({name: column[i : i + size] for name, column in values.items()})[1]
            for i in range(0, 100, size)
        ]
        total = add_tallies(parts)
        assert guard.warnings(total) == guard.warnings(whole)
        for name, tally in total.items():
            assert tally.mean == pytest.approx(whole[name].mean)
        # fifty of a hundred, though the first parts are outside altogether
        with pytest.raises(InputError):
            guard.judge(total, FILE)
        guard.judge(add_tallies([total, guard.places({"spread": np.array([1.5])})[1]]), FILE)


def test_what_is_accepted_outside_is_told(domain):
    guard = DomainGuard(domain)
    tallies = guard.places({"spread": np.array([4.0, 2.05, 1.2]), "dark": np.array([0.7, 0.7, 0.7])})[1]
    assert guard.warnings(tallies) == (
        "1 of 3 events at the edge of the training's conditions: median spread of that charge 1.2 to 4 p.e., "
        "trained from 1 to 2",
        "1 of 3 events outside the training's conditions: median spread of that charge 1.2 to 4 p.e., "
        "trained from 1 to 2",
    )


def test_a_network_that_does_not_tell_is_not_judged():
    guard = DomainGuard.of_network({})
    places, tallies = guard.places({"spread": np.array([99.0])})
    assert places.tolist() == [0]
    guard.judge(tallies, FILE)
    assert "does not tell" in guard.warnings(tallies)[0]


def test_dark_pixels_are_those_that_count_nothing():
    counts = np.zeros((2, 3, 3, 2), dtype=np.uint8)
    counts[0, :2, :2, 0] = 5
    # the second channel does not matter, nor the cells without a pixel
    counts[1, :, :, 1] = 9
    assert dark_fraction(counts, 8).tolist() == [0.5, 1.0]
