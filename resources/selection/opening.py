"""From configured backends to the chain that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING

from resources.backend import Backend
from resources.backends.database_factory import DatabaseFactory
from resources.backends.lakes import LocalFile
from resources.files import Files
from resources.selection.chain import Chain
from resources.selection.member import Member
from resources.selection.selected import Selected
from resources.selection.trace import Trace

if TYPE_CHECKING:
    from resources.config import Configured, Prepare


def chain_of(backends: Sequence[Configured], prepare: Prepare | None = None) -> Chain:
    """The chain of those of `backends` that are used, in their order.

    Its ledger is kept in `local_file`, whether that is used or not.
    """
    notes = _notes(backends)
    used = [backend for backend in backends if backend.active or backend.fallback]
    return Chain([member for backend in used for member in _members(backend, notes, prepare)], notes)


def apart(backends: Sequence[Configured], chain: Chain | None, prepare: Prepare | None) -> list[Member]:
    """The members that those of `backends` are which are not in `chain`."""
    notes = _notes(backends)
    members = [member for backend in backends for member in _members(backend, notes, prepare)]
    used = {member.name for member in chain.members} if chain else set()
    return [member for member in members if member.name not in used]


def _members(backend: Configured, notes: Callable[[], Files], prepare: Prepare | None) -> Iterator[Member]:
    """The member that a backend is; of `database_factory` each of its databases."""
    if isinstance(backend.settings, DatabaseFactory):
        for name, settings in backend.settings.members().items():
            yield Member(f"{backend.name}.{name}", backend.name, settings, notes, prepare)
    else:
        yield Member(backend.name, backend.name, backend.settings, notes, prepare)


def factory_alone(factory: DatabaseFactory) -> Backend:
    """The databases of `factory` as one backend, outside of a configuration."""
    notes = _notes(())
    members = [Member(name, name, settings, notes) for name, settings in factory.members().items()]
    return Selected(Chain(members, notes), Trace(members[0].name))


def _notes(backends: Sequence[Configured]) -> Callable[[], Files]:
    """Where the ledger and the standing of the members are kept, opened when it is first needed."""
    local = next((b.settings for b in backends if isinstance(b.settings, LocalFile)), LocalFile())
    lock = Lock()
    opened: list[Files] = []

    def files() -> Files:
        with lock:
            if not opened:
                opened.append(local.open().files)
            return opened[0]

    return files
