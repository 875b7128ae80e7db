"""The simulated queue against theory, and against an event list made by hand."""

import heapq
import math

import numpy as np
import pytest

from trigger_ml.core.errors import ConfigError
from trigger_ml.trigger.queueing import ReadOut, blocked, simulate_queue


def test_theory_of_one_place_is_erlang_s():
    for load in (0.01, 0.5, 1.0, 7.0):
        assert blocked(load, 1) == pytest.approx(load / (1 + load))


def test_theory_is_that_of_the_chain_solved_as_a_whole():
    """Numbers of customers that departures leave behind, as a matrix whose stationary vector numpy finds."""
    for load, places in ((0.7, 4), (1.0, 7), (2.5, 5)):
        pmf = [math.exp(-load) * load**j / math.factorial(j) for j in range(60)]
        step = np.zeros((places, places))
        for before in range(places):
            waiting = max(before - 1, 0)
            for j, p in enumerate(pmf):
                step[before, min(waiting + j, places - 1)] += p
        values, vectors = np.linalg.eig(step.T)
        behind = np.real(vectors[:, np.argmax(values.real)])
        idle = behind[0] / behind.sum()
        assert blocked(load, places) == pytest.approx(1 - 1 / (idle + load), rel=1e-9)


def test_theory_of_an_overload_is_what_does_not_fit():
    assert blocked(5.0, 200) == pytest.approx(0.8)
    assert blocked(0.5, 300) == pytest.approx(0, abs=1e-12)
    assert blocked(0.0, 3) == 0


@pytest.mark.parametrize(("load", "places"), [(0.3, 1), (0.6, 2), (0.9, 5), (1.0, 3), (2.0, 10)])
def test_losses_are_those_of_theory(load, places):
    row = simulate_queue(ReadOut(100, 150, places - 1), 1e6, load * 1e4, 400_000, 3)
    assert row.load == pytest.approx(load)
    assert row.full_exact == blocked(load, places)
    error = (row.full.high - row.full.low) / 2 / 2.09
    assert 0 < error < 0.01
    assert abs(row.full.value - row.full_exact) < 4 * error
    assert row.network_rate == pytest.approx(load * 1e4 * (1 - row.full_exact), rel=0.02)


def test_waiting_in_a_deep_queue_is_pollaczek_s_and_khinchine_s():
    load = 0.7
    row = simulate_queue(ReadOut(100, 250, 500, level0=30), 1e6, load * 1e4, 1_000_000, 5)
    waiting = load / (2 * (1 - load)) * 100
    assert row.latency_mean == pytest.approx(30 + 250 + waiting, rel=0.01)
    # Little: arrivals times the time from the arrival until the network is free again
    assert row.occupancy == pytest.approx(load / 100 * (waiting + 100), rel=0.02)
    assert row.full.value == 0
    assert 0 < row.full.high < 1e-5


def test_dead_time_without_a_network_is_the_textbook_s():
    """A network that takes no time: the read-out loses rate x dead time / (1 + rate x dead time)."""
    row = simulate_queue(ReadOut(1, 1, 1000, dead_time=500), 1e6, 2e3, 400_000, 7)
    load = 2e3 / 1e6 * 500
    assert row.busy.low - 0.003 < load / (1 + load) < row.busy.high + 0.003
    assert row.read_rate == pytest.approx(2e3 / (1 + load), rel=0.02)


def by_hand(path, per_clock, n, seed):
    """An event list; random numbers are drawn in the same order."""
    rng = np.random.default_rng(seed)
    now = free = busy = 0.0
    system = []
    full = late = lost = taken = read = 0
    for _ in range(n):
        now += rng.standard_exponential() / per_clock
        while system and system[0] <= now:
            heapq.heappop(system)
        if len(system) > path.depth:
            full += 1
            continue
        begin = max(now, free)
        free = begin + path.interval
        heapq.heappush(system, free)
        if rng.random() >= path.accepted:
            continue
        taken += 1
        if path.level0 + begin - now + path.latency > path.ring:
            late += 1
        elif begin + path.latency < busy:
            lost += 1
        else:
            busy = begin + path.latency + path.dead_time
            read += 1
    return full / n, late / taken, lost / taken, read


def test_every_loss_is_that_of_an_event_list(monkeypatch):
    path = ReadOut(100, 150, 6, level0=20, ring=520, dead_time=700, accepted=0.3)
    monkeypatch.setattr("trigger_ml.trigger.queueing.WARM_UP", 0.0)
    row = simulate_queue(path, 1.0, 0.008, 20_000, 11)
    full, late, lost, read = by_hand(path, 0.008, 20_000, 11)
    assert (row.full.value, row.late.value, row.busy.value) == pytest.approx((full, late, lost))
    assert min(full, late, lost) > 0
    assert read > 100
    assert row.latency_half <= row.latency_99 <= row.latency_longest + 100 / 32
    assert row.latency_half >= 170


def test_a_ring_that_is_deep_enough_loses_nothing():
    path = ReadOut(100, 150, 6, level0=20, ring=20 + 150 + 700, dead_time=0, accepted=0.3)
    row = simulate_queue(path, 1.0, 0.02, 50_000, 1)
    assert row.full.value > 0.4
    assert row.late.value == row.busy.value == 0


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"interval": 0}, "interval: is 0"),
        ({"depth": -1}, "depth: is -1"),
        ({"accepted": 1.5}, "accepted: is 1.5"),
        ({"ring": 100}, "every event would be lost"),
    ],
)
def test_impossible_values_are_refused(values, why):
    usual = {"interval": 10, "latency": 200, "depth": 4}
    with pytest.raises(ConfigError, match=why):
        ReadOut(**{**usual, **values})


@pytest.mark.parametrize(("rate", "n"), [(0, 100), (-1, 100), (math.nan, 100), (math.inf, 100), (1, 5)])
def test_impossible_rates_and_numbers_are_refused(rate, n):
    with pytest.raises(ConfigError):
        simulate_queue(ReadOut(10, 10, 1), 1e6, rate, n, 1)
