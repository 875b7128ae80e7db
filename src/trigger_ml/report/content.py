"""A run directory as the report reads it: the JSON files that are there, and why others are not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trigger_ml.core import layout
from trigger_ml.core.documents.base import Kind, read, read_object
from trigger_ml.core.documents.evaluation import EVALUATION, Evaluation
from trigger_ml.core.documents.model import MODEL_SUMMARY, ModelSummary
from trigger_ml.core.documents.obstacles import OBSTACLES, Obstacles
from trigger_ml.core.documents.resources import RESOURCES, Resources
from trigger_ml.core.documents.sizes import SIZES, Sizes
from trigger_ml.core.documents.verification import VERIFICATION, Verification
from trigger_ml.core.errors import InputError
from trigger_ml.core.json_types import JsonObject

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
    model : ModelSummary
    resources : Resources
        Empty where the file is missing.
    verification : Verification, optional
    evaluation : Evaluation, optional
        None where the file is missing.
    missing : dict of str to str
        Reason for each of them that is missing.
    offline : Obstacles, optional
        What stands between the model and firmware; None where firmware was made.
    sizes : Sizes
        Of the model files; empty where they were not measured.
    """

    path: Path
    manifest: JsonObject
    model: ModelSummary = field(default_factory=ModelSummary)
    resources: Resources = field(default_factory=Resources)
    verification: Verification | None = None
    evaluation: Evaluation | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    offline: Obstacles | None = None
    sizes: Sizes = field(default_factory=Sizes)

    @property
    def config(self) -> Mapping[str, object]:
        """The experiment's configuration."""
        found = self.manifest.get("config", {})
        return found if isinstance(found, dict) else {}

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.manifest.get("name") or self.config.get("name") or self.path.resolve().name)

    @property
    def task(self) -> str:
        """The experiment's task."""
        judged = None if self.evaluation is None else self.evaluation.task
        return str(judged or self.manifest.get("task") or self.config.get("task", "type"))


def read_run(directory: Path) -> RunContent:
    """Read what is there.

    Raises
    ------
    InputError
        If the folder is no run directory, or a file of it cannot be read.
    """
    manifest = directory / layout.MANIFEST
    if not manifest.is_file():
        raise InputError(
            str(directory), f"no {layout.MANIFEST} in it", "Make the run with `trigger-ml run CONFIG`"
        )
    obstacles = directory / layout.OBSTACLES
    offline = read(obstacles, OBSTACLES) if obstacles.is_file() else None
    missing = {
        key: f"{what}: this run has no firmware (`firmware: null`)"
        if offline is not None and key in ("verification", "resources")
        else f"{what}: there is no {name} in this run (`trigger-ml {verb}` leaves it)"
        for key, (name, what, verb) in OPTIONAL.items()
        if not (directory / name).is_file()
    }

    def found[T](key: str, kind: Kind[T]) -> T | None:
        return None if key in missing else read(directory / OPTIONAL[key][0], kind)

    return RunContent(
        directory,
        read_object(manifest),
        found("model", MODEL_SUMMARY) or ModelSummary(),
        found("resources", RESOURCES) or Resources(),
        found("verification", VERIFICATION),
        found("evaluation", EVALUATION),
        missing,
        offline,
        read(directory / layout.SIZES, SIZES) if (directory / layout.SIZES).is_file() else Sizes(),
    )
