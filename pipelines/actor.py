"""Who is at work, for what is written down about it."""

from __future__ import annotations

import getpass


def current_user() -> str:
    """This system's user, or `unknown`."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"
