"""A lake in a bucket of S3, or of what speaks its protocol."""

from __future__ import annotations

from typing import Any, Literal

from resources.backends.buckets import BucketSettings, below, check_bucket

_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class AwsS3(BucketSettings, kw_only=True):
    """Without `access_key_id`, credentials come from where AWS's own tools find them."""

    bucket: str
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    encryption: Literal["AES256", "aws:kms", ""] = ""
    kms_key_id: str = ""
    storage_class: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bucket("bucket", self.bucket)
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key go together")
        if self.kms_key_id and self.encryption != "aws:kms":
            raise ValueError("kms_key_id needs encryption: aws:kms")
        if self.storage_class in _ARCHIVES:
            raise ValueError(f"storage_class {self.storage_class} cannot be read without restoring it first")

    def place(self) -> str:
        return below("s3", self.bucket, self.prefix)

    def storage_options(self) -> dict[str, Any]:
        every_call = {
            "ServerSideEncryption": self.encryption,
            "SSEKMSKeyId": self.kms_key_id,
            "StorageClass": self.storage_class,
        }
        return {
            "key": self.access_key_id or None,
            "secret": self.secret_access_key or None,
            "endpoint_url": self.endpoint_url or None,
            "client_kwargs": {"region_name": self.region} if self.region else {},
            "config_kwargs": {"connect_timeout": self.timeout_seconds, "read_timeout": self.timeout_seconds},
            "s3_additional_kwargs": {name: value for name, value in every_call.items() if value},
        }
