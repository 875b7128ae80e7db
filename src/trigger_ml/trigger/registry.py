"""Trigger algorithms by name: the project's own, and those of installed packages."""

from trigger_ml.core.plugins import Registry
from trigger_ml.trigger import digital_sum, flower_sum, neighbours
from trigger_ml.trigger.algorithm import Algorithm

__all__ = ["TRIGGERS", "trigger"]

TRIGGERS = Registry(
    kind="trigger algorithm",
    group="trigger_ml.triggers",
    product=Algorithm,
    built_in={
        digital_sum.NAME: digital_sum.digital_sum,
        flower_sum.NAME: flower_sum.flower_sum,
        **neighbours.multiplicities(),
        neighbours.CLUSTERING: neighbours.clustering,
    },
)


def trigger(name: str = digital_sum.NAME, key: str = "trigger") -> Algorithm:
    """A trigger algorithm by its name.

    Parameters
    ----------
    name : str
    key : str
        Of the configuration, for errors.

    Raises
    ------
    ConfigError
        If no algorithm, or more than one, has this name, or the package that gives it is broken.
    """
    return TRIGGERS.get(name, key)
