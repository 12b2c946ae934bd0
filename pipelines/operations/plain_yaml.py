"""YAML as far as JSON goes: text, numbers, truth values, lists, mappings, and nothing changed in silence."""

from __future__ import annotations

import re
from typing import Any

import yaml

from resources.errors import UsageError

_TAG = re.compile(r"(the )?tag .*", re.DOTALL)
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _PlainLoader(yaml.SafeLoader):
    """Dates stay text, as in JSON; a key that occurs twice and an alias are refused, since one would
    lose a value and the other let a small document stand for an endless one."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's events are
            raise yaml.composer.ComposerError(None, None, "aliases are not taken here", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen:
                problem = "occurs twice" if key in seen else "is no text (quote it)"
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} {problem}", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def from_yaml(content: bytes, source: str, what: str = "operation document") -> Any:
    """The document in `content`, which is to be `what`. Raises `UsageError` naming `source` and the place."""
    try:
        return yaml.load(content, _PlainLoader)
    except yaml.MarkedYAMLError as error:
        # Not the line itself, which may hold a secret, nor a tag: "!" makes one of it.
        problem = _TAG.sub("a tag", error.problem or "it cannot be read")
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{source} is no {what}: {problem}{where}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{source} is no {what}: {' '.join(str(error).split())}.") from None
