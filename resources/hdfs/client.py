"""Calls of WebHDFS: to the NameNode that is active, and from there to a DataNode that answers."""

from __future__ import annotations

import errno
import getpass
import os
import time
from http import HTTPStatus
from typing import IO, Any
from urllib.parse import quote, urlsplit

import pyhdfs
import requests
from requests.adapters import HTTPAdapter

CONNECTIONS = 64
CONNECT_WITHIN = 5.0
PAUSE = 0.25
"""Seconds between two rounds of the NameNodes."""
DATANODES = 3
"""So many DataNodes are tried."""

Broken = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


class Client(pyhdfs.HdfsClient):
    """pyhdfs with connections that are kept, time limits on every call, another DataNode where one
    does not answer, and errors as the system has them.

    Raises `OSError`: `ConnectionError` where no NameNode or DataNode serves, else what the server's
    exception means.
    """

    def __init__(self, hosts: str, user: str | None, scheme: str, timeout: float) -> None:
        super().__init__(
            hosts,
            randomize_hosts=False,
            user_name=user or _own_name(),
            timeout=timeout,
            scheme=scheme,
            requests_session=_Session(timeout),
        )

    def _request(
        self, method: str, path: str, op: str, expected_status: HTTPStatus, **kwargs: Any
    ) -> requests.Response:
        """Ask the NameNodes in turn, the one that was active last first.

        While one of them is alive but none active or out of safe mode, as during a failover, go on
        until the time is up.
        """
        params = {"user.name": self.user_name, **kwargs, "op": op}
        deadline = time.monotonic() + self.timeout
        rounds = 0
        while True:
            rounds += 1
            refusals: dict[str, _Refusal] = {}
            for host in self.hosts:
                url = f"{self.scheme}://{host}{pyhdfs.WEBHDFS_PATH}{quote(path)}"
                try:
                    response = self._requests_session.request(
                        method, url, params=params, allow_redirects=False
                    )
                    _check(response, expected_status, path)
                except Broken as error:
                    refusals[host] = _Refusal(_reason(error))
                except _Refusal as refusal:
                    refusals[host] = refusal
                else:
                    self._record_last_active(host)
                    return response
            waiting = any(r.passes for r in refusals.values()) and time.monotonic() < deadline
            # A connection that was kept may turn out to have been closed: once more in any case.
            if rounds > 1 and not waiting:
                told = "; ".join(f"{host} {refusal}" for host, refusal in refusals.items())
                raise ConnectionError(
                    f"no NameNode serves ({told}); see that one is active and that the address is"
                    " that of its web server, often port 9870 or 50070"
                )
            time.sleep(PAUSE)

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset` on, or all that follow."""
        limits: dict[str, Any] = {"offset": offset} | ({} if length is None else {"length": length})
        return self._on_datanode("get", path, "OPEN", HTTPStatus.OK, None, **limits).content

    def write(self, path: str, data: bytes | IO[bytes], overwrite: bool = True, **params: Any) -> None:
        """Make a file with the folders above it. Raises `FileExistsError`."""
        flag = "true" if overwrite else "false"
        self._on_datanode("put", path, "CREATE", HTTPStatus.CREATED, data, overwrite=flag, **params)

    def extend(self, path: str, data: bytes | IO[bytes]) -> None:
        """Append to a file."""
        self._on_datanode("post", path, "APPEND", HTTPStatus.OK, data)

    def move(self, path: str, destination: str, overwrite: bool = True) -> None:
        """Rename in one step, replacing a file that is there; else raises `FileExistsError`."""
        # Without the option the server answers False, for whatever reason, and replaces nothing.
        option = "OVERWRITE" if overwrite else "NONE"
        response = self._put(path, "RENAME", destination=destination, renameoptions=option)
        if response.content and response.json() == {"boolean": False}:
            raise OSError(errno.EIO, "the server did not rename it", path, None, destination)

    def _on_datanode(
        self,
        method: str,
        path: str,
        op: str,
        expected: HTTPStatus,
        data: bytes | IO[bytes] | None,
        **params: Any,
    ) -> requests.Response:
        # What may have been done in part is not repeated, but for a file that is written anew.
        again = op == "OPEN" or params.get("overwrite") == "true"
        silent: list[str] = []
        deadline = time.monotonic() + self.timeout
        while True:
            if silent:
                params["excludedatanodes"] = ",".join(silent)
            try:
                location = self._request(method, path, op, HTTPStatus.TEMPORARY_REDIRECT, **params).headers[
                    "location"
                ]
            except ConnectionError:
                raise
            except OSError as error:
                if silent and "datanode" in str(error):
                    raise _no_datanode(silent) from error
                raise
            try:
                response = self._requests_session.request(method, location, data=data)
            except Broken as error:
                silent.append(urlsplit(location).netloc)
                if not again or len(silent) == DATANODES:
                    raise _no_datanode(silent) from error
                if data is not None and not isinstance(data, bytes):
                    data.seek(0)
                continue
            try:
                _check(response, expected, path)
            except _Refusal as refusal:
                # Its NameNode stopped being the active one while the DataNode was at it.
                if not again or not refusal.passes or time.monotonic() >= deadline:
                    raise ConnectionError(str(refusal)) from refusal
                if data is not None and not isinstance(data, bytes):
                    data.seek(0)
                time.sleep(PAUSE)
                continue
            return response


class _Session(requests.Session):
    """Keeps its connections, and waits for no answer longer than `timeout` seconds."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = (min(CONNECT_WITHIN, timeout), timeout)
        adapter = HTTPAdapter(pool_maxsize=CONNECTIONS)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        # pyhdfs gives its calls to DataNodes no time limit at all.
        return super().request(*args, **{"timeout": self._timeout} | kwargs)


class _Refusal(Exception):
    """A NameNode that does not serve; `passes` where it may do so soon."""

    def __init__(self, reason: str, passes: bool = False) -> None:
        super().__init__(reason)
        self.passes = passes


ERRORS = {
    "FileNotFoundException": FileNotFoundError(errno.ENOENT, "not found"),
    "FileAlreadyExistsException": FileExistsError(errno.EEXIST, "exists already"),
    "AccessControlException": PermissionError(errno.EACCES, ""),
    "PathIsNotEmptyDirectoryException": OSError(errno.ENOTEMPTY, "not empty"),
    "ParentNotDirectoryException": NotADirectoryError(errno.ENOTDIR, "a file is where a folder should be"),
}


def _check(response: requests.Response, expected: HTTPStatus, path: str) -> None:
    """Raise what the answer means unless it is the one that was hoped for."""
    if response.status_code == expected:
        return
    try:
        remote = response.json()["RemoteException"]
        kind, text = str(remote["exception"]), str(remote["message"]).partition("\n")[0]
    except (ValueError, LookupError, TypeError):
        if "Hadoop IPC port" in response.text[:200]:
            raise _Refusal("is the port of Hadoop's RPC, not of WebHDFS") from None
        raise _Refusal(f"answers {response.status_code}, which is not WebHDFS") from None
    if kind == "StandbyException":
        raise _Refusal("is in standby", passes=True)
    if kind in ("SafeModeException", "RetriableException") or "safe mode" in text:
        raise _Refusal("is starting or in safe mode (hdfs dfsadmin -safemode get)", passes=True)
    if "StandbyException" in text:
        raise _Refusal("has just gone to standby", passes=True)
    if kind == "AccessControlException":
        raise PermissionError(errno.EACCES, f"{text}; see `user` and the permissions", path)
    if (known := ERRORS.get(kind)) is not None:
        raise type(known)(known.errno, known.strerror, path)
    raise OSError(errno.EIO, f"{kind}: {text}", path)


def _reason(error: Exception) -> str:
    if isinstance(error, requests.exceptions.Timeout):
        return "does not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "does not speak TLS, or with a certificate that is not trusted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke its answer off"
    return "cannot be reached"


def _no_datanode(silent: list[str]) -> ConnectionError:
    return ConnectionError(
        f"no DataNode took the call ({', '.join(silent)} could not be reached); see that they run and"
        " that this machine resolves their names"
    )


def _own_name() -> str:
    if name := os.environ.get("HADOOP_USER_NAME"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise OSError("who writes is not known to the system: give `user`") from None
