"""Several backends in the order in which they are to be used, and the ledger between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from resources.deadline import begin
from resources.errors import StorageError
from resources.files import Files
from resources.health import Health
from resources.selection.ledger import Ledger
from resources.selection.member import Member
from resources.selection.trace import Trace


class Chain:
    """The members of one configuration, shared by all its operations. The first is preferred."""

    def __init__(self, members: Sequence[Member], notes: Callable[[], Files]) -> None:
        self.members = tuple(members)
        self._notes = notes

    @property
    def preferred(self) -> Member:
        return self.members[0]

    @cached_property
    def ledger(self) -> Ledger:
        """Kept with `local_file`, which is never far."""
        return Ledger(self._notes())

    def member(self, name: str) -> Member | None:
        return next((member for member in self.members if member.name == name), None)

    def usable(self, trace: Trace, to_write: bool = False) -> Iterator[Member]:
        """The members to try, the preferred one first; each that is passed over is noted.

        Those whose breaker is open come in the end after all, if they turn out to be well.
        """
        passed_over = []
        for member in self.members:
            standing = member.standing
            if standing.may_be_used() or (not to_write and standing.may_be_read()):
                yield member
            elif standing.may_be_looked_at():
                health = member.glance()
                seconds = health.latency_ms / 1000
                if health.healthy:
                    trace.note(member.name, "used", seconds)
                    yield member
                else:
                    trace.note(member.name, "failed", seconds, health.error)
            else:
                trace.note(member.name, "skipped", reason=standing.why_not())
                passed_over.append(member)
        for member, health in look_at(passed_over):
            if health.healthy:
                yield member

    def nobody(self, trace: Trace) -> StorageError:
        """The error that says why there is no storage left."""
        reasons = "; ".join(f"{a.backend}: {(a.reason or '').rstrip('.')}" for a in trace.attempts)
        return StorageError(f"No storage is well: {reasons}.")


def look_at(
    members: Sequence[Member], breakers: Sequence[Member] | None = None
) -> list[tuple[Member, Health]]:
    """A round trip to each of `members`, side by side: ten that hang cost one deadline.

    The breakers of `breakers` (all: None) learn of it.
    """
    learns = members if breakers is None else breakers
    calls = [begin(member.look if member in learns else member.check) for member in members]
    # Each ends by its own deadline.
    return [(member, call.result()) for member, call in zip(members, calls, strict=True)]
