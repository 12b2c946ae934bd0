"""The parts of SARIF 2.1.0 that are read, typed. What is not named here is passed over.

An absent property is None, or empty where it is a text; an explicit null is refused, as SARIF does.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from msgspec import Struct

LEVELS = ("error", "warning", "note", "none")
KINDS = ("fail", "open", "review", "informational", "pass", "notApplicable")

Level = Literal["error", "warning", "note", "none"]
Kind = Literal["fail", "open", "review", "informational", "pass", "notApplicable"]

_NO = cast(Any, None)


class _Sarif(Struct, rename="camel", gc=False):
    """An object of the format."""


class Text(_Sarif):
    """A message or a multiformat text; `id` and `arguments` are a message's alone."""

    text: str = ""
    markdown: str = ""
    id: str = ""
    arguments: list[str] = _NO


class ArtifactLocation(_Sarif):
    uri: str = ""
    uri_base_id: str = ""
    index: int = -1


class Region(_Sarif):
    start_line: int = _NO
    start_column: int = _NO
    end_line: int = _NO
    end_column: int = _NO
    snippet: Text = _NO


class PhysicalLocation(_Sarif):
    artifact_location: ArtifactLocation = _NO
    region: Region = _NO


class LogicalLocation(_Sarif):
    name: str = ""
    fully_qualified_name: str = ""


class Location(_Sarif):
    physical_location: PhysicalLocation = _NO
    logical_locations: list[LogicalLocation] = _NO
    message: Text = _NO


class ThreadFlowLocation(_Sarif):
    location: Location = _NO


class ThreadFlow(_Sarif):
    locations: list[ThreadFlowLocation]


class CodeFlow(_Sarif):
    thread_flows: list[ThreadFlow]


class Configuration(_Sarif):
    level: Level = _NO


class Rule(_Sarif):
    """A reportingDescriptor."""

    id: str
    name: str = ""
    short_description: Text = _NO
    full_description: Text = _NO
    help: Text = _NO
    help_uri: str = ""
    default_configuration: Configuration = _NO
    message_strings: dict[str, Text] = _NO
    properties: dict[str, Any] = _NO


class Component(_Sarif):
    """A toolComponent: the driver or one of its extensions."""

    name: str
    version: str = ""
    semantic_version: str = ""
    organization: str = ""
    information_uri: str = ""
    guid: str = ""
    rules: list[Rule] = _NO
    global_message_strings: dict[str, Text] = _NO


class Tool(_Sarif):
    driver: Component
    extensions: list[Component] = _NO


class ComponentReference(_Sarif):
    index: int = -1
    name: str = ""
    guid: str = ""


class RuleReference(_Sarif):
    """A reportingDescriptorReference."""

    id: str = ""
    index: int = -1
    tool_component: ComponentReference = _NO


class Override(_Sarif):
    descriptor: RuleReference
    configuration: Configuration


class Invocation(_Sarif):
    start_time_utc: str = ""
    end_time_utc: str = ""
    execution_successful: bool = _NO
    exit_code: int = _NO
    working_directory: ArtifactLocation = _NO
    rule_configuration_overrides: list[Override] = _NO


class AutomationDetails(_Sarif):
    id: str = ""
    guid: str = ""
    correlation_guid: str = ""


class VersionControl(_Sarif):
    repository_uri: str
    revision_id: str = ""
    branch: str = ""
    revision_tag: str = ""


class Artifact(_Sarif):
    location: ArtifactLocation = _NO


class Run(_Sarif):
    """A run without its results."""

    tool: Tool
    invocations: list[Invocation] = _NO
    automation_details: AutomationDetails = _NO
    version_control_provenance: list[VersionControl] = _NO
    original_uri_base_ids: dict[str, ArtifactLocation] = _NO
    artifacts: list[Artifact] = _NO
    external_property_file_references: dict[str, Any] = _NO
    properties: dict[str, Any] = _NO


class Fix(_Sarif):
    description: Text = _NO


class Suppression(_Sarif):
    kind: str
    status: str = ""
    justification: str = ""


class Provenance(_Sarif):
    invocation_index: int = -1


class Result(_Sarif):
    message: Text = _NO
    rule_id: str = ""
    rule_index: int = -1
    rule: RuleReference = _NO
    kind: Kind = "fail"
    level: Level = _NO
    locations: list[Location] = _NO
    related_locations: list[Location] = _NO
    code_flows: list[CodeFlow] = _NO
    fixes: list[Fix] = _NO
    suppressions: list[Suppression] = _NO
    fingerprints: dict[str, str] = _NO
    partial_fingerprints: dict[str, str] = _NO
    taxa: list[RuleReference] = _NO
    provenance: Provenance = _NO
    baseline_state: str = ""
    guid: str = ""
    correlation_guid: str = ""
    hosted_viewer_uri: str = ""
    occurrence_count: int = _NO
    rank: float = _NO
    properties: dict[str, Any] = _NO


class ExternalProperties(_Sarif):
    """What may stand in another place than its run."""

    guid: str = ""
    run_guid: str = ""
    driver: dict[str, Any] = _NO
    extensions: list[dict[str, Any]] = _NO
    artifacts: list[dict[str, Any]] = _NO
    invocations: list[dict[str, Any]] = _NO
    results: list[Any] = _NO
