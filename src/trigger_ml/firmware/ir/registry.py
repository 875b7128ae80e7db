"""What a backend makes of each op: one table for each backend, and no default.

An op that a table does not name is an error, not a guess; an op that a backend cannot do is named with the
reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trigger_ml.core.errors import MappingError
from trigger_ml.firmware.ir.ops import NODE_TYPES, Node

__all__ = ["Refused", "Registry"]


@dataclass(frozen=True)
class Refused:
    """That a backend does not do an op.

    Parameters
    ----------
    why, remedy : str
        For the user of a network with the op.
    """

    why: str
    remedy: str


class Registry[T]:
    """A backend's entry for every op.

    Parameters
    ----------
    backend : str
        Named in errors.
    entries : mapping of type[Node] to T or Refused
    """

    def __init__(self, backend: str, entries: Mapping[type[Node], T | Refused]) -> None:
        self.backend = backend
        self.entries = dict(entries)

    def of(self, node: Node) -> T:
        """Entry for a node's op.

        Raises
        ------
        MappingError
            If the backend refuses the op, or has no entry for it.
        """
        entry = self.entries.get(type(node))
        if isinstance(entry, Refused):
            raise MappingError(f"layer {node.name} ({node.op})", entry.why, entry.remedy)
        if entry is None:
            raise MappingError(
                f"layer {node.name} ({node.op})",
                f"{self.backend} has no entry for the op {node.op}",
                "Add one to the backend's table, or a refusal with its reason",
            )
        return entry

    def missing(self, ops: Mapping[str, type[Node]] = NODE_TYPES) -> list[str]:
        """Ops without entry, as sentences that name op and backend."""
        return [
            f"{self.backend} has no entry for the op {op}"
            for op, cls in ops.items()
            if cls not in self.entries
        ]
