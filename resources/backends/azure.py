"""A lake in a container of Azure Blob Storage."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from resources.backends.buckets import BucketSettings, below, check_bucket


class AzureBlob(BucketSettings, kw_only=True):
    """Without a key or connection string, credentials come from where Azure's own tools find them."""

    container_name: str
    account_name: str = ""
    account_key: str = ""
    connection_string: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bucket("container_name", self.container_name)
        if self.account_key and self.connection_string:
            raise ValueError("give account_key or connection_string, not both")
        if not self.account_name and not self.connection_string:
            raise ValueError("account_name or connection_string is missing")
        if self.account_name and not self.account_name.isalnum():
            raise ValueError("account_name has letters and digits only")
        if not _is_base64(self.account_key):
            raise ValueError("account_key is not one: it must be base64, as the Azure portal shows it")
        parts = _parts(self.connection_string)
        if self.connection_string and not parts:
            raise ValueError("connection_string must be NAME=VALUE;NAME=VALUE, as the Azure portal shows it")
        if self.account_name and parts.get("AccountName", self.account_name) != self.account_name:
            raise ValueError("account_name is not that of the connection_string")
        if not _is_base64(parts.get("AccountKey", "")):
            raise ValueError("the AccountKey of connection_string is not base64")

    def place(self) -> str:
        return below("az", self.container_name, self.prefix)

    def storage_options(self) -> dict[str, Any]:
        seconds = max(1, int(self.timeout_seconds))
        options: dict[str, Any] = {"connection_timeout": seconds, "read_timeout": seconds}
        if self.connection_string or self.account_key:
            # The driver prefers any connection string, so one in its environment would win over the key.
            return options | {"connection_string": self._connection_string()}
        if self.endpoint_url:
            options["account_host"] = self.endpoint_url.split("://", 1)[1].rstrip("/")
        return options | {"account_name": self.account_name}

    def _connection_string(self) -> str:
        parts = _parts(self.connection_string) or {
            "DefaultEndpointsProtocol": "https",
            "AccountName": self.account_name,
            "AccountKey": self.account_key,
            "EndpointSuffix": "core.windows.net",
        }
        if self.endpoint_url:
            parts["BlobEndpoint"] = self.endpoint_url.rstrip("/")
        return ";".join(f"{name}={value}" for name, value in parts.items())


def _parts(connection_string: str) -> dict[str, str]:
    """Its names and values; none where it is not one."""
    pairs = [part.partition("=") for part in connection_string.strip().strip(";").split(";")]
    return {name.strip(): value for name, _, value in pairs} if all(equals for _, equals, _ in pairs) else {}


def _is_base64(key: str) -> bool:
    try:
        b64decode(key, validate=True)
    except ValueError:
        return False
    return True
