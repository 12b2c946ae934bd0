"""A result of SARIF as an issue of the contract."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from resources.contract.model import ContractError
from resources.contract.sarif.model import Level, Location, Region, Result, Run, Suppression, Text
from resources.contract.sarif.paths import Paths
from resources.contract.sarif.rules import About, Rules, cut, plain, score, tags_of
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
_REMARKS = (
    "fingerprints",
    "partialFingerprints",
    "guid",
    "correlation_guid",
    "baseline_state",
    "hosted_viewer_uri",
    "occurrence_count",
    "rank",
)
"""What a result may say of itself, as `details` call it."""

_remarks = attrgetter(*(name.replace("partialF", "partial_f") for name in _REMARKS))
_NO_REMARKS = _remarks(Result())
_STANDS_ELSEWHERE = ("tags", "security-severity")


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
        security = about.security_severity
        if result.properties:
            shallow(result.properties, f"{pointer}.properties")
            security = score(result.properties.get("security-severity")) or security
        details = {**about.details, "level": level}
        if result.kind != "fail":
            details["kind"] = result.kind
        if security is not None:
            details["security_severity"] = security
        path = self._places(result, details)
        _add_remarks(details, result)
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
        advice = about.help
        if result.fixes:
            fixes = [plain(fix.description) for fix in result.fixes]
            advice = "\n".join(dict.fromkeys(filter(None, fixes))) or advice
        return "" if advice == description else advice

    def _places(self, result: Result, details: dict[str, Any]) -> str:
        """The path of the first location; it and the others go into `details`."""
        path = ""
        if result.locations:
            first, *others = result.locations
            path = self._path(first)
            self._describe(first, details)
            if path and (base := self._paths.base(first.physical_location.artifact_location)):
                details["uri_base_id"] = cut(base, 200)
            if others:
                details["locations"] = [self._place(other) for other in others[:MAX_STEPS]]
        if result.related_locations:
            details["related_locations"] = [
                self._place(place) for place in result.related_locations[:MAX_STEPS]
            ]
        if result.code_flows:
            flows = [flow.thread_flows[0].locations for flow in result.code_flows if flow.thread_flows]
            steps = [step.location for step in flows[0][:MAX_STEPS]] if flows else []
            details["code_flow"] = [self._place(step) for step in steps if step is not None]
        return path

    def _place(self, location: Location) -> dict[str, Any]:
        path = self._path(location)
        place: dict[str, Any] = {"file_path": path} if path else {}
        self._describe(location, place)
        return place

    def _path(self, location: Location) -> str:
        physical = location.physical_location
        return "" if physical is None else self._paths.path(physical.artifact_location)

    def _describe(self, location: Location, place: dict[str, Any]) -> None:
        """Add to `place` what `location` says but for the path."""
        physical = location.physical_location
        if physical is not None and physical.region is not None:
            _add_region(place, physical.region)
        if location.logical_locations:
            logical = location.logical_locations[0]
            if name := logical.fully_qualified_name or logical.name:
                place["logical_location"] = name
        if text := plain(location.message):
            place["message"] = text


def _add_remarks(details: dict[str, Any], result: Result) -> None:
    """What else `result` says of itself."""
    said = _remarks(result)
    if said != _NO_REMARKS:
        named = zip(_REMARKS, said, strict=True)
        details.update([(name, value) for name, value in named if value not in (None, "", {})])
    if result.suppressions:
        _add_suppressions(details, result.suppressions)
    if result.taxa and (taxa := [taxon.id for taxon in result.taxa if taxon.id]):
        details["taxa"] = taxa
    if result.properties:
        if tags := tags_of(result.properties):
            details["tags"] = list(dict.fromkeys([*details.get("tags", ()), *tags]))
        if rest := {k: v for k, v in result.properties.items() if k not in _STANDS_ELSEWHERE}:
            details["properties"] = rest


def _add_suppressions(details: dict[str, Any], suppressions: Sequence[Suppression]) -> None:
    # One that is still being looked at, or was turned down, suppresses nothing.
    details["suppressed"] = all(s.status in ("", "accepted") for s in suppressions)
    details["suppressions"] = [{"kind": s.kind, "status": s.status or "accepted"} for s in suppressions]
    if said := [s.justification for s in suppressions if s.justification]:
        details["justification"] = "\n".join(said)


def _add_region(place: dict[str, Any], region: Region) -> None:
    if region.start_line is not None:
        place["line"] = region.start_line
    if region.start_column is not None:
        place["column"] = region.start_column
    if region.end_line is not None:
        place["end_line"] = region.end_line
    if region.end_column is not None:
        place["end_column"] = region.end_column
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


def _severity(kind: str, level: str, security: float | None) -> str:
    if security is not None and kind in FINDINGS:
        return next(name for least, name in SECURITY_SEVERITIES if security >= least)
    return LEVEL_SEVERITIES[level] if kind in FINDINGS else "low"
