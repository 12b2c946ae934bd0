"""The plugin folder, the bill of materials and the examples: complete, valid, and run."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from docs import plugin, sbom
from pipelines.operations.dispatch import run
from pipelines.operations.document import OPERATIONS
from pipelines.operations.plain_yaml import from_yaml
from pipelines.operations.schemas import input_schema, output_schema
from resources.backends import BACKENDS
from resources.backends.custom import CUSTOM_BACKENDS
from tests import hadoop, servers

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "examples" / "configs").iterdir())
OPERATION_FILES = sorted((ROOT / "examples" / "operations").iterdir())
PLUGIN_EXAMPLES = sorted((plugin.FOLDER / "examples").iterdir())
MANIFEST = yaml.safe_load(plugin.MANIFEST.read_text("utf-8"))
BILL = json.loads(sbom.PATH.read_text("utf-8"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ISSUELAKE_CONFIG", raising=False)


def load() -> Any:
    """`main.py` as PlugPipe loads it: a file, by its path."""
    spec = importlib.util.spec_from_file_location("issue_tracker", plugin.FOLDER / MANIFEST["entrypoint"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_manifest_names_what_is_there() -> None:
    assert MANIFEST["name"] == plugin.FOLDER.parent.name == "issue_tracker"
    assert MANIFEST["version"] == plugin.FOLDER.name
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])
    assert {"owner", "status", "license", "description", "category"} <= set(MANIFEST)
    named = [MANIFEST["entrypoint"], MANIFEST["sbom"], MANIFEST["documentation"]["readme"]]
    for name in [*named, *MANIFEST["documentation"]["examples"]]:
        assert (plugin.FOLDER / name).exists(), name


def test_the_schemas_in_the_manifest_are_those_of_the_code() -> None:
    for key, schema in (("input_schema", input_schema()), ("output_schema", output_schema())):
        jsonschema.Draft202012Validator.check_schema(MANIFEST[key])
        assert MANIFEST[key] == schema
    assert set(MANIFEST["input_schema"]["properties"]["operation"]["enum"]) == set(OPERATIONS)


@pytest.mark.parametrize("path", PLUGIN_EXAMPLES, ids=lambda path: path.name)
def test_the_plugin_carries_out_its_examples(path: Path) -> None:
    process = getattr(load(), MANIFEST["function"])
    document = from_yaml(path.read_bytes(), path.name)
    for context in document["steps"]:
        jsonschema.validate(context | document["config"], MANIFEST["input_schema"])
        answer = asyncio.run(process(context, document["config"]))
        jsonschema.validate(answer, MANIFEST["output_schema"])
        assert answer["success"], answer


def test_the_bill_of_materials_is_valid_and_names_no_address() -> None:
    text = sbom.PATH.read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert re.findall(r"https?://(?!cyclonedx\.org/schema/)|file:|/site-packages|\.local\b", text) == []


def test_the_bill_of_materials_lists_what_issuelake_needs_as_ci_has_it() -> None:
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line
    )
    listed = {canonicalize_name(c["name"]): c["version"] for c in BILL["components"]}
    assert {canonicalize_name(r.name) for r in sbom.direct()} <= set(listed)
    assert {name: pinned.get(name) for name in listed} == listed
    assert "pytest" not in listed


def test_the_bill_of_materials_is_made_the_same_again() -> None:
    first, second = sbom.bill(), sbom.bill()
    assert first == second


def test_every_backend_has_an_example_configuration() -> None:
    configured = [yaml.safe_load(path.read_text("utf-8"))["storage_config"] for path in CONFIGS]
    assert {name for config in configured for name in config} == {*BACKENDS, CUSTOM_BACKENDS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_configurations_work(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if "S3_" in path.read_text("utf-8"):
        s3: servers.Storage = request.getfixturevalue("s3_server")
        monkeypatch.setenv("S3_BUCKET", s3.url.removeprefix("s3://"))
        for name, option in (("S3_KEY", "key"), ("S3_SECRET", "secret"), ("S3_ENDPOINT", "endpoint_url")):
            monkeypatch.setenv(name, s3.options[option])
    if "LAKE_KEY" in path.read_text("utf-8"):
        monkeypatch.setenv("LAKE_KEY", b64encode(bytes(32)).decode())
    if "SFTP_" in path.read_text("utf-8"):
        sftp: servers.Storage = request.getfixturevalue("sftp_server")
        host, folder = re.fullmatch(r"sftp://([^/]+)(/.*)", sftp.url).groups()  # type: ignore[union-attr]
        monkeypatch.setenv("SFTP_HOST", host)
        monkeypatch.setenv("SFTP_FOLDER", f"{folder}/example")
        for name, option in (("USER", "username"), ("PORT", "port"), ("KEY_FILE", "key_filename")):
            monkeypatch.setenv(f"SFTP_{name}", str(sftp.options[option]))
    for prefix, fixture in (("POSTGRES", "postgresql_server"), ("MYSQL", "mysql_server")):
        if f"{prefix}_" in path.read_text("utf-8"):
            server: servers.Sql = request.getfixturevalue(fixture)
            values = {"HOST": "localhost", "PORT": server.port, "USER": server.username}
            for name, value in (values | {"PASSWORD": server.password, "CA": server.ca}).items():
                monkeypatch.setenv(f"{prefix}_{name}", str(value))
    if "MONGODB_" in path.read_text("utf-8"):
        mongo: servers.Mongo = request.getfixturevalue("mongo_server")
        monkeypatch.setenv("MONGODB_URL", mongo.url)
    if "AZURE_" in path.read_text("utf-8"):
        azurite: servers.Server = request.getfixturevalue("azurite")
        monkeypatch.setenv("AZURE_ACCOUNT", servers.AZURE_ACCOUNT)
        monkeypatch.setenv("AZURE_KEY", servers.AZURE_KEY)
        monkeypatch.setenv("AZURE_CONTAINER", "issuelake")
        monkeypatch.setenv("AZURE_ENDPOINT", f"{azurite.url}/{servers.AZURE_ACCOUNT}")
    if "GCS_" in path.read_text("utf-8"):
        fake_gcs: servers.Server = request.getfixturevalue("fake_gcs")
        monkeypatch.setenv("GCS_PROJECT", "issuelake")
        monkeypatch.setenv("GCS_BUCKET", "issuelake")
        monkeypatch.setenv("GCS_ENDPOINT", fake_gcs.url)
    if "HDFS_" in path.read_text("utf-8"):
        cluster: hadoop.Cluster = request.getfixturevalue("hdfs_server")
        monkeypatch.setenv("HDFS_NAMENODES", ",".join(f"http://{host}" for host in cluster.hosts.split(",")))
        monkeypatch.setenv("HDFS_USER", hadoop.SUPERUSER)
    if "NFS_" in path.read_text("utf-8"):
        monkeypatch.setenv("NFS_MOUNT", str(tmp_path))
        monkeypatch.setattr("os.path.ismount", lambda place: place == str(tmp_path))
    stored = run({"issues": {"target_plugin": path.name}}, config=path)
    assert stored["success"], stored
    assert run({"operation": "get_health_status"}, config=path)["health_status"]["storage_healthy"]
    latest = run({"operation": "get_latest_issues", "query": {"plugin_name": path.name}}, config=path)
    assert latest["issues_data"]["validation_run_id"] == stored["issues_data"]["runs"][0]["validation_run_id"]


def test_the_operation_examples_are_of_every_operation() -> None:
    named = {from_yaml(path.read_bytes(), path.name)["operation"] for path in OPERATION_FILES}
    assert named == set(OPERATIONS)


@pytest.mark.parametrize("path", OPERATION_FILES, ids=lambda path: path.name)
def test_operation_examples_work(path: Path) -> None:
    local = from_yaml((ROOT / "examples/operations/local.yaml").read_bytes(), "local.yaml")
    assert run({"issues": local["issues"]})["success"]
    document = from_yaml(path.read_bytes(), path.name)
    jsonschema.validate(document, input_schema())
    answer = run(document)
    assert answer["success"], answer
    jsonschema.validate(answer, output_schema())
    if document["operation"].startswith(("get_iss", "get_latest", "search")):
        assert answer["operation_result"]["records_affected"] > 0
