"""From files to decisions: how fast `trigger-ml emulate` is, what it spends its time on, and its memory.

    python benchmarks/filter.py RUN [--events 100000 1000000]

RUN is a run directory made by ``trigger-ml run``. Its gammas are repeated, each time another observation,
into files of 100,000 images in a temporary folder (8 GB for a million), which the command line emulates.
Prints a table and writes ``benchmarks/results/filter.json``.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import tables
from rich.console import Console
from rich.table import Table

from trigger_ml.core.files import write_json
from trigger_ml.events.dl1 import read_dl1, read_subarray, write_dl1
from trigger_ml.events.table import EventTable
from trigger_ml.pipeline.decisions import CHUNK, Decider
from trigger_ml.pipeline.parts import Part

RESULTS = Path(__file__).parent / "results" / "filter.json"
PER_FILE = 100_000
TARGET = 50_000.0
"""Events per second of two processors."""
EVERY = 0.2
"""Seconds between two looks at the memory."""


def repeated(run: Path, events: int, first_obs_id: int) -> Iterator[EventTable]:
    """Images of the run's gammas, again and again, each time as another observation."""
    obs_id, left = first_obs_id, events
    while left:
        for table in read_dl1(run / "events" / "gamma.dl1.h5", peak_time=True, chunk_size=4096):
            taken = table[: min(left, len(table))]
            yield replace(taken, obs_id=np.full(len(taken), obs_id), truth=None, block=None)
            left -= len(taken)
            if not left:
                return
        obs_id += 1


def make(run: Path, folder: Path, events: int) -> list[Path]:
    """Files of so many images in all; those that are there are used again."""
    subarray, found = read_subarray(run / "events" / "gamma.dl1.h5"), []
    for number in range(-(-events // PER_FILE)):
        path = folder / f"night-{number:03d}.dl1.h5"
        size = min(PER_FILE, events - number * PER_FILE)
        if not path.exists():
            write_dl1(path, repeated(run, size, 1000 * (number + 1)), subarray, parameters=False)
            _with_monitoring(run / "events" / "gamma.dl1.h5", path)
        found.append(path)
    return found


def _with_monitoring(source: Path, target: Path) -> None:
    """Give a file the monitoring tables of another: its events' times lie in their slots."""
    with tables.open_file(source) as old, tables.open_file(target, "a") as new:
        new.create_group("/dl1", "monitoring", createparents=True)
        for node in old.get_node("/dl1/monitoring")._f_iter_nodes():
            node._f_copy(new.get_node("/dl1/monitoring"), recursive=True)


def _memory(group: int) -> int:
    """Bytes that a process and those that it started have for themselves."""
    total = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) != group:
                continue
            for line in (path / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss_Anon:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


def emulated(run: Path, files: list[Path], output: Path, workers: int) -> dict[str, float]:
    """Seconds, seconds of processors and most memory of one emulation by the command line."""
    before, start = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "trigger_ml", "emulate", run, *files, "-o", output, "--overwrite"]
    process = subprocess.Popen(
        [str(part) for part in (*command, "--workers", workers, "--outside-domain")], start_new_session=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    most = 0
    while process.poll() is None:
        most = max(most, _memory(process.pid))
        time.sleep(EVERY)
    if process.returncode:
        raise SystemExit("the emulation failed")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": time.perf_counter() - start, "cpu_seconds": cpu, "memory": most}


def shares(run: Path, path: Path, folder: Path) -> dict[str, float]:
    """Microseconds of a processor for each event, step by step, in this process; the fastest of the parts."""
    decider = Decider.open(run, threads=1)
    source = decider.source(path)
    feed = decider.feed(source)
    fastest: dict[str, float] = defaultdict(lambda: np.inf)
    with source.spans() as spans:
        for number, span in enumerate(spans.spans(8192)):
            spent: dict[str, float] = defaultdict(float)
            chunks, reader = [], spans.read(span, CHUNK)
            while True:
                start = time.thread_time()
                table = next(reader, None)
                spent["reading"] += time.thread_time() - start
                if table is None:
                    break
                start = time.thread_time()
                read = feed.read_out(table)
                spent["mapping"] += time.thread_time() - start
                start = time.thread_time()
                decider.emulator.answer(read[1])
                spent["network"] += time.thread_time() - start
                chunks.append(table)
            start = time.thread_time()
            decisions = list(decider.decisions(chunks, feed))
            whole = time.thread_time() - start
            spent["domain"] = max(0.0, whole - spent["mapping"] - spent["network"])
            start = time.thread_time()
            Part.of((chunk, None) for chunk in decisions).write(folder / f"{number}.npz")
            spent["part"] = time.thread_time() - start
            for name, seconds in spent.items():
                fastest[name] = min(fastest[name], 1e6 * seconds / len(span))
    return dict(fastest)


def unpacking(path: Path) -> float:
    """Microseconds of a processor to read the rows of the images as HDF5 gives them, for each event."""
    with tables.open_file(path) as h5:
        node = next(h5.iter_nodes("/dl1/event/telescope/images", "Table"))
        rows, fastest = np.empty(56, node.dtype), np.inf
        for first in range(0, min(node.nrows, 40_000) - 8064, 8064):
            start = time.thread_time()
            for at in range(first, first + 8064, 56):
                node.read(at, at + 56, out=rows)
            fastest = min(fastest, (time.thread_time() - start) / 8064)
    return 1e6 * float(fastest)


def show(result: dict[str, Any], console: Console) -> None:
    table = Table(title=f"{result['run']}, {result['workers']} processes")
    for column in ("events", "seconds", "events/s", "events/CPU s", "memory"):
        table.add_column(column, justify="right")
    for row in result["emulated"]:
        table.add_row(
            f"{row['events']:,}", f"{row['seconds']:.1f}", f"{row['events'] / row['seconds']:,.0f}",
            f"{row['events'] / row['cpu_seconds']:,.0f}", f"{row['memory'] / 1e6:,.0f} MB",
        )  # fmt: skip
    console.print(table)
    for name, spent in result["microseconds"].items():
        console.print(f"{name}: {spent:.1f} us of a processor for each event", highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("--events", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=joblib.cpu_count())
    parser.add_argument("--folder", type=Path, help="for the files, which are kept then")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        files = make(options.run, folder, max(options.events))
        spent = {
            "unpacking (part of reading)": unpacking(files[0]),
            **shares(options.run, files[0], Path(name)),
        }
        rows = []
        for events in options.events:
            some = files[: -(-events // PER_FILE)]
            row = emulated(options.run, some, Path(name) / "out.h5", options.workers)
            rows.append({"events": events, **row})
    result = {
        "run": options.run.name,
        "workers": options.workers,
        "emulated": rows,
        "microseconds": spent,
        "target": TARGET,
        "host": {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
    }
    write_json(options.output, result)
    show(result, Console())


if __name__ == "__main__":
    main()
