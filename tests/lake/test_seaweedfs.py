"""A lake in a bucket of a real S3 server."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests import servers
from tests.lake.buckets import BucketContract, open_lake, refused
from tests.lake.state import append, document
from tests.servers import SECRETS, Server


class TestAwsS3(BucketContract):
    backend_name = "aws_s3"
    bucket_key = "bucket"
    secrets = (SECRETS["writer"],)

    @pytest.fixture
    def server(self, seaweedfs: Server) -> Server:
        return seaweedfs

    def keys(self, url: str, prefix: str) -> dict[str, Any]:
        return {
            "bucket": "issuelake",
            "prefix": prefix,
            "region": "us-east-1",
            "access_key_id": "writer",
            "secret_access_key": SECRETS["writer"],
            "endpoint_url": url,
        }

    def wrong_credentials(self, keys: dict[str, Any]) -> dict[str, Any]:
        return keys | {"secret_access_key": "a-wrong-secret"}

    def test_who_may_only_read(self, server: Server) -> None:
        prefix = str(uuid4())
        keys = self.keys(server.url, prefix)
        append(open_lake("aws_s3", keys), [document("a")])
        reader = {"access_key_id": "reader", "secret_access_key": SECRETS["reader"]}
        lake = open_lake("aws_s3", keys | reader)
        assert len(lake.days()) == 1
        with refused() as told:
            append(lake, [document("b")])
        assert "Access" in told.text
        assert SECRETS["reader"] not in told.everything

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ({"encryption": "AES256"}, {"ServerSideEncryption": "AES256"}),
            (
                {"encryption": "aws:kms", "kms_key_id": "a-key"},
                {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "a-key"},
            ),
            ({"storage_class": "STANDARD_IA"}, {"StorageClass": "STANDARD_IA"}),
        ],
        ids=["AES256", "aws:kms", "storage_class"],
    )
    def test_keys_arrive(self, server: Server, given: dict[str, Any], kept: dict[str, Any]) -> None:
        prefix = str(uuid4())
        lake = open_lake("aws_s3", self.keys(server.url, prefix) | given)
        append(lake, [document("a")])
        append(lake, [document("b")])
        lake.maintain()
        client = servers.s3_client(server)
        objects = client.list_objects_v2(Bucket="issuelake", Prefix=f"{prefix}/")["Contents"]
        assert len(objects) > 2
        for found in objects:
            head = client.head_object(Bucket="issuelake", Key=found["Key"])
            assert {name: head.get(name) for name in kept} == kept, found["Key"]

    def test_the_region_and_key_id_arrive(self, bad: Any) -> None:
        keys = self.keys(bad.url, str(uuid4())) | {"region": "eu-north-1"}
        assert open_lake("aws_s3", keys).days() == []
        assert b"Credential=writer/" in bad.requests
        assert b"/eu-north-1/s3/aws4_request" in bad.requests
