"""`issuelake gate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import CONFIG, JSON, STORAGE
from pipelines.cli.output import print_json, safe
from pipelines.cli.problems import AS_OF, SHORT
from pipelines.cli.triage import read

if TYPE_CHECKING:
    from assets.problems.gate import Rule


def gate(
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="FILE|-", help="What is let through, YAML or JSON: docs/gate.md."),
    ],
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", "-p", help="Only this plugin; may be given several times."),
    ] = None,
    as_of: AS_OF = None,
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Say whether the problems keep to a policy, and why; exit with 1 where they do not.

    What was accepted or is a false positive does not count.

    **Examples**

    `issuelake gate --policy gate.yaml`

    `issuelake gate --policy gate.yaml --plugin requests --json`

    `issuelake gate --policy gate.yaml --as-of 2025-06-30`
    """
    from assets.problems.gate import judge
    from assets.problems.policy import policy_of
    from assets.problems.relation import Asked, moment_of
    from assets.problems.update import try_to_keep
    from pipelines.cli.opening import open_storage
    from pipelines.operations.plain_yaml import from_yaml

    checked = policy_of(from_yaml(read(policy, "the policy"), policy, "policy"), policy)
    asked = Asked(moment_of(as_of) if as_of else None)
    lake = open_storage(storage, config).backend
    try_to_keep(lake)
    verdict = judge(lake, checked, asked, plugin or ())
    if json:
        print_json({"policy": policy, "as_of": as_of, **_fields(verdict)})
    else:
        broken = sum(not rule.passed for rule in verdict.rules)
        for rule in verdict.rules:
            _show(rule)
        said = "passed" if verdict.passed else f"failed: {broken} of {len(verdict.rules)} rules do not hold"
        print(f"{safe(policy)}: {said}")
    if not verdict.passed:
        raise typer.Exit(1)


def _fields(verdict: object) -> dict[str, object]:
    import msgspec

    fields: dict[str, object] = msgspec.to_builtins(verdict)
    return fields


def _show(rule: Rule) -> None:
    print(f"{'ok  ' if rule.passed else 'FAIL'}  {rule.rule}: {safe(rule.why)}")
    for problem in rule.problems:
        place = " ".join(safe(problem[name]) for name in ("severity", "target_plugin", "file_path"))
        print(f"        {problem['fingerprint'][:SHORT]}  {place}  {safe(problem['description'])}")
    if rule.problems and rule.found is not None and rule.found > len(rule.problems):
        print(f"        … and {rule.found - len(rule.problems)} more")
