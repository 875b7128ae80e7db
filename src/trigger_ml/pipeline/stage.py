"""What a stage of an experiment is: what it needs, what it reads of the configuration, what it leaves."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.run import RunDirectory
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["Sections", "Stage"]

Sections = dict[str, object]


def _nothing_else(config: ExperimentConfig, run: RunDirectory, sections: Sections) -> Sections:
    return sections


@dataclass(frozen=True)
class Stage:
    """A step of the experiment.

    Parameters
    ----------
    name : str
    needs : tuple of str
        Stages whose outputs it reads.
    sections : tuple of str
        Parts of the configuration that change its result, with dots between their levels.
    outputs : tuple of str
        Files or folders in the run directory that it must leave.
    work : callable
        Reads the configuration and what earlier stages left, and writes the outputs.
    depends : callable
        What the result depends on, from the sections: some stages depend on the content of files, too.
    hardware : bool
        Whether it is left out where no firmware is asked for.
    """

    name: str
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    outputs: tuple[str, ...]
    work: Callable[[Workspace], None]
    depends: Callable[[ExperimentConfig, RunDirectory, Sections], Sections] = _nothing_else
    hardware: bool = False

    def run(self, workspace: Workspace) -> None:
        """Do the work."""
        # TensorFlow takes seconds to import: only when a stage really runs, and first through the module
        # that keeps its start-up quiet
        importlib.import_module("trigger_ml.core.keras2")
        self.work(workspace)

    def inputs(self, config: ExperimentConfig, run: RunDirectory) -> Sections:
        """What the result depends on, apart from the stages above."""
        values: dict[str, object] = config.model_dump(mode="json")
        return self.depends(config, run, {name: _section(values, name) for name in self.sections})


def _section(values: dict[str, object], name: str) -> object:
    found: object = values
    for key in name.split("."):
        assert isinstance(found, dict)
        found = found[key]
    return found
