"""Telling people: by mail, chat or webhook, wherever apprise reaches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from resources.errors import ConfigError

if TYPE_CHECKING:
    from apprise import Apprise

_log = logging.getLogger(__name__)


def check_urls(urls: Sequence[str]) -> None:
    """Raises `ConfigError` where apprise is missing or does not understand one of `urls`."""
    _apprise(urls)


def send(urls: Sequence[str], title: str, body: str) -> bool:
    """Whether `title` and `body` reached everybody at `urls` (as apprise has them, each a secret).

    Nobody to tell is nobody missed. Raises `ConfigError` as `check_urls` does.
    """
    if not urls:
        return True
    reached = bool(_apprise(urls).notify(title=title, body=body))
    if not reached:
        _log.warning("Could not tell everybody: %s", title)
    return reached


def _apprise(urls: Sequence[str]) -> Apprise:
    try:
        import apprise
    except ModuleNotFoundError:
        raise ConfigError(
            "Notifications need apprise: pip install 'issuelake[notify]', or configure none."
        ) from None
    everybody = apprise.Apprise()
    for place, url in enumerate(urls, 1):
        if not everybody.add(url):
            # The URL itself holds tokens, so only its place is told.
            raise ConfigError(f"Notification URL number {place} is none that apprise understands.")
    return everybody
