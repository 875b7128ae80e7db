"""What the comparison of two runs sees, and what it does not."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tables
from killing import content_of, differing, state


def write(path: Path, value: float, when: str) -> Path:
    """A result of each kind, with a value and a time."""
    if path.suffix == ".json":
        path.write_text(json.dumps({"a": [{"value": value, "seconds": when}], "started": when}))
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("packed", data=np.full(100, value), chunks=(30,), compression="gzip")
            file["plain"] = np.arange(3)
        # as ctapipe's files are packed, by a filter that h5py does not have
        filters = tables.Filters(complevel=5, complib="blosc:lz4", fletcher32=True)
        with tables.open_file(path, "a") as file:
            rows = np.array([(1, value), (2, 2.0)], dtype=[("id", "i2"), ("value", "f8")])
            file.create_table("/", "rows", rows, filters=filters)
            file.create_carray("/", "cells", obj=np.full(99, value), filters=filters)
    elif path.suffix == ".npz":
        facts = json.dumps({"metrics": {"seconds": [when]}}).encode()
        np.savez(path, weights=np.full(3, value), facts=np.frombuffer(facts, np.uint8))
    elif path.suffix == ".pdf":
        path.write_text(f"%PDF {value} /CreationDate (D:{when})")
    elif path.suffix == ".html":
        path.write_text(f"<p>{value}, 27 March {when}, 10:00 UTC</p>")
    else:
        path.write_text(str(value))
    return path


@pytest.mark.parametrize("suffix", [".json", ".h5", ".npz", ".pdf", ".html", ".txt"])
def test_values_are_compared_and_times_are_not(tmp_path: Path, suffix: str) -> None:
    first = content_of(write(tmp_path / f"a{suffix}", 1.0, "2025"))
    later = content_of(write(tmp_path / f"b{suffix}", 1.0, "2026"))
    other = content_of(write(tmp_path / f"c{suffix}", np.nextafter(1.0, 2.0), "2025"))
    assert differing({"x": first}, {"x": later}) == {}
    assert differing({"x": first}, {"x": other}) != {}


def test_a_value_of_each_data_set_is_compared(tmp_path: Path) -> None:
    first, other = (content_of(write(tmp_path / f"{value}.h5", value, "2025")) for value in (1.0, 2.0))
    assert set(differing(first, other)) == {"packed", "rows", "cells"}


def test_states_are_told_apart_by_every_byte_but_not_by_the_names_of_temporary_files(tmp_path: Path) -> None:
    states = []
    for number, (name, content) in enumerate(
        [
            (".partial-abcdefgh.h5", "1"),
            (".partial-ij_lmnop.h5", "1"),
            (".partial-ij_lmnop.h5", "2"),
            ("x", "1"),
        ]
    ):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / name).write_text(content)
        states.append(state(tmp_path / str(number)))
    assert states[0] == states[1]
    assert len(set(states)) == 3


def test_a_missing_result_and_a_further_one_are_differences() -> None:
    same: dict[str, Any] = {"a": 1, "deep": {"b": 2}}
    assert differing(same, same) == {}
    assert set(differing({**same, "more": 1}, same)) == {"more"}
    assert set(differing({"a": 1, "deep": {}}, same)) == {"deep: b"}
