"""A run of SARIF as a run document of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from resources.contract.model import ContractError
from resources.contract.quick import parse_timestamp
from resources.contract.sarif.model import AutomationDetails, Component, Invocation, Result, Run
from resources.contract.sarif.results import Results
from resources.contract.sarif.strict import shallow, typed
from resources.secrets import without_secrets

BATCH = 200
"""Results that are turned into issues, and then into bytes, at a time."""

_encode = msgspec.json.Encoder().encode


def run_document(run: Run, results: list[Any], max_bytes: int, plugin: str | None) -> bytes:
    """The run document of `run` and its `results`, of at most `max_bytes`. Raises `ContractError`.

    `plugin` names what was validated where `run` does not.
    """
    document = {"target_plugin": series(run, plugin), "metadata": _metadata(run)}
    if (moment := _moment(run)) is not None:
        document["timestamp"] = moment.isoformat()
    if run.automation_details is not None and run.automation_details.guid:
        document["validation_run_id"] = run.automation_details.guid
    head = _encode(document)
    pieces, size = [], len(head)
    for piece in _issues(run, results):
        size += len(piece) + 1
        if size > max_bytes:
            raise ContractError(
                "$", "more bytes as a run file than its SARIF file may have (raise the limit to take it)"
            )
        pieces.append(piece)
    return b'%b,"issues_list":[%b]}' % (head[:-1], b",".join(pieces))


def _issues(run: Run, results: list[Any]) -> Iterator[bytes]:
    """The issues as JSON, the elements of some at a time: a rule may be repeated by each of them."""
    reader = Results(run)
    for start in range(0, len(results), BATCH):
        batch = typed(results[start : start + BATCH], list[Result], "$.results", start)
        issues = [reader.issue(result, f"$.results[{place}]") for place, result in enumerate(batch, start)]
        yield _encode(issues)[1:-1]


def series(run: Run, plugin: str | None) -> str:
    """What tells the runs that continue each other from all others: what was validated, how, by what.

    Joined of what the run states, each once: its repository (or `plugin`), the category in its
    automation id, the tool. Runs of one plugin are compared with each other, so two tools on one
    repository must not share a name: what one finds would seem fixed when the other has run.
    """
    parts = [_repository(run) or plugin or "", _category(run.automation_details), run.tool.driver.name]
    return "/".join(dict.fromkeys(filter(None, parts)))


def _repository(run: Run) -> str:
    for control in run.version_control_provenance or ():
        path = without_secrets(control.repository_uri).rstrip("/").replace("\\", "/").replace(":", "/")
        if name := path.rpartition("/")[2].removesuffix(".git"):
            return name
    return ""


def _category(automation: AutomationDetails | None) -> str:
    """The id without its last part, which SARIF has for the one run."""
    return "" if automation is None else automation.id.rpartition("/")[0].strip("/")


def _moment(run: Run) -> datetime | None:
    """When the last invocation ended, or else when it began."""
    for name, field in (("endTimeUtc", "end_time_utc"), ("startTimeUtc", "start_time_utc")):
        moments = []
        for place, invocation in enumerate(run.invocations or ()):
            if stated := getattr(invocation, field):
                try:
                    moments.append(parse_timestamp(stated))
                except ContractError as error:
                    raise ContractError(f"$.invocations[{place}].{name}", error.rule) from None
        if moments:
            return max(moments)
    return None


def _metadata(run: Run) -> dict[str, Any]:
    """What is said of the run itself.

    Command lines, environment variables and accounts are left out: they hold secrets.
    """
    automation, tool = run.automation_details, run.tool
    metadata = {
        "format": "SARIF 2.1.0",
        "tool": _component(tool.driver),
        "extensions": [_component(extension) for extension in tool.extensions or ()],
        "automation": automation and _present(id=automation.id, correlation_guid=automation.correlation_guid),
        "version_control": [
            _present(
                repository=without_secrets(control.repository_uri),
                revision=control.revision_id,
                branch=control.branch,
                tag=control.revision_tag,
            )
            for control in run.version_control_provenance or ()
        ],
        "invocations": [_invocation(invocation) for invocation in run.invocations or ()],
        "uri_bases": {
            name: without_secrets(base.uri) for name, base in (run.original_uri_base_ids or {}).items()
        },
        "external_properties": sorted(run.external_property_file_references or ()),
        "properties": shallow(run.properties, "$.properties"),
    }
    return _present(**metadata)


def _component(component: Component) -> dict[str, Any]:
    return _present(
        name=component.name,
        version=component.version or component.semantic_version,
        organization=component.organization,
        information_uri=component.information_uri,
    )


def _invocation(invocation: Invocation) -> dict[str, Any]:
    facts = {
        "execution_successful": invocation.execution_successful,
        "exit_code": invocation.exit_code,
        "start_time": invocation.start_time_utc or None,
        "end_time": invocation.end_time_utc or None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}
