"""What every hls4ml backend makes of every kind of layer: the table of docs/hls-backends.md, made again.

Each column is compared with the documented one. ``TRIGGER_ML_WRITE_TABLES=1`` writes it instead.
"""

import os
import re
from pathlib import Path

import pytest
from hls_kinds import BACKENDS, IO_TYPES, KINDS, outcome

PAGE = Path(__file__).resolve().parents[3] / "docs" / "hls-backends.md"
COLUMNS = [(backend, io_type) for backend in BACKENDS for io_type in IO_TYPES]


def documented():
    """Outcome by kind, backend and io_type, as the page has it."""
    found = {}
    for line in PAGE.read_text().splitlines():
        if match := re.fullmatch(r"\| (\w+) \| (io_\w+) \| (.+?) \| (.+?) \|", line):
            backend, io_type, kind, text = match.groups()
            found[kind, backend, io_type] = text
    return found


def text_of(result):
    return f"{result.state}: {result.detail}" if result.detail else result.state


def rewrite(rows):
    """Put rows (kind, backend, io_type, text) in their places of the page."""
    table = documented() | {(kind, backend, io_type): text for kind, backend, io_type, text in rows}
    lines = [
        f"| {backend} | {io_type} | {kind} | {table[kind, backend, io_type]} |"
        for backend, io_type in COLUMNS
        for kind in KINDS
        if (kind, backend, io_type) in table
    ]
    page = PAGE.read_text()
    start, end = "<!-- outcomes -->", "<!-- end of outcomes -->"
    head, rest = page.split(start)
    body = "| backend | io_type | layer | outcome |\n|---|---|---|---|\n" + "\n".join(lines)
    PAGE.write_text(f"{head}{start}\n{body}\n{end}{rest.split(end)[1]}")


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "io_type"), COLUMNS)
def test_the_documented_outcomes_are_true(backend, io_type, tmp_path):
    found = {
        kind: text_of(outcome(kind, backend, io_type, tmp_path / str(number)))
        for number, kind in enumerate(KINDS)
    }
    assert not [kind for kind, text in found.items() if text.startswith(("DIFFERS", "does not compile"))]
    if os.environ.get("TRIGGER_ML_WRITE_TABLES"):
        rewrite([(kind, backend, io_type, text) for kind, text in found.items()])
    table = documented()
    assert found == {kind: table.get((kind, backend, io_type)) for kind in KINDS}
