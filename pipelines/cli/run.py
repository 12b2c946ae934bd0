"""`issuelake run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import CONFIG, STORAGE
from pipelines.cli.output import print_json
from resources.errors import IssuelakeError, UsageError

if TYPE_CHECKING:
    from pipelines.operations.dispatch import Outcome


def run(
    input: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|JSON|-",
            help="The operation document: a JSON or YAML file, '-' for standard input, or the JSON itself.",
        ),
    ],
    storage: STORAGE = None,
    config: CONFIG = None,
) -> None:
    """Carry out one operation document and print its answer, one JSON document, whatever happens.

    `--storage` and `--config` say where, unless the document does.

    **Examples**

    `issuelake run --input '{"operation": "get_issue_summary"}'`

    `issuelake run --input store.yaml --storage s3://team/issues`

    `my-validator | jq '{operation: "store_issues", issues: .}' | issuelake run --input -`
    """
    from pipelines.cli import FAILED, USAGE

    done = _carried_out(input, storage, config)
    print_json(done.answer)
    if not done.answer["success"]:
        raise typer.Exit(USAGE if done.misused else FAILED)


def _carried_out(input: str, storage: str | None, config: str | None) -> Outcome:
    from pipelines.operations.dispatch import failure, outcome

    try:
        document = _document(input)
    except IssuelakeError as error:
        return failure(error)
    return outcome(document, storage, config)


def _document(input: str) -> Any:
    from resources.contract import UTF8_BOM

    if input.lstrip().startswith("{"):
        return _from_json(input.encode("utf-8", "surrogateescape"), "the inline document")
    if input == "-":
        content, source = sys.stdin.buffer.read(), "standard input"
        # Looking like JSON it must be JSON: YAML would take NaN for a text, and say nothing.
        is_yaml = content.removeprefix(UTF8_BOM).lstrip()[:1] not in (b"{", b"[")
    else:
        content, source = _read(input), input
        is_yaml = input.lower().endswith((".yaml", ".yml"))
    if not is_yaml:
        return _from_json(content, source)
    from pipelines.operations.plain_yaml import from_yaml

    return from_yaml(content, source)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"Could not read the operation document {path!r}: {reason}.") from error


def _from_json(content: bytes, source: str) -> Any:
    from resources.contract import UTF8_BOM, ContractError, parse_json

    try:
        return parse_json(content.removeprefix(UTF8_BOM))
    except ContractError as error:
        raise UsageError(f"{source} is no operation document: {error}.") from None
