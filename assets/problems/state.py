"""What is kept of the lives of problems: small immutable files, named by what they were made of.

    problems/v1/run_date=2025-08-29/open-<key>.parquet            lives that go on after that day
    problems/v1/run_date=2025-08-29/closed-<key>-<from>.parquet   lives that ended since <from>, to that day

The key of a day is a hash of the recipe, of the SQL, and of which rows all days up to it hold. So
another row on an old day gives that day and every later one another key, and what is kept under the
old ones is no longer found. `open` is written last: what is not there is not known.

Whoever needs the state as of a day takes the newest one that is kept and still true, and adds the
days since by `sql/lives_since.sql`. Nothing here is the only copy of anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from assets.days import DayVersion
from resources.files import Entry, Files
from resources.fingerprint import RECIPE_VERSION
from resources.lake import layout
from resources.session import sql

FOLDER = f"problems/v{RECIPE_VERSION}"
_OPEN, _CLOSED, _SUFFIX = "open-", "closed-", ".parquet"

Keys = dict[date, str]
"""The key of each day that has runs, oldest first."""


def root() -> str:
    """The key of the time before any run."""
    return _hashed(str(RECIPE_VERSION), *(sql("assets.problems", name) for name in ("lives_since", "scopes")))


def keys(versions: Iterable[DayVersion], key: str | None = None) -> Keys:
    """The keys of the days of `versions`, oldest first, which follow the day of `key`."""
    found = {}
    key = key or root()
    for version in versions:
        key = found[version.day] = _hashed(key, version.day.isoformat(), version.version)
    return found


@dataclass(frozen=True, slots=True)
class Base:
    """A state that is kept: `day` None is the time before any run, of which there are no files."""

    day: date | None
    key: str
    open_path: str | None = None
    closed_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Closed:
    """A file of the lives that ended after the day of the key `since`, up to that of `key`."""

    key: str
    since: str
    entry: Entry


class Kept:
    """What of the state is kept in a storage."""

    def __init__(self, files: Files) -> None:
        self.entries = files.find(FOLDER)
        self.opens: dict[str, Entry] = {}
        self.closed: dict[str, list[Closed]] = {}
        for entry in self.entries:
            name = entry.path.rpartition("/")[2].removesuffix(_SUFFIX)
            if name.startswith(_OPEN):
                self.opens[name.removeprefix(_OPEN)] = entry
            elif name.startswith(_CLOSED):
                key, _, since = name.removeprefix(_CLOSED).partition("-")
                self.closed.setdefault(key, []).append(Closed(key, since, entry))

    def base(self, keys: Keys, until: date | None = None) -> Base:
        """The newest state that is true of the days of `keys`, as of `until` at the latest."""
        for day in sorted(keys, reverse=True):
            if (until is None or day <= until) and keys[day] in self.opens:
                chain = self.chain(keys, keys[day])
                if chain is not None:
                    paths = tuple(closed.entry.path for closed in chain)
                    return Base(day, keys[day], self.opens[keys[day]].path, paths)
        return Base(None, root())

    def chain(self, keys: Keys, key: str) -> list[Closed] | None:
        """The files of all that ended up to the day of `key`, newest first; None where one is missing."""
        order = {root(): 0} | {known: place for place, known in enumerate(keys.values(), 1)}
        chain = []
        while key != root():
            usable = [closed for closed in self.closed.get(key, ()) if closed.since in order]
            if not usable:
                return None
            chain.append(min(usable, key=lambda closed: order[closed.since]))
            key = chain[-1].since
        return chain


def open_path(day: date, key: str) -> str:
    return f"{layout.day_folder(FOLDER, day)}/{_OPEN}{key}{_SUFFIX}"


def closed_path(day: date, key: str, since: str) -> str:
    return f"{layout.day_folder(FOLDER, day)}/{_CLOSED}{key}-{since}{_SUFFIX}"


def _hashed(*parts: str) -> str:
    """A hash of `parts` in their order: 32 hex digits."""
    content = hashlib.sha256()
    for part in parts:
        content.update(f"{len(part)}:{part}".encode())
    return content.hexdigest()[:32]
