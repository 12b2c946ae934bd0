"""What a run's tool says about its rules, looked up once for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resources.contract.sarif.model import (
    Component,
    ComponentReference,
    Level,
    Result,
    Rule,
    Run,
    Text,
)

MAX_TEXT = 2000
"""Characters that are kept of what a rule says, since each of its results repeats it."""

MAX_TAGS = 50

SECURITY = "security"

_plain_tag = re.compile(r"[a-z][a-z0-9 _-]*")


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """`text`, or its beginning."""
    return text if len(text) <= limit else f"{text[:limit]}…"


@dataclass(slots=True)
class About:
    """What is known of the rule of a result."""

    category: str = ""
    description: str = ""
    """What it is about where a result has no message."""
    help: str = ""
    level: Level | None = None
    security_severity: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    strings: Mapping[str, Text] = field(default_factory=dict)
    fallback_strings: Mapping[str, Text] = field(default_factory=dict)
    place: tuple[str, int] = ("", -1)
    """Its id and its place in its component, by which an invocation overrides it."""


class Rules:
    """The rules of the driver and its extensions."""

    def __init__(self, run: Run) -> None:
        self._components = [run.tool.driver, *(run.tool.extensions or ())]
        self._by_id = [
            {rule.id: place for place, rule in reversed(list(enumerate(component.rules or ())))}
            for component in self._components
        ]
        self._known: dict[tuple[Any, ...], About] = {}

    def of(self, result: Result) -> About:
        """The rule that `result` breaks, as far as the run describes it."""
        reference = result.rule
        if reference is None:
            key: tuple[Any, ...] = (result.rule_id, result.rule_index)
        else:
            asked = reference.tool_component or ComponentReference()
            index = result.rule_index if result.rule_index >= 0 else reference.index
            key = (result.rule_id or reference.id, index, asked.index, asked.name, asked.guid)
        about = self._known.get(key)
        if about is None:
            about = self._known[key] = self._look_up(*key)
        return about

    def _look_up(self, rule_id: str, index: int, *component: Any) -> About:
        start = self._component(*component) if component else 0
        rules: Sequence[Rule] = self._components[start].rules or ()
        if 0 <= index < len(rules) and _names(rule_id, rules[index].id):
            return _about(self._components[start], rules[index], index, rule_id)
        order = [start, *(n for n in range(len(self._components)) if n != start)]
        for name in _ancestry(rule_id):
            for number in order:
                place = self._by_id[number].get(name)
                if place is not None:
                    found = self._components[number]
                    return _about(found, found.rules[place], place, rule_id)
        about = About(rule_id, fallback_strings=self._components[start].global_message_strings or {})
        if rule_id:
            about.details["rule"] = rule_id
            about.place = rule_id, index
        return about

    def _component(self, index: int, name: str, guid: str) -> int:
        extensions = self._components[1:]
        if 0 <= index < len(extensions):
            return index + 1
        for number, component in enumerate(self._components):
            if (guid and component.guid == guid) or (not guid and name and component.name == name):
                return number
        return 0


def _names(rule_id: str, rule: str) -> bool:
    """Whether a result that says `rule_id` can mean the rule of the id `rule`."""
    return not rule_id or rule in _ancestry(rule_id)


def _ancestry(rule_id: str) -> list[str]:
    """`rule_id` and the ids above it: a result may name a part of a rule, as in `CA1000/1`."""
    parts = rule_id.split("/")[:16]
    return [rule_id, *("/".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))] if rule_id else []


def _about(component: Component, rule: Rule, place: int, rule_id: str) -> About:
    properties = rule.properties or {}
    tags = tags_of(properties)
    texts = (rule.short_description, rule.full_description)
    named = rule_id or rule.id
    details: dict[str, Any] = {"rule": named}
    if rule.name and rule.name != named:
        details["rule_name"] = cut(rule.name, 200)
    if rule.help_uri:
        details["help_uri"] = cut(rule.help_uri)
    if tags:
        details["tags"] = tags
    for key in ("precision", "problem.severity"):
        if isinstance(value := properties.get(key), str):
            details[key.replace(".", "_")] = cut(value, 200)
    configuration = rule.default_configuration
    return About(
        category=_category(properties, tags) or named,
        description=next((cut(plain(text)) for text in texts if plain(text)), cut(rule.name) or named),
        help=cut(plain(rule.help)),
        level=configuration.level if configuration else None,
        security_severity=score(properties.get("security-severity")),
        details=details,
        strings=rule.message_strings or {},
        fallback_strings=component.global_message_strings or {},
        place=(rule.id, place),
    )


def plain(text: Text | None) -> str:
    """What `text` says, as plain text where there is any."""
    return "" if text is None else (text.text or text.markdown).strip()


def tags_of(properties: Mapping[str, Any] | None) -> list[str]:
    """The tags in a property bag."""
    tags = (properties or {}).get("tags")
    if not isinstance(tags, list):
        return []
    return [cut(tag, 200) for tag in tags[:MAX_TAGS] if isinstance(tag, str)]


def score(stated: object) -> float | None:
    """A security severity above 0 and up to 10; SARIF has it as text. Anything else says nothing."""
    if isinstance(stated, bool) or not isinstance(stated, str | int | float):
        return None
    try:
        score = float(stated)
    except (ValueError, OverflowError):
        return None
    return score if 0 < score <= 10 else None


def _category(properties: Mapping[str, Any], tags: Sequence[str]) -> str:
    """The kind of problem, as far as the rule says it in a word."""
    stated = properties.get("category")
    if isinstance(stated, str) and stated:
        return cut(stated, 200)
    if SECURITY in tags:
        return SECURITY
    return next((tag for tag in tags if _plain_tag.fullmatch(tag)), "")
