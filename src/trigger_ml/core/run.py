"""A run directory: what one experiment left, and how to know that it is still valid.

Each stage leaves a record in ``manifest.json`` with a fingerprint: the hash of the configuration that it
read, of its input files and of the fingerprints of the stages that it built on. A stage whose record
matches is skipped; a stage that was killed has no record and starts again.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import NotRequired, TypedDict

from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.errors import InputError, StageError
from trigger_ml.core.files import PARTIAL, remove, require_file, sha256, write_json, write_text
from trigger_ml.core.foreign import reading, reason

__all__ = ["Manifest", "RunDirectory", "StageRecord", "fingerprint"]

RUN_AGAIN = "Remove the run directory and run again"

# two stages may work beside each other in one process
MANIFEST = threading.Lock()

VERSIONED = (
    "trigger-ml",
    "tensorflow",
    "tf-keras",
    "qkeras",
    "tensorflow-model-optimization",
    "hls4ml",
    "alkaid",
    "onnx",
    "onnxruntime",
    "ctapipe",
    "ctlearn",
    "pyirf",
    "chromo",
    "numpy",
)


def fingerprint(*parts: object) -> str:
    """Hash of JSON-able values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _host() -> dict[str, str | int | float | None]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class StageRecord(TypedDict):
    """What the manifest keeps of a finished stage."""

    fingerprint: str
    started: str
    seconds: float
    outputs: list[str]
    adopted_from: NotRequired[str]


class Manifest(TypedDict, total=False):
    """What ``manifest.json`` holds; earlier versions wrote less."""

    name: str
    task: str
    config: dict[str, object]
    seeds: dict[str, int]
    inputs: dict[str, str]
    given_model: str | None
    versions: dict[str, str]
    host: dict[str, str | int | float | None]
    command: str
    started: str
    stages: dict[str, StageRecord]


@dataclass(frozen=True)
class RunDirectory:
    """The folder of one experiment.

    Parameters
    ----------
    path : Path
    """

    path: Path

    @property
    def manifest_path(self) -> Path:
        """Where the manifest is."""
        return self.path / layout.MANIFEST

    def manifest(self) -> Manifest:
        """The manifest.

        Raises
        ------
        InputError
            If the folder is no run directory.
        """
        try:
            content = json.loads(self.manifest_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                str(self.path), f"no {layout.MANIFEST} in it", "Make the run with `trigger-ml run CONFIG`"
            ) from None
        except (ValueError, RecursionError) as error:
            raise InputError(str(self.manifest_path), f"not JSON ({reason(error)})", RUN_AGAIN) from None
        except OSError as error:
            raise InputError(
                str(self.manifest_path), f"cannot be read ({error.strerror})", RUN_AGAIN
            ) from None
        records = content.get("stages", {}) if isinstance(content, dict) else None
        sound = isinstance(records, dict) and all(
            isinstance(r, dict)
            and isinstance(r.get("fingerprint"), str)
            and isinstance(r.get("outputs"), list)
            for r in records.values()
        )
        if not sound:
            raise InputError(str(self.manifest_path), "is no manifest of a run", RUN_AGAIN)
        manifest: Manifest = content
        return manifest

    def config(self) -> ExperimentConfig:
        """The configuration that the run was last started with."""
        with reading(self.manifest_path, "manifest", RUN_AGAIN):
            return ExperimentConfig.model_validate(self.manifest()["config"])

    def start(self, config: ExperimentConfig, command: str) -> None:
        """Make the folder if needed and note the configuration, the versions and the host."""
        self.path.mkdir(parents=True, exist_ok=True)
        stages = self.manifest().get("stages", {}) if self.manifest_path.exists() else {}
        content = {
            "name": config.name,
            "task": config.task,
            "config": config.model_dump(mode="json"),
            "seeds": {"experiment": config.seed},
            "inputs": {name: self._input_hash(Path(name), "events.files") for name in config.events.inputs},
            "given_model": config.model.weights
            and self._input_hash(Path(config.model.weights), "model.weights"),
            "versions": _versions(),
            "host": _host(),
            "command": command,
            "started": _now(),
            "stages": stages,
        }
        write_json(self.manifest_path, content)

    @staticmethod
    def _input_hash(path: Path, key: str) -> str:
        require_file(path, f"Correct `{key}` in the configuration")
        return sha256(path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run directory for one process; what a killed one was about to write is removed.

        Raises
        ------
        StageError
            If another process works in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StageError(
                    str(self.path), "another process works in this run directory", "Wait for it, or use --run"
                ) from None
            self._remove_partial()
            yield

    def _remove_partial(self) -> None:
        """Remove what a killed process was about to write; run directories below have locks of their own."""
        for folder, folders, files in os.walk(self.path):
            if Path(folder) != self.path and self.manifest_path.name in files:
                folders.clear()
                continue
            for name in [name for name in (*folders, *files) if name.startswith(PARTIAL)]:
                remove(Path(folder) / name)

    def record(self, stage: str) -> StageRecord | None:
        """Record of a finished stage."""
        if not self.manifest_path.exists():
            return None
        return self.manifest().get("stages", {}).get(stage)

    def is_done(self, stage: str, print_: str, outputs: tuple[str, ...]) -> bool:
        """Whether the stage finished with this fingerprint and its outputs are still there."""
        record = self.record(stage)
        return (
            record is not None
            and record["fingerprint"] == print_
            and all((self.path / output).exists() for output in outputs)
        )

    def _update(self, stage: str, record: StageRecord | None) -> None:
        with MANIFEST:
            content = self.manifest()
            content.setdefault("stages", {}).pop(stage, None)
            if record is not None:
                content["stages"][stage] = record
            write_json(self.manifest_path, content)

    def _marker(self, stage: str) -> Path:
        return self.path / f".started-{stage}"

    def is_unfinished(self, stage: str) -> bool:
        """Whether a stage was begun, again or for the first time, and did not end well."""
        return self._marker(stage).exists()

    def forget(self, stage: str) -> None:
        """Let a stage run again, although nothing that it depends on has changed."""
        if self.record(stage) is not None:
            self._update(stage, None)

    @contextmanager
    def stage(self, name: str, print_: str, outputs: tuple[str, ...]) -> Iterator[None]:
        """Run a stage: its record is written only when the block ends well and all outputs exist.

        Leftovers of another fingerprint are removed first; those of the same one stay, so that training
        can continue from its checkpoint.

        Raises
        ------
        StageError
            If the stage did not leave an output.
        """
        self._update(name, None)
        marker = self._marker(name)
        if not marker.exists() or marker.read_text(encoding="utf-8") != print_:
            for output in outputs:
                remove(self.path / output)
        write_text(marker, print_)
        started, clock = _now(), time.perf_counter()
        yield
        missing = [output for output in outputs if not (self.path / output).exists()]
        if missing:
            raise StageError(
                f"stage {name}", f"did not leave {', '.join(missing)}", "Report this as a defect"
            )
        seconds = round(time.perf_counter() - clock, 2)
        self._update(
            name,
            {"fingerprint": print_, "started": started, "seconds": seconds, "outputs": list(outputs)},
        )
        marker.unlink()

    def adopt(self, stage: str, source: "RunDirectory") -> None:
        """Take over a finished stage of another run by hard links (copies where links cannot be made)."""
        record = source.record(stage)
        if record is None:
            raise StageError(f"{source.path}: {stage}", "not finished", "Run the base experiment first")
        for output in record["outputs"]:
            origin, target = source.path / output, self.path / output
            if target.is_dir():
                shutil.rmtree(target)
            target.unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, target, copy_function=_link_or_copy)
            else:
                _link_or_copy(str(origin), str(target))
        self._update(stage, {**record, "adopted_from": source.path.name})


def _link_or_copy(origin: str, target: str) -> None:
    try:
        os.link(origin, target)
    except OSError:
        shutil.copy2(origin, target)


def command_line() -> str:
    """The command as the user typed it, without the folder of the program."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    # a path that is no UTF-8 would be no text in a page or a manifest
    return os.fsencode(" ".join(words)).decode(errors="replace")
