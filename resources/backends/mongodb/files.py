"""Files in a collection: the path is the id; what is long lies in pieces that the file names.

Pieces are written before the file and removed after it, so a file is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from bson import ObjectId

from resources.backends.mongodb.connection import Collections, Connection, Document
from resources.errors import Vanished
from resources.files import Entry
from resources.files.fetched import Fetched

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

T = TypeVar("T")

PIECE_BYTES = 12 * 1024 * 1024


def load(collections: Collections, path: str, session: ClientSession | None = None) -> bytes | None:
    """The whole file; None where there is none."""
    found = collections.files.find_one({"_id": path}, session=session)
    if found is None:
        return None
    if "pieces" not in found:
        return bytes(found["data"])
    query = {"_id": {"$in": found["pieces"]}}
    pieces = {piece["_id"]: piece["data"] for piece in collections.files.find(query, session=session)}
    if len(pieces) < len(found["pieces"]):  # replaced meanwhile
        return load(collections, path, session)
    return b"".join(pieces[i] for i in found["pieces"])


def save(collections: Collections, path: str, data: bytes) -> None:
    """Make the file appear whole, in place of one that is there."""
    document: Document = {"size": len(data), "modified": datetime.now(UTC)}
    if len(data) <= PIECE_BYTES:
        document["data"] = data
    else:
        document["pieces"] = []
        for start in range(0, len(data), PIECE_BYTES):
            piece = {"_id": ObjectId(), "data": data[start : start + PIECE_BYTES]}
            collections.files.insert_one(piece)
            document["pieces"].append(piece["_id"])
    before = collections.files.find_one_and_replace({"_id": path}, document, ["pieces"], upsert=True)
    _drop_pieces(collections, before)


def drop(collections: Collections, path: str) -> None:
    """Remove the file, if it is there."""
    _drop_pieces(collections, collections.files.find_one_and_delete({"_id": path}, ["pieces"]))


def _drop_pieces(collections: Collections, file: Document | None) -> None:
    if file is not None and "pieces" in file:
        collections.files.delete_many({"_id": {"$in": file["pieces"]}})


class MongoFiles:
    """The files of a storage, as `resources.files.Files` has them."""

    key = None

    def __init__(self, connection: Connection) -> None:
        self.url = connection.url
        self._connection = connection
        self._collections = connection.writing
        self._fetched = Fetched()

    def folders(self, path: str) -> list[str]:
        above = f"{path}/" if path else ""
        below = (e.path.removeprefix(above) for e in self.find(path))
        return sorted({rest.partition("/")[0] for rest in below if "/" in rest})

    def find(self, path: str) -> list[Entry]:
        # All strings that begin with the folder's name and a slash; pieces have ids that are no strings.
        below = {"$gte": f"{path}/", "$lt": f"{path}0"} if path else {"$type": "string"}
        with self._connection.doing(f"list {path or '.'} in"):
            found = self._collections.files.find({"_id": below}, ["size", "modified"])
            return [Entry(f["_id"], f["size"], f["modified"].replace(tzinfo=UTC).timestamp()) for f in found]

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        return [e for path in paths for e in self.find(path) if e.path.rpartition("/")[0] == path]

    def read(self, path: str) -> bytes:
        with self._connection.doing(f"read {path} in"):
            data = load(self._collections, path)
        if data is None:
            raise Vanished(f"{path} is not in {self.url}: list again.")
        return data

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        with self._connection.doing(f"write {path} in"), _first_come():
            if renew or self._collections.files.find_one({"_id": path}, ["_id"]) is None:
                save(self._collections, path, data)

    def remove(self, path: str) -> None:
        with self._connection.doing(f"remove {path} in"):
            drop(self._collections, path)

    def sweep(self, before: float) -> None:
        """Remove pieces that no file names."""
        named = {"pieces": {"$exists": True}}
        old = {
            "_id": {"$type": "objectId", "$lt": ObjectId.from_datetime(datetime.fromtimestamp(before, UTC))}
        }
        with self._connection.doing("remove pieces of files in"):
            files = self._collections.files
            lost = {piece["_id"] for piece in files.find(old, ["_id"])}
            lost -= {piece for file in files.find(named, ["pieces"]) for piece in file["pieces"]}
            if lost:
                files.delete_many({"_id": {"$in": list(lost)}})

    def paths(self, paths: Sequence[str]) -> list[str]:
        return self._fetched.names(paths, lambda missing: map(self.read, missing))

    def using(self, work: Callable[[], T]) -> T:
        return self._fetched.using(work)


@contextmanager
def _first_come() -> Iterator[None]:
    """Two who put the same new file in the same moment have both put it."""
    from pymongo.errors import DuplicateKeyError

    try:
        yield
    except DuplicateKeyError:
        return
