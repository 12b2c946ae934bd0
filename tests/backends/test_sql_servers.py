"""What the database servers refuse, said without a secret, and what is asked of them."""

from __future__ import annotations

import traceback
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
from sqlalchemy import event
from sqlalchemy.engine import Engine

from resources.backend import RUNS, Pushdown
from resources.backends.sql.settings import Mysql, Postgresql
from resources.errors import StorageError
from tests.backends.sql_servers import settings
from tests.lake.state import FIRST_DAY, append, document
from tests.servers import Sql, free_port

SERVERS = [
    pytest.param(("postgresql_server", Postgresql), id="postgresql"),
    pytest.param(("mysql_server", Mysql), id="mysql"),
]


def refusal(settings: Postgresql | Mysql) -> str:
    """What is told when nothing can be stored, with all that a traceback would show."""
    with pytest.raises(StorageError) as caught:
        append(settings.open(), [document("a")])  # type: ignore[arg-type]
    return "".join(traceback.format_exception(caught.value))


@pytest.fixture(params=SERVERS)
def of_server(request: pytest.FixtureRequest) -> tuple[partial[Any], Sql]:
    fixture, kind = request.param
    return partial(settings, kind), request.getfixturevalue(fixture)


def test_wrong_credentials_are_refused_and_not_shown(of_server: tuple[partial[Any], Sql]) -> None:
    configure, server = of_server
    told = refusal(configure(server, password="not-the-pass-word"))
    assert "not-the-pass-word" not in told
    assert server.password not in told


def test_a_missing_database_is_named(of_server: tuple[partial[Any], Sql]) -> None:
    configure, server = of_server
    told = refusal(configure(server, database="not_there"))
    assert "not_there" in told
    assert server.password not in told


def test_nobody_there(of_server: tuple[partial[Any], Sql]) -> None:
    configure, server = of_server
    told = refusal(configure(server, port=free_port(), timeout_seconds=2.0))
    assert server.password not in told


def test_each_address_that_was_tried_in_vain_is_told_of(postgresql_server: Sql) -> None:
    elsewhere = {"host": "127.0.0.1,nowhere.invalid", "port": free_port(), "timeout_seconds": 2.0}
    told = refusal(settings(Postgresql, postgresql_server, **elsewhere))
    assert "refused" in told
    assert "nowhere.invalid" in told
    assert postgresql_server.password not in told


def test_another_authority_is_not_believed(of_server: tuple[partial[Any], Sql], tmp_path: Path) -> None:
    configure, server = of_server
    own = {"host": "localhost", "ssl_ca": server.ca}
    other = str(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(other)
    if configure.args == (Postgresql,):
        own["ssl_mode"] = "verify-full"
    append(configure(server, **own).open(), [document("a")])
    assert "certificate" in refusal(configure(server, **(own | {"ssl_ca": other}))).lower()


def test_days_and_filters_are_asked_of_the_server(of_server: tuple[partial[Any], Sql]) -> None:
    configure, server = of_server
    backend = configure(server).open()
    append(backend, [document("a"), document("bb", date(2025, 4, 1))])
    asked: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        seen = backend.reading(
            lambda c: c.sql("SELECT validation_run_id FROM runs").fetchall(),
            FIRST_DAY,
            FIRST_DAY,
            (RUNS,),
            Pushdown(plugin="plugin-1"),
        )
    finally:
        event.remove(Engine, "before_cursor_execute", hear)
    assert seen == [("a",)]
    [selected] = [(s, p) for s, p in asked if "_runs" in s and "target_plugin" in s and "WHERE" in s]
    assert "run_date" in selected[0].partition("WHERE")[2]
    assert "plugin-1" in str(selected[1])
