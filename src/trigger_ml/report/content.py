"""A run directory as the report reads it: the JSON files that are there, and why others are not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trigger_ml.core import layout
from trigger_ml.core.errors import InputError

__all__ = ["RunContent", "read_run"]

# which file holds what, and the verb that leaves it
OPTIONAL = {
    "model": (layout.MODEL_SUMMARY, "the model summary, sizes and training curves", "compress"),
    "verification": (layout.VERIFICATION, "the bit accuracy of the firmware backends", "verify"),
    "evaluation": (layout.EVALUATION, "the comparison of the float and the compressed model", "evaluate"),
    "resources": (layout.RESOURCES, "the firmware's resources and latency", "synthesize"),
}


@dataclass(frozen=True)
class RunContent:
    """What a run directory says.

    Parameters
    ----------
    path : Path
    manifest : dict
    model, verification, evaluation, resources : dict
        Empty where the file is missing.
    missing : dict of str to str
        Reason for each of them that is missing.
    """

    path: Path
    manifest: Mapping[str, Any]
    model: Mapping[str, Any] = field(default_factory=dict)
    verification: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Mapping[str, Any]:
        """The experiment's configuration."""
        found: Mapping[str, Any] = self.manifest.get("config", {})
        return found

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.manifest.get("name") or self.config.get("name") or self.path.resolve().name)

    @property
    def task(self) -> str:
        """The experiment's task."""
        return str(
            self.evaluation.get("task") or self.manifest.get("task") or self.config.get("task", "type")
        )


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(str(path), f"not JSON ({error})", "Remove it and run the stage again") from None
    if not isinstance(content, dict):
        raise InputError(str(path), "holds no JSON object", "Remove it and run the stage again")
    return content


def read_run(directory: Path) -> RunContent:
    """Read what is there.

    Raises
    ------
    InputError
        If the folder is no run directory, or a file of it is not JSON.
    """
    manifest = directory / layout.MANIFEST
    if not manifest.is_file():
        raise InputError(
            str(directory), f"no {layout.MANIFEST} in it", "Make the run with `trigger-ml run CONFIG`"
        )
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for key, (name, what, verb) in OPTIONAL.items():
        if (directory / name).is_file():
            found[key] = _load(directory / name)
        else:
            missing[key] = f"{what}: there is no {name} in this run (`trigger-ml {verb}` leaves it)"
    return RunContent(directory, _load(manifest), missing=missing, **found)
