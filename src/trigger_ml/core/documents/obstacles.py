"""``network/obstacles.json``: what stands between a model that was judged off-line and firmware."""

from dataclasses import dataclass

from trigger_ml.core.documents.base import Kind

__all__ = ["OBSTACLES", "Obstacle", "Obstacles"]


@dataclass(frozen=True)
class Obstacle:
    """A layer without equivalent in firmware.

    Parameters
    ----------
    layer : str
        Of the compressed model.
    kind : str
        Class of the layer, or its function.
    why, remedy : str
    """

    layer: str
    kind: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Obstacles:
    """All such layers of a model, in its order; none where firmware could hold it."""

    layers: tuple[Obstacle, ...] = ()

    @property
    def kinds(self) -> dict[str, list[str]]:
        """Names of the layers by kind."""
        found: dict[str, list[str]] = {}
        for item in self.layers:
            found.setdefault(item.kind, []).append(item.layer)
        return found

    @property
    def sentence(self) -> str:
        """What firmware lacks, in one line."""
        if not self.layers:
            return "every layer has an equivalent in firmware, which was not asked for"
        parts = [f"{len(names)} x {kind} (first {names[0]})" for kind, names in self.kinds.items()]
        return f"{len(self.layers)} layers stand between this model and firmware: {', '.join(parts)}"


OBSTACLES = Kind(Obstacles, "list of layers without firmware", 1, "compress", explicit=True)
