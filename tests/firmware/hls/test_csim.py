"""The C simulation's process: what a library does ends only that, and only what was built here runs."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from trigger_ml.core.errors import InputError, StageError
from trigger_ml.firmware.hls.csim import Csim, compile_csim
from trigger_ml.firmware.hls.project import HlsProject

# what a project of hls4ml has of it: a script that compiles, and a function of doubles
SCRIPT = "g++ -O0 -shared -fPIC -o firmware/trigger-1.so firmware/trigger.cpp\n"
CODE = """
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
extern "C" void trigger_double(double *in, double *out) {
    assert(in[0] < 10 && "too large");
    if (in[0] == 5) raise(SIGSEGV);
    if (in[0] == 6) exit(3);
    out[0] = 2 * in[0] + in[1];
}
"""
MANIFEST = {
    "project": "trigger",
    "backend": "Vitis",
    "input": {"shape": [2], "type": {"signed": False, "width": 8, "fraction": 0}},
    "outputs": [{"name": "logit", "shape": [1], "fraction": 0}],
    "layers": [],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HlsProject:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "hls [1]"
    (folder / "firmware").mkdir(parents=True)
    (folder / "build_lib.sh").write_text(SCRIPT)
    (folder / "firmware" / "trigger.cpp").write_text(CODE)
    return HlsProject(folder, MANIFEST)


def test_the_values_come_back(project: HlsProject) -> None:
    counts = np.array([[1, 2], [3, 4], [0, 0]])
    np.testing.assert_array_equal(Csim(project).run(counts)["logit"], [[4], [10], [0]])
    assert Csim(project).run(counts[:0])["logit"].shape == (0, 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10, r"signal 6, SIGABRT\): .*Assertion .*too large.* failed"),
        (5, r"signal 11, SIGSEGV\)"),
        (6, r"exit status 3\)"),
    ],
)
def test_code_that_ends_its_process_is_an_error(project: HlsProject, value: int, expected: str) -> None:
    with pytest.raises(StageError, match=expected) as raised:
        Csim(project).run(np.array([[1, 1], [value, 1]]))
    assert str(project.directory) in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_library_that_was_found_is_not_loaded(project: HlsProject, tmp_path: Path) -> None:
    library = compile_csim(project)
    mark = tmp_path / "ran"
    evil = tmp_path / "evil.cpp"
    evil.write_text(
        "#include <stdio.h>\n"
        f'__attribute__((constructor)) void run() {{ fclose(fopen("{mark}", "w")); }}\n'
        'extern "C" void trigger_double(double *, double *out) { out[0] = 7; }\n'
    )
    subprocess.run(["g++", "-shared", "-fPIC", "-o", library, evil], check=True)
    os.utime(library, (2**31, 2**31))
    np.testing.assert_array_equal(Csim(project).run(np.array([[1, 2]]))["logit"], [[4]])
    assert not mark.exists()


def test_changed_sources_are_compiled_again(project: HlsProject) -> None:
    counts = np.array([[1, 2]])
    before = Csim(project).run(counts)["logit"]
    source = project.directory / "firmware" / "trigger.cpp"
    source.write_text(source.read_text().replace("2 * in[0]", "3 * in[0]"))
    after = Csim(project).run(counts)["logit"]
    assert (int(before[0, 0]), int(after[0, 0])) == (4, 5)


def test_a_simulation_does_not_answer_for_a_project_written_since(project: HlsProject) -> None:
    counts = np.array([[1, 2]])
    old = Csim(project)
    source = project.directory / "firmware" / "trigger.cpp"
    source.write_text(source.read_text().replace("2 * in[0]", "3 * in[0]"))
    new = Csim(project)
    with pytest.raises(InputError, match="was written again"):
        old.run(counts)
    assert int(new.run(counts)["logit"][0, 0]) == 5


def test_code_that_does_not_compile_is_an_error(project: HlsProject) -> None:
    (project.directory / "firmware" / "trigger.cpp").write_text("no C++")
    with pytest.raises(StageError, match=r"does not compile: .*error"):
        Csim(project)
    assert not list(project.directory.rglob("*.so"))


@pytest.mark.parametrize("lost", ["project", "input", "outputs"])
def test_a_description_that_lacks_something_is_refused(project: HlsProject, lost: str) -> None:
    manifest = {key: value for key, value in MANIFEST.items() if key != lost}
    with pytest.raises(InputError, match="not complete"):
        Csim(HlsProject(project.directory, manifest))
