"""What a network can be asked of an event, and what follows from it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["TASKS", "Task", "TaskFacts"]

Task = Literal["type", "energy", "direction"]


@dataclass(frozen=True)
class TaskFacts:
    """A task.

    Parameters
    ----------
    words : str
        What is reconstructed.
    outputs : tuple of str
        What each number is that leaves the network.
    answers : tuple of str
        What is read back of an answer on file, by the names of its columns.
    headlines : tuple of str
        Figures of merit: first the one that answers "what did compression cost?".
    classifies : bool
        Whether hadrons have an answer too; else only gammas are learnt from and judged.
    """

    words: str
    outputs: tuple[str, ...]
    answers: tuple[str, ...]
    headlines: tuple[str, ...]
    classifies: bool = False


TASKS: dict[Task, TaskFacts] = {
    "type": TaskFacts(
        "particle type (gamma or hadron)",
        ("logit of being a gamma",),
        ("logit",),
        # the second is the one that a trigger lives by
        ("auc", "hadron_efficiency"),
        classifies=True,
    ),
    "energy": TaskFacts("energy", ("log10(E/TeV)",), ("energy",), ("energy_resolution", "energy_bias")),
    "direction": TaskFacts(
        "direction",
        ("offset in longitude (degrees)", "offset in latitude (degrees)"),
        ("alt", "az"),
        ("angular_resolution", "mean_separation"),
    ),
}
