"""`custom_backends`: what a configuration can name, and what becomes of what cannot be loaded."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
import yaml

import issuelake
from pipelines.operations.dispatch import run
from pipelines.operations.schemas import input_schema
from resources.backends.custom import CustomBackend
from resources.backends.custom.loading import load
from resources.backends.custom.memory import Memory
from resources.config import active, configured
from resources.errors import ConfigError, StorageError
from tests.lake.state import DAYS, append, check, document, stored

PAGE = Path(__file__).parents[2] / "docs" / "custom-backends.md"
RUN = {"validation_run_id": "r", "issues_list": []}
EVIL = """
import pathlib
pathlib.Path({marker!r}).write_text("imported")
async def process(context, config):
    return {{"success": True}}
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("ISSUELAKE_CONFIG", raising=False)


@pytest.fixture
def module(tmp_path: Path) -> str:
    """The name of a module with classes of every kind."""
    name = f"backends_{uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(
        "from resources.backend import Backend\n"
        "from resources.lake import Lake\n"
        "from resources.files import open_files\n"
        "class Good(Lake):\n"
        "    def __init__(self, path, token=''):\n"
        "        super().__init__(open_files(path))\n"
        "class Lacking(Backend):\n"
        "    url = 'nowhere'\n"
        "class NoBackend: pass\n"
        "class Refusing(Lake):\n"
        "    def __init__(self, token): raise ConnectionRefusedError(f'with {token}')\n"
        "number = 7\n"
    )
    return name


def custom(plugin_name: str, **keys: Any) -> dict[str, Any]:
    return {"custom_backends": {"mine": {"plugin_name": plugin_name, **keys}}}


def test_a_class_by_its_import_path(module: str, tmp_path: Path) -> None:
    keys = custom(f"{module}:Good", config={"path": str(tmp_path / "kept")})
    found = active(configured({"storage_backend": "mine", "storage_config": keys})).open()
    assert (found.name, found.backend.url) == ("mine", str(tmp_path / "kept"))
    assert type(found.backend).__name__ == "Good"


def test_the_environment_is_put_in(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "from-the-environment")
    keys = custom(f"{module}:Good", config={"path": "${KEPT}"})
    assert active(configured({"storage_config": keys})).open().backend.url.endswith("from-the-environment")
    with pytest.raises(
        ConfigError, match=r"storage_config\.custom_backends\.mine\.config\.path needs .* NOT_SET"
    ):
        configured({"storage_config": custom(f"{module}:Good", config={"path": "${NOT_SET}"})})


def test_a_plugin_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "plugs" / "tracker" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "main.py").write_text("def process(context, config): return {'success': True}\n")
    assert load(str(folder)).process is not None
    (folder / "entry.py").write_text("def begin(context, config): return {'success': True, 'by': 'begin'}\n")
    (folder / "plug.yaml").write_text("entrypoint: entry.py\nfunction: begin\n")
    begin = load(str(folder)).process
    assert begin is not None
    assert begin({}, {})["by"] == "begin"
    assert load(str(folder / "main.py")).process is not begin


@pytest.mark.parametrize(
    ("plugin_name", "told"),
    [
        ("no_such_package", "is not installed; known are .*fault_injection, .*memory"),
        ("no such thing", "is not installed"),
        ("{module}:Missing", "AttributeError"),
        ("{module}.deeper:Missing", "ModuleNotFoundError"),
        ("{module}", "is a module without a function process"),
        ("{module}:Lacking", "is a class that lacks append, compact_day"),
        ("{module}:NoBackend", "does not derive from resources.backend.Backend"),
        ("{module}:number", "neither a class nor a function"),
        ("./nowhere", "main.py is not there"),
        ("./broken", "SyntaxError"),
        ("./exiting", "SystemExit: 7"),
        ("./outside", "names an entrypoint outside of its folder"),
    ],
)
def test_what_cannot_be_loaded_says_why(plugin_name: str, told: str, module: str, tmp_path: Path) -> None:
    for name, code in (("broken", "def process(:\n"), ("exiting", "raise SystemExit(7)\n"), ("outside", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text(code)
    (tmp_path / "outside" / "plug.yaml").write_text("entrypoint: ../broken/main.py\n")
    keys = custom(plugin_name.format(module=module), priority=1)
    asked = {"storage_backend": "mine", "storage_config": keys}
    with pytest.raises(ConfigError, match=told):
        active(configured(asked)).open()
    # Named it is an error; under auto it is passed over, and health says why.
    keys["sqlite"] = {"database_path": "issues.db"}
    backends = configured({"storage_config": keys})
    assert [b.name for b in backends] == ["mine", "sqlite", "local_file"]
    status = run({"operation": "get_health_status", "storage_config": keys}, owned=True)
    assert status["success"]
    mine = status["health_status"]["backends"][0]
    assert (mine["name"], mine["healthy"], mine["priority"]) == ("mine", False, 1)
    assert mine["last_error"]


def test_what_refuses_to_be_opened_tells_no_secret(module: str) -> None:
    keys = custom(f"{module}:Refusing", config={"token": "hunter2-4711"})
    with pytest.raises(StorageError, match=r"cannot be opened with its config: .* with \*\*\*\.") as caught:
        active(configured({"storage_config": keys})).open()
    assert "hunter2" not in str(caught.value)
    keys = custom(f"{module}:Good", config={"no_such_key": 1})
    with pytest.raises(ConfigError, match=r"cannot be opened with its config: TypeError: .*no_such_key"):
        active(configured({"storage_config": keys})).open()


def test_auto_goes_by_priority_among_all() -> None:
    def order(**priorities: int) -> list[str]:
        keys = {n: {"plugin_name": "memory", "priority": p} for n, p in priorities.items()}
        given = {"fsspec": {"url": "memory://x"}, "custom_backends": keys, "local_file": {}}
        return [b.name for b in configured({"storage_config": given})]

    assert order(a=1, b=5) == ["a", "fsspec", "b", "local_file"]
    assert order(a=99, b=4) == ["fsspec", "b", "a", "local_file"]  # equal ones in the order written
    assert [b.settings.priority for b in configured({"storage_config": custom("memory")})] == [5, 99]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"custom_backends": {"sqlite": {"plugin_name": "memory"}}}, "has the name of a built-in backend"),
        ({"custom_backends": {"auto": {"plugin_name": "memory"}}}, "has the name of a built-in backend"),
        ({"custom_backends": {"": {"plugin_name": "memory"}}}, "is not a name"),
        ({"custom_backends": []}, "must map names"),
        ({"custom_backends": {"mine": {}}}, "custom_backends.mine: .*plugin_name"),
        ({"custom_backends": {"mine": {"plugin_name": ""}}}, "plugin_name is empty"),
        ({"custom_backends": {"mine": {"plugin": "memory"}}}, r"its keys are priority, .*plugin_name"),
        ({"mine": {"plugin_name": "memory"}}, "Unknown storage backend 'mine'"),
        ({"auto": {}}, "Unknown storage backend 'auto'"),
        (custom("memory") | {"mine": {}}, "Unknown storage backend 'mine'"),
    ],
)
def test_what_is_wrong_with_the_keys_is_told(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        configured({"storage_config": keys})


def test_an_unknown_name_lists_the_custom_ones_too() -> None:
    with pytest.raises(ConfigError, match=r"'miine'; known are auto, .*, mine\."):
        configured({"storage_backend": "miine", "storage_config": custom("memory")})


@pytest.mark.parametrize("key", ["health_check"])
def test_what_is_for_plugins_is_refused_for_classes(key: str) -> None:
    given = {"health_check": {"operation": "ping"}, "timeout_seconds": 5}
    with pytest.raises(ConfigError, match=f"{key} is for PlugPipe plugins; memory is a class"):
        active(configured({"storage_config": custom("memory", **{key: given[key]})})).open()


def test_nothing_of_its_config_shows() -> None:
    assert "hunter2" not in repr(CustomBackend(plugin_name="memory", config={"a": "hunter2"}))


def test_the_class_on_the_page_works(tmp_path: Path) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    (tmp_path / "documents_in_sqlite.py").write_text(code)
    keys = custom("documents_in_sqlite:Documents", config={"path": str(tmp_path / "issues.db")})
    backend = active(configured({"storage_config": keys})).open().backend
    append(backend, [document("a"), document("b", DAYS[1])])
    append(backend, [document("b", DAYS[2], version=1)])
    backend.delete(["a"])
    check(backend, {"b": stored("b", DAYS[2], version=1)})
    assert backend.check().healthy


def test_the_schema_takes_custom_names() -> None:
    asked = {"storage_backend": "mine", "storage_config": custom("memory", health_check={"operation": "x"})}
    jsonschema.validate(asked, input_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"storage_config": custom("memory", plugin=1)}, input_schema())


# --- documents from elsewhere ----------------------------------------------------------------------


@pytest.fixture
def evil(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "evil.py").write_text(EVIL.format(marker=str(tmp_path / "marker")))
    sys.modules.pop("evil", None)
    return custom("evil")


@pytest.mark.parametrize("plugin_name", ["evil", "evil:process", "./evil.py", "os:system", "subprocess:run"])
def test_a_document_has_no_code_imported(plugin_name: str, evil: dict[str, Any], tmp_path: Path) -> None:
    evil["custom_backends"]["mine"]["plugin_name"] = plugin_name
    document = {"issues": RUN, "storage_backend": "mine", "storage_config": evil}
    for answer in (
        run(document),
        run({**document, "storage_backend": "auto"}),
        asyncio.run(issuelake.process(document)),
        asyncio.run(issuelake.process(document, {"storage_config": custom("memory")})),
    ):
        assert not answer["success"]
        assert "an operation document does not have code imported" in answer["error"]
    assert "evil" not in sys.modules
    assert not (tmp_path / "marker").exists()


def test_the_owner_of_the_process_may(evil: dict[str, Any], tmp_path: Path) -> None:
    document = {"operation": "get_health_status", "storage_backend": "mine"}
    assert asyncio.run(issuelake.process(document, {"storage_config": evil}))["success"]
    assert (tmp_path / "marker").exists()


def test_a_configuration_file_may_and_a_document_may_choose_from_it(
    evil: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"storage_config": evil}))
    document = {"operation": "get_health_status", "storage_backend": "mine"}
    assert run(document, config=path)["success"]


def test_a_document_may_name_what_is_installed() -> None:
    name = uuid4().hex
    keys = custom("memory", config={"name": name})
    answer = run({"issues": RUN, "storage_backend": "mine", "storage_config": keys})
    assert answer["operation_result"]["storage_backend_used"] == "mine"
    assert Memory(name).days() != []
