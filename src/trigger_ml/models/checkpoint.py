"""The state of a training in a file, so that an interrupted one goes on as if nothing had happened."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from trigger_ml.core.files import atomic_path
from trigger_ml.core.keras_types import Model

__all__ = ["Checkpoint", "State"]


@dataclass
class State:
    """What besides the model's weights a training has come to.

    Parameters
    ----------
    metrics : dict of str to list of float
        One number for each epoch run.
    best_penalty, best_loss : float
    best_epoch : int
        From 0; -1 before any.
    best_weights : list of numpy.ndarray
        As the model gives them.
    """

    metrics: dict[str, list[float]] = field(default_factory=dict)
    best_penalty: float = math.inf
    best_loss: float = math.inf
    best_epoch: int = -1
    best_weights: list[Any] = field(default_factory=list)


class Checkpoint:
    """Weights, optimizer and state in one file, replaced atomically.

    Parameters
    ----------
    path : pathlib.Path
    model : tf_keras.Model
    optimizer : tf_keras.optimizers.Optimizer
        Built.
    signature : str
        What must agree for a checkpoint to be resumed.
    """

    def __init__(self, path: Path, model: Model, optimizer: Any, signature: str) -> None:
        self.path, self.model, self.optimizer, self.signature = path, model, optimizer, signature

    def save(self, state: State) -> None:
        """Write model, optimizer and state as they are."""
        slots: dict[str, Any] = {}
        self.optimizer.save_own_variables(slots)
        arrays = {f"weight{i}": w for i, w in enumerate(self.model.get_weights())}
        arrays |= {f"best{i}": w for i, w in enumerate(state.best_weights)}
        arrays |= {f"slot{key}": value for key, value in slots.items()}
        facts = {
            "signature": self.signature,
            "metrics": state.metrics,
            "best_penalty": _finite(state.best_penalty),
            "best_loss": _finite(state.best_loss),
            "best_epoch": state.best_epoch,
        }
        arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
        with atomic_path(self.path) as partial:
            np.savez(partial, **arrays)

    def load(self) -> State:
        """The interrupted training's state, or a new one when there is none that fits."""
        try:
            with np.load(self.path, allow_pickle=False) as arrays:
                stored = dict(arrays)
            facts = json.loads(bytes(stored["facts"]))
        except (OSError, KeyError, ValueError, BadZipFile, EOFError):
            return State()
        if facts["signature"] != self.signature:
            return State()
        self.model.set_weights([stored[f"weight{i}"] for i in range(len(self.model.weights))])
        slots = {key.removeprefix("slot"): value for key, value in stored.items() if key.startswith("slot")}
        self.optimizer.load_own_variables(slots)
        penalty, loss = (
            math.inf if facts[name] is None else facts[name] for name in ("best_penalty", "best_loss")
        )
        best = [stored[f"best{i}"] for i in range(sum(key.startswith("best") for key in stored))]
        return State(facts["metrics"], penalty, loss, facts["best_epoch"], best)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
