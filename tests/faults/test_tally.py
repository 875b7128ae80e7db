"""The count of bad inputs is the same for any number of workers, and too few fail a whole session."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tally import FAULTS, LEAST, PROPERTY, Tally, verbs, whole


def session(*arguments: str, worker: bool = False, **options: Any) -> Any:
    option = {
        "keyword": "", "markexpr": "not slow", "deselect": None, "ignore": None, "ignore_glob": None,
        "collectonly": False, **options,
    }  # fmt: skip
    config = SimpleNamespace(
        option=SimpleNamespace(**option),
        args=list(arguments),
        invocation_params=SimpleNamespace(dir=FAULTS.parents[1]),
    )
    if worker:
        config.workerinput = {}
    return SimpleNamespace(config=config, exitstatus=pytest.ExitCode.OK)


def finish(given: list[tuple[str, str]], of: Any) -> Tally:
    """A tally after two reports, half of what was given in each."""
    tally = Tally(of.config)
    for part in (given[::2], given[1::2]):
        for when in ("setup", "call", "teardown"):
            # as it comes from a worker: pairs are lists
            properties = [(PROPERTY, [list(pair) for pair in part]), ("other", 1)]
            tally.pytest_runtest_logreport(SimpleNamespace(when=when, user_properties=properties))
    tally.pytest_sessionfinish(of, of.exitstatus)
    return tally


ENOUGH = [(verb, ".h5") for verb in sorted(verbs())] * LEAST


@pytest.mark.parametrize(
    ("given", "lacks"),
    [
        (ENOUGH, []),
        (ENOUGH[: LEAST - 1], [f"fewer than {LEAST} bad inputs"]),
        ([pair for pair in ENOUGH if pair[0] != "emulate"], ["no bad input for emulate"]),
        ([], [f"fewer than {LEAST} bad inputs", f"no bad input for {', '.join(sorted(verbs()))}"]),
    ],
)
def test_a_whole_session_that_tries_too_little_fails(given: list[tuple[str, str]], lacks: list[str]) -> None:
    whole_session = session("tests")
    tally = finish(given, whole_session)
    assert tally.tried == given[::2] + given[1::2]
    assert tally.lacks == lacks
    assert (whole_session.exitstatus != pytest.ExitCode.OK) == bool(lacks)


def test_a_part_of_a_session_may_try_less() -> None:
    for part in (
        session("tests", worker=True),
        session("tests/faults/test_events.py"),
        session("tests/core"),
        session("tests", keyword="x"),
        session("tests", markexpr="slow"),
        session("tests", deselect=["x"]),
    ):
        finish([], part)
        assert part.exitstatus == pytest.ExitCode.OK


@pytest.mark.parametrize("argument", ["tests", ".", "tests/faults", str(FAULTS)])
def test_a_session_is_whole_with_all_folders_above(argument: str) -> None:
    assert whole(session(argument).config)
    assert not whole(session(str(Path(argument) / "test_events.py")).config)
