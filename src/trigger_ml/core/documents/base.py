"""How the JSON documents of a run are read and written: as frozen dataclasses, each with a schema number.

A reader takes every earlier layout, which it brings to today's before it looks at the parts; what is not in a
file is None or empty in the view. A layout of the future is refused by its number.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import write_json
from trigger_ml.core.foreign import reading
from trigger_ml.core.json_types import Json, JsonObject

__all__ = ["Kind", "Upgrade", "is_default", "parse", "plain", "read", "read_object", "write"]

type Upgrade = Callable[[JsonObject], JsonObject]


@dataclass(frozen=True)
class Kind[T]:
    """A document of a run.

    Parameters
    ----------
    view : type
        A frozen dataclass: what a reader gets, whatever the file's age.
    what : str
        Words for what the file is.
    schema : int
        Number of today's layout, kept in the file; files without one are of the first.
    stage : str
        The verb that leaves the file.
    upgrades : mapping of int to callable
        By the number of an earlier layout: gives that content in the next one.
    explicit : bool
        Whether what is not known is written as null, or left out.
    """

    view: type[T]
    what: str
    schema: int
    stage: str
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)
    explicit: bool = False

    @cached_property
    def adapter(self) -> TypeAdapter[T]:
        """What checks a content, and makes the view of it."""
        return TypeAdapter(self.view)

    @property
    def again(self) -> str:
        """What to do about a file that cannot be read."""
        return f"Run `trigger-ml {self.stage}` for that run again, with this version"


def read_object(path: Path) -> JsonObject:
    """A file that holds a JSON object.

    Raises
    ------
    InputError
        If it does not.
    """
    try:
        content: Json = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(str(path), f"not JSON ({error})", "Remove it and run the stage again") from None
    if not isinstance(content, dict):
        raise InputError(str(path), "holds no JSON object", "Remove it and run the stage again")
    return content


def _said(error: ValidationError) -> str:
    """The first thing that is wrong, and where, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def parse[T](content: Mapping[str, Json], kind: Kind[T], name: str) -> T:
    """The typed view of a document's content.

    Parameters
    ----------
    content : mapping
        As JSON, of this or an earlier layout.
    kind : Kind
    name : str
        Of the file, for errors.

    Raises
    ------
    InputError
        If the layout is one of the future, or a part is missing or of another kind.
    """
    with reading(name, f"{kind.what} of this version", kind.again):
        found = dict(content)
        schema = found.get("schema", 1)
        if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
            raise ValueError(f"its schema number is {schema!r}")
        if schema > kind.schema:
            raise InputError(
                name,
                f"has schema {schema} of the {kind.what}, this version reads up to {kind.schema}",
                f"Use the version of trigger_ml that wrote it, or run `trigger-ml {kind.stage}` again",
            )
        for step in range(schema, kind.schema):
            found = kind.upgrades[step](found)
        try:
            return kind.adapter.validate_python(found)
        except ValidationError as error:
            raise ValueError(_said(error)) from None


def read[T](path: Path, kind: Kind[T]) -> T:
    """Read a document of a run.

    Raises
    ------
    InputError
        If there is no such file, it is damaged, or its layout is one of the future.
    """
    with reading(path, f"{kind.what} of this version", kind.again):
        return parse(read_object(path), kind, str(path))


def is_default(owner: object, name: str) -> bool:
    """Whether a field of a dataclass holds what it holds where nothing was given."""
    (item,) = [item for item in fields(owner) if item.name == name]  # type: ignore[arg-type]
    value: object = getattr(owner, name)
    if callable(item.default_factory):
        return bool(value == item.default_factory())
    return bool(value is item.default or value == item.default)


def plain(value: object, *, everything: bool = False) -> Json:
    """A typed view as JSON.

    Parameters
    ----------
    value : object
        A dataclass, or what is inside one.
    everything : bool
        With fields that hold their default; without, what is not known is not written.
    """
    if is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in fields(value) if everything or not is_default(value, item.name)]
        return {name: plain(getattr(value, name), everything=everything) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(item, everything=everything) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item, everything=everything) for item in value]
    assert value is None or isinstance(value, bool | int | float | str), type(value)
    return value


def write[T](path: Path, kind: Kind[T], document: T) -> None:
    """Write a document of a run, atomically; `read` gives back an equal one."""
    content = plain(document, everything=kind.explicit)
    assert isinstance(content, dict)
    write_json(path, {"schema": kind.schema, **content})
