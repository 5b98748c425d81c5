"""File systems of pyarrow by scheme, with credentials of the usual environment.

| scheme | environment |
|---|---|
| s3 | AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE, AWS_REGION, |
| | AWS_ENDPOINT_URL (other S3 servers), AWS_SKIP_SIGNATURE=true (public buckets) |
| gs | GOOGLE_APPLICATION_CREDENTIALS, STORAGE_EMULATOR_HOST |
| az | AZURE_STORAGE_ACCOUNT_NAME, with AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or |
| | the default credential of Azure |
| hdfs | HADOOP_HOME, JAVA_HOME, CLASSPATH |

A broken connection is retried by the clients of the stores: `ATTEMPTS` times, or for `PATIENCE`,
with growing pauses; a read continues at the range that is missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any

from crosstower.errors import DataError, first_line
from crosstower.values.addresses.address import Address

ATTEMPTS = 5
PATIENCE = timedelta(seconds=60)


def file_system(address: Address) -> Any:
    """Return the `pyarrow.fs.FileSystem` of an address.

    Raises:
        DataError: the scheme has none, or the environment lacks a variable or a client for it.

    """
    make = _MAKERS.get(address.scheme)
    if make is None:
        allowed = ", ".join(f"{name}://" for name in (*_MAKERS, "https"))
        raise DataError(
            f"{address}: {address.scheme}:// addresses cannot be used here; allowed: {allowed}"
        )
    return make(address)


def _s3(address: Address) -> Any:
    given = os.environ.get
    endpoint = given("AWS_ENDPOINT_URL_S3") or given("AWS_ENDPOINT_URL")
    region = given("AWS_REGION") or given("AWS_DEFAULT_REGION")
    bucket = address.bucket if endpoint is None and region is None else None
    anonymous = given("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true")
    return _s3_client(endpoint, region, bucket, anonymous)


@lru_cache(maxsize=8)
def _s3_client(
    endpoint: str | None, region: str | None, bucket: str | None, anonymous: bool
) -> Any:
    from pyarrow import fs  # noqa: PLC0415 - loads the clients of all stores

    options: dict[str, Any] = {"anonymous": True} if anonymous else {}
    if endpoint is not None:
        options["endpoint_override"] = endpoint
    if bucket is not None:
        region = _region_of(bucket)
    strategy = fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
    return fs.S3FileSystem(region=region, retry_strategy=strategy, **options)


def _region_of(bucket: str) -> str | None:
    from pyarrow import fs  # noqa: PLC0415 - loads the clients of all stores

    try:
        return fs.resolve_s3_region(bucket)
    except OSError:  # the client's default, whose own error names the bucket
        return None


@lru_cache(maxsize=8)
def _gs_client(emulator: str | None) -> Any:
    from pyarrow import fs  # noqa: PLC0415 - loads the clients of all stores

    if emulator is None:
        return fs.GcsFileSystem(retry_time_limit=PATIENCE)
    scheme, mark, host = emulator.rpartition("://")
    return fs.GcsFileSystem(
        anonymous=True,
        endpoint_override=host,
        scheme=scheme if mark else "http",
        retry_time_limit=PATIENCE,
    )


def _gs(_address: Address) -> Any:
    return _gs_client(os.environ.get("STORAGE_EMULATOR_HOST"))


def _az(address: Address) -> Any:
    from pyarrow import fs  # noqa: PLC0415 - loads the clients of all stores

    given = os.environ.get
    account = given("AZURE_STORAGE_ACCOUNT_NAME") or given("AZURE_STORAGE_ACCOUNT")
    if account is None:
        raise DataError(
            f"{address}: no storage account; set AZURE_STORAGE_ACCOUNT_NAME, and"
            " AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN"
        )
    key, token = given("AZURE_STORAGE_ACCOUNT_KEY"), given("AZURE_STORAGE_SAS_TOKEN")
    # Both at once are refused by the client; a token is the narrower right.
    return fs.AzureFileSystem(account, account_key=None if token else key, sas_token=token)


def _hdfs(address: Address) -> Any:
    from pyarrow import fs  # noqa: PLC0415 - loads the clients of all stores

    host, _, port = address.bucket.partition(":")
    try:
        return fs.HadoopFileSystem(host, int(port or 8020))
    except OSError as error:
        reason = first_line(error)
        raise DataError(
            f"{address}: no Hadoop client ({reason}); install one and set HADOOP_HOME, JAVA_HOME"
            " and CLASSPATH (hadoop classpath --glob)"
        ) from error


_MAKERS: dict[str, Callable[[Address], Any]] = {
    "s3": _s3,
    "gs": _gs,
    "az": _az,
    "hdfs": _hdfs,
}


def path_in(address: Address) -> str:
    """Return the path of an address within its file system.

    >>> path_in(Address("s3", "bucket/a")), path_in(Address("hdfs", "node:8020/user/a"))
    ('bucket/a', '/user/a')
    """
    return f"/{address.key}" if address.scheme == "hdfs" else address.path
