"""The bad inputs that a session gave to the product: how many, to which verbs, in which formats.

Tests of ``tests/faults`` report what they gave as a property; where the tests run beside each other, their
reports come to the process that prints, so that the number is the same for any number of workers.
"""

from pathlib import Path
from typing import Any

import pytest

from trigger_ml.cli import app

PROPERTY = "bad_inputs"
FAULTS = Path(__file__).parent / "faults"
LEAST = 300
# takes no file and makes none
WITHOUT_INPUT = {"schema"}


def verbs() -> set[str]:
    """All verbs that are given an input."""
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    return names - WITHOUT_INPUT


class Tally:
    """Counts what the reports say, and fails a whole session that tried too little."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.tried: list[tuple[str, str]] = []
        self.lacks: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what one test tried."""
        if report.when == "teardown":
            for name, given in report.user_properties:
                if name == PROPERTY:
                    self.tried += [(verb, kind) for verb, kind in given]

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail if all of ``tests/faults`` ran and was too little; a worker knows its part only."""
        if (
            hasattr(self._config, "workerinput")
            or exitstatus != pytest.ExitCode.OK
            or not whole(self._config)
        ):
            return
        if len(self.tried) < LEAST:
            self.lacks.append(f"fewer than {LEAST} bad inputs")
        if untried := sorted(verbs() - {verb for verb, _ in self.tried}):
            self.lacks.append(f"no bad input for {', '.join(untried)}")
        if self.lacks:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        """Print the number."""
        if self.tried:
            tried = {verb for verb, _ in self.tried} & verbs()
            formats = {kind for _, kind in self.tried}
            ending = "; see what failed"
            if exitstatus == pytest.ExitCode.OK:
                ending = ": each refused in one line, none a traceback, none with anything half-written"
            terminalreporter.write_line(
                f"{len(self.tried)} bad inputs over {len(tried)} verbs and {len(formats)} formats{ending}"
            )
        for lack in self.lacks:
            terminalreporter.write_line(f"FAILED tests/faults: {lack}", red=True)


def whole(config: pytest.Config) -> bool:
    """Whether the session leaves nothing out of ``tests/faults`` but what is slow."""
    option = config.option
    left_out = (
        option.keyword or option.deselect or option.ignore or option.ignore_glob or option.collectonly
        or getattr(option, "lf", False) or getattr(option, "stepwise", False)
    )  # fmt: skip
    below = config.invocation_params.dir
    return (
        not left_out
        and option.markexpr in ("", "not slow")
        and any(FAULTS.is_relative_to((below / argument).resolve()) for argument in config.args)
    )
