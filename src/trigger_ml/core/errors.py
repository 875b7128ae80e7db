"""Errors that a user can act on: what is wrong, why, and the remedy, in one line."""


class TriggerMLError(Exception):
    """Base of every error that trigger_ml raises on purpose.

    Parameters
    ----------
    what : str
        The file, row, key, layer or tool concerned.
    why : str
        What is wrong with it.
    remedy : str
        What the user can do about it.
    """

    exit_code = 2

    def __init__(self, what: str, why: str, remedy: str) -> None:
        self.what = what
        self.why = why
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        remedy = self.remedy if self.remedy.endswith(("?", ".")) else f"{self.remedy}."
        return " ".join(f"{self.what}: {self.why}. {remedy}".split())

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        # the default would call __init__ with the joined message, which breaks in process pools
        return type(self), (self.what, self.why, self.remedy)


class ConfigError(TriggerMLError):
    """A configuration file, or a value in it, cannot be used."""


class InputError(TriggerMLError):
    """A data file, or a row of it, cannot be used."""


class CameraMismatchError(InputError):
    """The events come from a camera that the network was not made for."""


class MappingError(TriggerMLError):
    """A model or a layer of it has no equivalent in the firmware."""


class ToolMissingError(TriggerMLError):
    """A program that the stage needs is not installed."""


class StageError(TriggerMLError):
    """A stage of the pipeline cannot start or did not leave what it must leave."""


class VerificationError(TriggerMLError):
    """Two backends that must agree bit for bit do not."""

    exit_code = 1
