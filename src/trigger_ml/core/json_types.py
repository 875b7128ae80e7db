"""What a JSON file holds."""

__all__ = ["Json", "JsonObject"]

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
type JsonObject = dict[str, Json]
