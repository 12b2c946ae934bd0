"""A result of SARIF as an issue of the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from resources.contract.model import ContractError
from resources.contract.sarif.model import Level, Location, Region, Result, Run, Text
from resources.contract.sarif.paths import Paths
from resources.contract.sarif.rules import About, Rules, cut, plain, tags_of
from resources.contract.sarif.strict import shallow

SECURITY_SEVERITIES = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.0, "low"))
"""From above or exactly so much on; 0 itself says nothing."""

LEVEL_SEVERITIES = {"error": "high", "warning": "medium", "note": "low", "none": "low"}

FINDINGS = ("fail", "open", "review")
"""Kinds that a rule's security severity applies to; the others say that all is well."""

MAX_MESSAGE = 8000
"""Characters of a message whose parts come from elsewhere."""

MAX_STEPS = 100
"""Locations that are kept of a code flow, and of each list of further locations."""

_placeholder = re.compile(r"\{\{|\}\}|\{(\d{1,3})\}")
_TAKEN_AS_ISSUE_FIELDS = ("tags", "security-severity")


class Results:
    """Reads the results of one run."""

    def __init__(self, run: Run) -> None:
        self._invocations = run.invocations or ()
        self._rules = Rules(run)
        self._paths = Paths(run)

    def issue(self, result: Result, pointer: str) -> dict[str, Any]:
        """The issue that `result` is, its fields as in a run file. Raises `ContractError`."""
        about = self._rules.of(result)
        level = result.level or self._default_level(result, about)
        description = self._description(result, about)
        if not description:
            raise ContractError(f"{pointer}.message", "has no text, and its rule has no description")
        properties = shallow(result.properties, f"{pointer}.properties") or {}
        scores = (properties.get("security-severity"), about.security_severity)
        security = next((score for score in map(_score, scores) if score), None)
        details = {**about.details, "level": level}
        if result.kind != "fail":
            details["kind"] = result.kind
        if security is not None:
            details["security_severity"] = security
        path = self._places(result, details)
        self._identity(result, details)
        self._remarks(result, properties, details)
        issue = {
            "severity": _severity(result.kind, level, security),
            "description": description,
            "details": details,
        }
        if about.category:
            issue["category"] = about.category
        if path:
            issue["file_path"] = path
        if recommendation := self._recommendation(result, about, description):
            issue["recommendation"] = recommendation
        return issue

    def _default_level(self, result: Result, about: About) -> Level:
        if result.kind != "fail":
            return "none"
        number = -1 if result.provenance is None else result.provenance.invocation_index
        if 0 <= number < len(self._invocations):
            rule_id, place = about.place
            for override in self._invocations[number].rule_configuration_overrides or ():
                named = override.descriptor
                same = named.id == rule_id if named.id else 0 <= named.index == place
                if same and override.configuration.level:
                    return override.configuration.level
        return about.level or "warning"

    def _description(self, result: Result, about: About) -> str:
        message = result.message
        if message is None:
            return about.description
        return _filled(plain(message) or _looked_up(message, about), message.arguments) or about.description

    def _recommendation(self, result: Result, about: About, description: str) -> str:
        fixes = [plain(fix.description) for fix in result.fixes or ()]
        advice = "\n".join(dict.fromkeys(filter(None, fixes))) or about.help
        return "" if advice == description else advice

    def _places(self, result: Result, details: dict[str, Any]) -> str:
        """The path of the first location; it and the others go into `details`."""
        places = result.locations or ()
        path = ""
        if places:
            first = self._place(places[0])
            path = first.pop("file_path", "")
            details.update(first)
            if path and (base := self._paths.base(places[0].physical_location.artifact_location)):
                details["uri_base_id"] = cut(base, 200)
        for name, others in (("locations", places[1:]), ("related_locations", result.related_locations)):
            if others:
                details[name] = [self._place(place) for place in others[:MAX_STEPS]]
        flows = [flow.thread_flows[0].locations for flow in result.code_flows or () if flow.thread_flows]
        if flows:
            steps = [step.location for step in flows[0][:MAX_STEPS] if step.location is not None]
            details["code_flow"] = [self._place(step) for step in steps]
        return path

    def _place(self, location: Location) -> dict[str, Any]:
        place: dict[str, Any] = {}
        physical = location.physical_location
        if physical is not None:
            if path := self._paths.path(physical.artifact_location):
                place["file_path"] = path
            if physical.region is not None:
                _add_region(place, physical.region)
        for logical in (location.logical_locations or ())[:1]:
            if name := logical.fully_qualified_name or logical.name:
                place["logical_location"] = name
        if text := plain(location.message):
            place["message"] = text
        return place

    @staticmethod
    def _identity(result: Result, details: dict[str, Any]) -> None:
        if result.fingerprints:
            details["fingerprints"] = result.fingerprints
        if result.partial_fingerprints:
            details["partialFingerprints"] = result.partial_fingerprints
        if result.guid:
            details["guid"] = result.guid
        if result.correlation_guid:
            details["correlation_guid"] = result.correlation_guid

    @staticmethod
    def _remarks(result: Result, properties: Mapping[str, Any], details: dict[str, Any]) -> None:
        if result.suppressions:
            # One that is still being looked at, or was turned down, suppresses nothing.
            details["suppressed"] = all(s.status in ("", "accepted") for s in result.suppressions)
            details["suppressions"] = [
                {"kind": s.kind} | ({"status": s.status} if s.status else {}) for s in result.suppressions
            ]
            said = [s.justification for s in result.suppressions if s.justification]
            if said:
                details["justification"] = "\n".join(said)
        if tags := tags_of(properties):
            details["tags"] = list(dict.fromkeys([*details.get("tags", ()), *tags]))
        if result.taxa and (taxa := [taxon.id for taxon in result.taxa if taxon.id]):
            details["taxa"] = taxa
        remarks = {
            "baseline_state": result.baseline_state or None,
            "hosted_viewer_uri": result.hosted_viewer_uri or None,
            "occurrence_count": result.occurrence_count,
            "rank": result.rank,
            "properties": {k: v for k, v in properties.items() if k not in _TAKEN_AS_ISSUE_FIELDS} or None,
        }
        details.update({name: value for name, value in remarks.items() if value is not None})


def _add_region(place: dict[str, Any], region: Region) -> None:
    numbers = {
        "line": region.start_line,
        "column": region.start_column,
        "end_line": region.end_line,
        "end_column": region.end_column,
    }
    place.update({name: number for name, number in numbers.items() if number is not None})
    if region.snippet is not None and (snippet := region.snippet.text.rstrip()):
        place["snippet"] = cut(snippet)


def _looked_up(message: Text, about: About) -> str:
    if not message.id:
        return ""
    return cut(plain(about.strings.get(message.id) or about.fallback_strings.get(message.id)), MAX_MESSAGE)


def _filled(text: str, arguments: Sequence[str] | None) -> str:
    """`text` with its placeholders filled in, if it comes with something to fill in."""
    if not arguments:
        return text

    def fill(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        number = int(found[1])
        return cut(arguments[number], 1000) if number < len(arguments) else found[0]

    return cut(_placeholder.sub(fill, cut(text, MAX_MESSAGE)), MAX_MESSAGE)


def _score(stated: object) -> float | None:
    """A security severity above 0 and up to 10; SARIF has it as text. Anything else says nothing."""
    if isinstance(stated, bool) or not isinstance(stated, str | int | float):
        return None
    try:
        score = float(stated)
    except (ValueError, OverflowError):
        return None
    return score if 0 < score <= 10 else None


def _severity(kind: str, level: str, security: float | None) -> str:
    if security is not None and kind in FINDINGS:
        return next(name for least, name in SECURITY_SEVERITIES if security >= least)
    return LEVEL_SEVERITIES[level] if kind in FINDINGS else "low"
