"""No secret of a configuration shows anywhere, whatever goes wrong."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import traceback
from base64 import b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from rich.pretty import pretty_repr

from pipelines.operations.dispatch import run
from resources.backends import BACKENDS, settings_of
from resources.config import configuration, configured
from resources.errors import IssuelakeError
from tests import servers

LITERAL, FROM_ENVIRONMENT, DEFAULT = "lit3ral-hunter2", "env-hunter2-9f", "default-hunter2-77"
ENCRYPTION_KEYS = [
    b64encode(text.ljust(32, "!").encode()).decode() for text in (LITERAL, FROM_ENVIRONMENT, DEFAULT)
]
SECRETS = (LITERAL, FROM_ENVIRONMENT, DEFAULT, *ENCRYPTION_KEYS)
WAYS = (LITERAL, "${SEEDED_SECRET}", "${NOT_SET_ANYWHERE:-" + DEFAULT + "}")
WAYS_OF_KEYS = (
    ENCRYPTION_KEYS[0],
    "${SEEDED_ENCRYPTION_KEY}",
    "${NOT_SET_ANYWHERE:-" + ENCRYPTION_KEYS[2] + "}",
)
SECRET_KEYS = ("password", "secret", "account_key", "access_key_id", "connection_string", "token", "sas")


def seeded(name: str, value: str) -> dict[str, Any]:
    """Keys of the backend, its secrets given as `value`, its hosts closed ports of this machine."""
    port = servers.free_port()
    keys: dict[str, Any] = {}
    for field in msgspec.structs.fields(settings_of(name)):
        if field.name == "encryption_key":  # a good one, or nothing but that would be told
            keys[field.name] = WAYS_OF_KEYS[WAYS.index(value)]
        elif any(secret in field.name for secret in SECRET_KEYS):
            keys[field.name] = value
        elif field.name == "connection_string":
            keys[field.name] = f"mongodb://user:{value}@127.0.0.1:{port}/?serverSelectionTimeoutMS=200"
        elif field.name == "storage_options":
            keys[field.name] = {
                "key": value,
                "secret": value,
                "endpoint_url": f"http://127.0.0.1:{port}",
                "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 1},
            }
        elif field.name == "url":
            keys[field.name] = f"s3://user:{value}@bucket/folder"
        elif field.name in ("host", "namenode_url", "endpoint_url"):
            keys[field.name] = "127.0.0.1" if field.name == "host" else f"http://127.0.0.1:{port}"
        elif field.name == "port":
            keys[field.name] = port
        elif field.name == "timeout_seconds":
            keys[field.name] = 1
        elif field.name.endswith("path"):
            keys[field.name] = "/dev/null/cannot-be"
        elif field.required and field.type is str:
            keys[field.name] = "someone"
    return keys


def broken(keys: dict[str, Any], value: str) -> list[dict[str, Any]]:
    """The keys as they are, then wrong in every way."""
    return [
        keys,
        {**keys, "priority": value},
        {**keys, "no_such_key": value},
        {**keys, "timeout_seconds": [value]},
        {**keys, "encryption_key": value},
        {**keys, "encryption_key": [value]},
        {key: [value] for key in keys},
    ]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("value", WAYS, ids=("literal", "environment", "default"))
def test_nothing_that_a_backend_produces_shows_a_secret(
    name: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEDED_SECRET", FROM_ENVIRONMENT)
    monkeypatch.setenv("SEEDED_ENCRYPTION_KEY", ENCRYPTION_KEYS[1])
    caplog.set_level(logging.INFO)
    produced: list[str] = []
    for keys in broken(seeded(name, value), value):
        document = {"storage_backend": name, "storage_config": {name: keys}}
        for operation in ({"operation": "get_health_status"}, {"issues": {}}, {"operation": "get_issues"}):
            answer = run({**operation, **document})
            produced.append(json.dumps(answer))
        try:
            for backend in configured(document):
                produced += [repr(backend), str(backend), pretty_repr(backend), backend.settings.place()]
                storage = backend.open()
                produced += [repr(storage), repr(storage.backend), storage.backend.url]
                storage.backend.days()
        except IssuelakeError:
            produced.append(traceback.format_exc())
    produced += [*capfd.readouterr(), caplog.text]
    for secret in SECRETS:
        assert [text for text in produced if secret in text] == []


@pytest.mark.parametrize(
    "text",
    [
        "storage_config: {fsspec: {url: memory://x, storage_options: {secret: *SECRET}}}",
        "storage_config:\n  fsspec:\n   secret: 'SECRET\n",
        "storage_config: {fsspec: {secret: !SECRET }}",
        "storage_config: {fsspec: {secret: %SECRET}}",
    ],
)
def test_a_broken_file_is_not_quoted(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("SECRET", LITERAL))
    with pytest.raises(IssuelakeError) as caught:
        configuration(config=path)
    assert "line" in str(caught.value)
    assert LITERAL not in "".join(traceback.format_exception(caught.value))
    done = issuelake("run", "--input", str(path), cwd=tmp_path)
    assert done.returncode
    assert LITERAL not in done.stdout + done.stderr


def test_a_missing_variable_is_named_with_its_key_and_nothing_else() -> None:
    keys = {
        "url": "s3://bucket",
        "storage_options": {"key": LITERAL, "secret": f"{LITERAL}${{NOT_SET_ANYWHERE}}"},
    }
    with pytest.raises(IssuelakeError) as caught:
        configured({"storage_config": {"fsspec": keys}})
    assert "storage_config.fsspec.storage_options.secret" in str(caught.value)
    assert "NOT_SET_ANYWHERE" in str(caught.value)
    assert LITERAL not in str(caught.value)


def test_dagster_and_the_command_line_show_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "storage_backend": "fsspec",
                "storage_config": {"fsspec": seeded("fsspec", "${SEEDED_SECRET}")},
            }
        )
    )
    environment = {
        "ISSUELAKE_CONFIG": str(path),
        "SEEDED_SECRET": FROM_ENVIRONMENT,
        "SEEDED_ENCRYPTION_KEY": ENCRYPTION_KEYS[1],
    }
    made = (
        "from pipelines.definitions import defs; import sys; sys.stdout.write(repr(defs.resources)); "
        "r = defs.resolve_job_def('maintenance').execute_in_process(raise_on_error=False); "
        "[print(e) for e in r.all_events]"
    )
    done = subprocess.run(
        [sys.executable, "-c", made],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    produced = done.stdout + done.stderr
    assert "STEP_FAILURE" in produced, produced
    for command in ("health", "latest", "summary"):
        answered = issuelake(command, cwd=tmp_path, **environment)
        assert answered.returncode, answered
        produced += answered.stdout + answered.stderr
    assert FROM_ENVIRONMENT not in produced
    assert ENCRYPTION_KEYS[1] not in produced


def issuelake(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("from pipelines.cli import main; main()", *arguments, cwd=cwd, **environment)


def python(code: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
