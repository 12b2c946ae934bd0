"""Documents that keep a JSON Schema, for hypothesis: as much of JSON Schema as the project's own use."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
MOMENTS = st.datetimes(timezones=st.none() | st.timezones()).map(lambda moment: moment.isoformat())

Schema = dict[str, Any]


def documents(schema: Schema) -> st.SearchStrategy[Any]:
    """What `schema`, which holds its definitions itself, lets through."""
    definitions: dict[str, Schema] = schema.get("$defs", {})

    def of(part: Schema) -> st.SearchStrategy[Any]:
        if "$ref" in part:
            return of(definitions[part["$ref"].rpartition("/")[2]])
        if "enum" in part:
            return st.sampled_from(part["enum"])
        if "anyOf" in part:
            return st.one_of(map(of, part["anyOf"]))
        kinds = part.get("type", "anything")
        return st.one_of(of_type(kind, part) for kind in ([kinds] if isinstance(kinds, str) else kinds))

    def of_type(kind: str, part: Schema) -> st.SearchStrategy[Any]:
        if kind == "object":
            return objects(part)
        if kind == "array":
            return st.lists(of(part.get("items", {})), max_size=3)
        if kind == "integer":
            return st.integers(part.get("minimum"), part.get("maximum"))
        if kind == "string" and part.get("format") == "date-time":
            return MOMENTS | st.text(max_size=20)
        plain = {
            "string": st.text(max_size=40),
            "boolean": st.booleans(),
            "null": st.none(),
            "number": st.floats(),
        }
        return plain.get(kind, ANYTHING)

    def objects(part: Schema) -> st.SearchStrategy[dict[str, Any]]:
        named = {name: of(member) for name, member in part.get("properties", {}).items()}
        required = {name: named.pop(name) for name in part.get("required", ())}
        own = st.fixed_dictionaries(required, optional=named)
        if part.get("additionalProperties", True) is False:
            return own
        others = st.dictionaries(st.text(max_size=8), ANYTHING, max_size=2)
        return st.builds(lambda extra, own: extra | own, others, own)

    return of(schema)
