"""JSON content with values taken away, or replaced by another kind."""

import json


def places(content, above=(), depth=4):
    """Where the values of a JSON content lie; of lists the first alone."""
    if depth and isinstance(content, dict):
        for key, value in content.items():
            yield (*above, key)
            yield from places(value, (*above, key), depth - 1)
    elif depth and isinstance(content, list) and content:
        yield (*above, 0)
        yield from places(content[0], (*above, 0), depth - 1)


def changed(content, place, value):
    result = json.loads(json.dumps(content))
    inner = result
    for key in place[:-1]:
        inner = inner[key]
    if value is None:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return result
