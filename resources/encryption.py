"""The key that a lake's Parquet files are encrypted with, by the format's own modular encryption."""

from __future__ import annotations

from base64 import b64decode, b64encode
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

KEY_BYTES = 32
"""AES-256: the one size that DuckDB takes as base64; it mistakes the others for the key itself."""

_NAME_IN_DUCKDB = "lake"
"""A database serves one lake, so that a query of one can never use the key of another."""


class Key:
    """A key of AES-256. Nothing that prints it shows it; `name` tells one key from another."""

    __slots__ = ("_secret", "name")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.name = blake2b(secret, digest_size=6, person=b"issuelake key").hexdigest()

    @classmethod
    def of(cls, text: str) -> Key:
        """The key that `text` spells. Raises `ValueError`, which does not quote it."""
        with suppress(ValueError):
            secret = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else b64decode(text, validate=True)
            if len(secret) == KEY_BYTES:
                return cls(secret)
        raise ValueError(
            f"encryption_key must be {KEY_BYTES} bytes as base64 or hex; `openssl rand -base64 {KEY_BYTES}`"
            " makes one"
        )

    def to_write(self) -> Any:
        """pyarrow's properties for one encrypted file."""
        from pyarrow.parquet.encryption import create_encryption_properties

        return create_encryption_properties(footer_key=self._secret)

    def to_read(self) -> Any:
        """pyarrow's properties for reading encrypted files."""
        from pyarrow.parquet.encryption import create_decryption_properties

        return create_decryption_properties(footer_key=self._secret)

    def add_to(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let the database of `connection` read what is encrypted with this, as `sql_parts` asks for it.

        No function, setting or view of DuckDB gives it out again.
        """
        connection.execute(
            f"PRAGMA add_parquet_key('{_NAME_IN_DUCKDB}', '{b64encode(self._secret).decode()}')"
        )

    def __repr__(self) -> str:
        return f"Key({self.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other._secret == self._secret

    def __hash__(self) -> int:
        return hash(self._secret)


def sql_parts(key: Key | None) -> dict[str, str]:
    """What SQL that reads Parquet files has at `{encryption}`, after the other arguments of
    `read_parquet`, and at `{barrier}`, after the call.

    The barrier keeps the optimizer from moving a filter into the reader: DuckDB 2.0 takes the column
    that it filters by to be damaged.
    """
    if key is None:
        return {"encryption": "", "barrier": ""}
    return {
        "encryption": f", encryption_config => {{footer_key: '{_NAME_IN_DUCKDB}'}}",
        "barrier": " OFFSET 0",
    }
