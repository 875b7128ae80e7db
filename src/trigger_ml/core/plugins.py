"""Things by name: those of the project and those that installed packages add through entry points."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from trigger_ml.core.errors import ConfigError
from trigger_ml.core.foreign import reason

__all__ = ["Named", "Registry"]


class Named(Protocol):
    """What a registry can hold."""

    @property
    def name(self) -> str:
        """By which it is asked for."""


@dataclass(frozen=True)
class Registry[T: Named]:
    """One kind of thing by name.

    A package adds one by an entry point of the group: its name is that of the thing, its object a function
    without arguments that makes the thing. Only what is asked for is loaded, so that a broken package does no
    harm to those who do not use it.

    Parameters
    ----------
    kind : str
        In words, for errors.
    group : str
        Of entry points.
    product : type
        Of what is made.
    built_in : mapping of str to callable
        The project's own, by name.
    """

    kind: str
    group: str
    product: type[T]
    built_in: Mapping[str, Callable[[], T]]

    def names(self) -> list[str]:
        """All that can be asked for, the project's own first."""
        return list(dict.fromkeys([*self.built_in, *sorted(entry.name for entry in self._entries())]))

    def _entries(self) -> list[EntryPoint]:
        return list(entry_points(group=self.group))

    def _entry(self, name: str, key: str) -> EntryPoint | None:
        """The plug-in of a name; None if it is one of the project's own.

        Raises
        ------
        ConfigError
            If the name is unknown, or is given twice.
        """
        found = [entry for entry in self._entries() if entry.name == name]
        givers = ["trigger_ml itself"] * (name in self.built_in) + [_described(entry) for entry in found]
        if len(givers) > 1:
            raise ConfigError(
                f"{key}: {name}",
                f"more than one gives a {self.kind} of this name: {' and '.join(givers)}",
                "Uninstall all but one, or rename the entry point in one",
            )
        if not givers:
            names = self.names()
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            raise ConfigError(
                f"{key}: {name}",
                f"no {self.kind} has this name{f'; the nearest is {near[0]}' if near else ''}",
                f"Known: {', '.join(names)}; a package adds one by an entry point of the group {self.group} "
                "(docs/plugins.md)",
            )
        return found[0] if found else None

    def get(self, name: str, key: str) -> T:
        """The thing of a name.

        Parameters
        ----------
        name : str
        key : str
            Of the configuration, or whatever else asks, for errors.

        Raises
        ------
        ConfigError
            If the name is unknown or is given twice, or what gives it is broken.
        """
        entry = self._entry(name, key)
        if entry is None:
            return self.built_in[name]()
        try:
            made = entry.load()()
        except Exception as error:
            # a plug-in may raise anything: the user needs to know whose fault it is
            why = f"it cannot be loaded ({type(error).__name__}: {reason(error)})"
            raise self._broken(entry, why) from error
        if not isinstance(made, self.product):
            raise self._broken(entry, f"it gives a {type(made).__name__}, no {self.product.__name__}")
        if made.name != name:
            raise self._broken(entry, f"it gives a {self.kind} of the name {made.name}")
        return made

    def origin(self, name: str, key: str) -> str | None:
        """Package and version that give a name; None for the project's own.

        Raises
        ------
        ConfigError
            If the name is unknown or is given twice.
        """
        entry = self._entry(name, key)
        return None if entry is None else _package(entry)

    def _broken(self, entry: EntryPoint, why: str) -> ConfigError:
        remedy = f"Mend the package or uninstall it; docs/plugins.md says what a {self.kind} must give"
        return ConfigError(f"plug-in {_described(entry)}", why, remedy)


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package without metadata"


def _described(entry: EntryPoint) -> str:
    return f"{_package(entry)} (entry point {entry.group}: {entry.name} = {entry.value})"
