"""What a stage is given."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.run import RunDirectory

__all__ = ["Workspace"]


@dataclass(frozen=True)
class Workspace:
    """The configuration, the run directory and a console."""

    config: ExperimentConfig
    run: RunDirectory
    console: Console

    @property
    def path(self) -> Path:
        """The run directory's path."""
        return self.run.path
