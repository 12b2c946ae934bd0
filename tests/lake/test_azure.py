"""A lake in a container of Azurite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests import servers
from tests.lake.buckets import BucketContract, open_lake, refused
from tests.lake.state import append, check, document, stored
from tests.proxy import Proxy
from tests.servers import AZURE_ACCOUNT, AZURE_KEY, Server


class TestAzureBlob(BucketContract):
    backend_name = "azure_blob"
    bucket_key = "container_name"
    secrets = (AZURE_KEY,)

    @pytest.fixture
    def server(self, azurite: Server) -> Server:
        return azurite

    def keys(self, url: str, prefix: str) -> dict[str, Any]:
        return {
            "account_name": AZURE_ACCOUNT,
            "account_key": AZURE_KEY,
            "container_name": "issuelake",
            "prefix": prefix,
            "endpoint_url": f"{url}/{AZURE_ACCOUNT}",
        }

    def wrong_credentials(self, keys: dict[str, Any]) -> dict[str, Any]:
        return keys | {"account_key": "YSB3cm9uZyBrZXk="}

    def test_account_prefix_and_container_arrive(self, server: Server, bad: Proxy) -> None:
        prefix = str(uuid4())
        append(open_lake("azure_blob", self.keys(bad.url, prefix)), [document("a")])
        assert f"SharedKey {AZURE_ACCOUNT}:".encode() in bad.requests
        container = servers.azure_client(server).get_container_client("issuelake")
        assert len(list(container.list_blobs(f"{prefix}/runs/"))) == 1

    @pytest.mark.parametrize("endpoint", ["in the string", "beside it"])
    def test_a_connection_string(self, server: Server, endpoint: str) -> None:
        url = f"{server.url}/{AZURE_ACCOUNT}"
        text = f"AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
        keys = {"container_name": "issuelake", "prefix": str(uuid4()), "connection_string": text}
        if endpoint == "in the string":
            keys["connection_string"] += f"BlobEndpoint={url};"
        else:
            keys["endpoint_url"] = url
        lake = open_lake("azure_blob", keys)
        append(lake, [document("a")])
        check(lake, {"a": stored("a")})

    def test_a_shared_access_signature(self, server: Server) -> None:
        """One that may only list and read: no permission is an error that keeps the signature."""
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        prefix = str(uuid4())
        append(open_lake("azure_blob", self.keys(server.url, prefix)), [document("a")])
        for rights, allowed in (
            (ContainerSasPermissions(read=True, list=True), False),
            (ContainerSasPermissions(read=True, list=True, write=True, create=True), True),
        ):
            signature = generate_container_sas(
                AZURE_ACCOUNT,
                "issuelake",
                account_key=AZURE_KEY,
                permission=rights,
                expiry=datetime.now(UTC) + timedelta(hours=1),
            )
            text = f"BlobEndpoint={server.url}/{AZURE_ACCOUNT};SharedAccessSignature={signature}"
            keys = {"container_name": "issuelake", "prefix": prefix, "connection_string": text}
            lake = open_lake("azure_blob", keys)
            check(lake, {"a": stored("a")})
            if allowed:
                append(lake, [document("b")])
                continue
            with refused() as told:
                append(lake, [document("b")])
            assert "permission" in told.text.lower()
            for part in (signature, signature.partition("sig=")[2].partition("&")[0]):
                assert part not in told.everything
