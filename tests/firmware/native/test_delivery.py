"""What others get: it builds with CMake, agrees with its golden vectors, and says so where it does not."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "rtl"))

from strategies import counts, resnet, small

from trigger_ml.firmware.native.delivery import write_emulator_sources
from trigger_ml.firmware.native.project import prefix

TWO = """
#include "one/emulator.h"
#include "two/emulator.h"
#include <cstdio>
#include <vector>
int main() {
    std::vector<unsigned char> space(ONEworkspace() + TWOworkspace());
    std::vector<ONEcount> one(ONEfacts()->height * ONEfacts()->width);
    std::vector<TWOcount> two(TWOfacts()->height * TWOfacts()->width);
    int64_t a = 0, b = 0;
    const int code = ONErun(one.data(), 1, &a, space.data()) + TWOrun(two.data(), 1, &b, space.data());
    std::printf("%lld %lld", (long long)a, (long long)b);
    return code;
}
"""


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake")
def test_others_build_check_and_use_it(tmp_path: Path) -> None:
    network, folder = resnet(size=(6, 6), stages=((4, 2),)), tmp_path / "emulator"
    x = counts(np.random.default_rng(2), network, 40)
    write_emulator_sources(network, x, folder)
    for command in (
        ["cmake", "-B", "build", "-DCMAKE_CXX_FLAGS_RELEASE=-O0"],
        ["cmake", "--build", "build", "-j2"],
    ):
        done = run(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    assert run("build/selfcheck", cwd=folder).stdout == "40 events, 0 of 40 logits differ\n"
    assert run("build/example", cwd=folder).stdout.startswith(f"{network.outputs[0]} of a dark event: ")
    library = folder / "build" / f"lib{prefix(network).rstrip('_')}.so"
    done = run(sys.executable, "example.py", library, cwd=folder)
    assert done.stdout == "code 0: 0 of 40 logits differ\n", done.stderr
    # a changed bit is seen, and a file that was cut off is no reason to agree
    content = bytearray((folder / "vectors.bin").read_bytes())
    content[-8] ^= 1
    (folder / "vectors.bin").write_bytes(content)
    done = run("build/selfcheck", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "40 events, 1 of 40 logits differ\n")
    (folder / "vectors.bin").write_bytes(content[:-1])
    assert run("build/selfcheck", cwd=folder).returncode == 2


def test_two_emulators_in_one_program(tmp_path: Path) -> None:
    made = {"one": small(), "two": resnet(size=(5, 5), stages=((2, 2),), stem=2)}
    main = TWO
    objects = []
    compiler = shutil.which("g++")
    assert compiler
    for name, network in made.items():
        folder = tmp_path / name
        write_emulator_sources(network, counts(np.random.default_rng(2), network, 3), folder)
        main = main.replace(name.upper(), prefix(network))
        flags = ["-std=c++17", "-O0", "-Wno-psabi", "-DTML_TARGET=plain", "-DTML_WITH_PLAIN", "-c"]
        for source in ("network", "emulator"):
            done = run(compiler, *flags, f"{source}.cpp", "-o", f"../{name}-{source}.o", cwd=folder)
            assert done.returncode == 0, done.stderr
            objects.append(f"{name}-{source}.o")
    (tmp_path / "main.cpp").write_text(main)
    done = run(compiler, "-std=c++17", "main.cpp", *objects, "-o", "both", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    from trigger_ml.firmware.ir.interpreter import logits

    dark = [logits(n, np.zeros((1, *n.input.size), np.int64))[n.outputs[0]].item() for n in made.values()]
    assert run("./both", cwd=tmp_path).stdout.split() == [str(value) for value in dark]
