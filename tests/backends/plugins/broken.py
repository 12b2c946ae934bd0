"""Plugins that do it wrong, one way each."""
# ruff: noqa: ARG001  (what calls them gives both)

from __future__ import annotations

import asyncio
import time
from typing import Any

ISSUE = {"validation_run_id": "r", "timestamp": "2025-01-01", "severity": "low", "description": ""}


def sleeps(context: dict[str, Any], config: dict[str, Any]) -> Any:
    time.sleep(30)


async def sleeps_in_a_coroutine(context: dict[str, Any], config: dict[str, Any]) -> Any:
    await asyncio.sleep(30)


def raises(context: dict[str, Any], config: dict[str, Any]) -> Any:
    raise KeyError(config["api_key"])


def answers_text(context: dict[str, Any], config: dict[str, Any]) -> Any:
    return "fine"


def says_nothing(context: dict[str, Any], config: dict[str, Any]) -> Any:
    return {}


def has_no_list(context: dict[str, Any], config: dict[str, Any]) -> Any:
    return {"success": True, "issues_data": {}}


def does_not_page(context: dict[str, Any], config: dict[str, Any]) -> Any:
    return {"success": True, "issues_data": {"issues": [ISSUE] * 1000}}


def names_no_run(context: dict[str, Any], config: dict[str, Any]) -> Any:
    return {"success": True, "issues_data": {"issues": [{"severity": "low", "description": ""}]}}
