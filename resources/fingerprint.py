"""The fingerprint: one problem keeps its identity while lines shift and numbers change.

Recipe, version 1: SHA-256 (its first 128 bits, as hex) over plugin, category, rule, file path and
the folded description, separated by U+001F. Folding replaces what changes from run to run (quoted
values, hexadecimal and decimal numbers, so line references too) by `#`. The second and later equal
issues of one run get their ordinal into the hash, so two equal issues stay two. An issue that states
an identity of its own (`stated`) has that in the place of its description.

Not MD5, which vectors compute a little faster: who can write a description must not be able to
make a new problem pass for one that is known.

A change of the recipe is a new version number and a backfill, never an edit of this one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

RECIPE_VERSION = 1

VOLATILE = r"""'[^']*'|"[^"]*"|`[^`]*`|0[xX][0-9a-fA-F]+|[0-9]+"""
"""What folding replaces; written so that Python's `re` and RE2 read it alike."""

PLACEHOLDER = "#"
SEPARATOR = "\x1f"
RULE_KEYS = ("rule", "rule_id", "ruleId", "code", "check_id", "test_id")
"""The keys of `details` that can name the rule, the first one that holds a string counts."""

STATED_KEYS = ("fingerprints", "partialFingerprints")
"""The keys of `details` that can hold stated identities by name, the better ones first."""

_volatile = re.compile(VOLATILE)


def rule_of(details: Mapping[str, Any]) -> str:
    """The rule that `details` names, or an empty string."""
    for key in RULE_KEYS:
        if key in details and isinstance(rule := details[key], str):
            return rule
    return ""


def stated(details: Mapping[str, Any]) -> str:
    """The identity that the issue's own tool gives it as SARIF has it, or an empty string.

    Of several the first by name, so that one more changes nothing. What holds a blank is no
    hash but a remark, such as one that fingerprints are for those who have logged in.
    """
    for key in STATED_KEYS:
        if key in details and isinstance(given := details[key], dict):
            usable = [name for name, value in given.items() if isinstance(value, str) and _hash(value)]
            if usable:
                name = min(usable)
                return f"{SEPARATOR}{name}{SEPARATOR}{given[name]}"
    return ""


def _hash(value: str) -> bool:
    return bool(value) and not any(map(str.isspace, value))


def fold(description: str) -> str:
    """`description` with its volatile parts replaced."""
    return _volatile.sub(PLACEHOLDER, description)


def identity(
    plugin: str, category: str | None, rule: str, file_path: str | None, description: str, stated: str = ""
) -> bytes:
    """What the fingerprint is a hash of, before the ordinal."""
    what = stated or fold(description)
    return SEPARATOR.join((plugin, category or "", rule, file_path or "", what)).encode()


def digest(identity: bytes) -> str:
    """The fingerprint of the first issue of a run that has this identity: 32 hex digits."""
    return sha256(identity).hexdigest()[:32]


def ordinal_digest(fingerprint: str, ordinal: int) -> str:
    """The fingerprint of an issue that `ordinal` equal ones of its run precede."""
    return digest(f"{fingerprint}{SEPARATOR}{ordinal}".encode()) if ordinal else fingerprint
