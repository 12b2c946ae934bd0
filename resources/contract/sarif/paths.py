"""Where a result is: artifact locations as file paths that mean the same on every machine."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from resources.contract.model import ContractError
from resources.contract.sarif.model import Artifact, ArtifactLocation, Invocation, Run
from resources.secrets import without_secrets

MAX_PATH = 4096
"""Characters; a location by index can be used by any number of results."""

_drive = re.compile(r"[A-Za-z]:[\\/]")
_scheme = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


class Paths:
    """The file paths of a run's artifact locations.

    A path is relative to the root that it is given relative to, or that it lies below: the
    absolute place of a checkout is another one on every machine.
    """

    def __init__(self, run: Run) -> None:
        self._artifacts: Sequence[Artifact] = run.artifacts or ()
        self._bases: Mapping[str, ArtifactLocation] = run.original_uri_base_ids or {}
        roots = {_path(base.uri) for base in self._bases.values()}
        roots |= {_path(_uri_of_folder(invocation)) for invocation in run.invocations or ()}
        self._roots = sorted(
            (root.rstrip("/") + "/" for root in roots if _is_absolute(root) and root.strip("/")),
            key=len,
            reverse=True,
        )
        self._known: dict[tuple[str, str], str] = {}

    def path(self, location: ArtifactLocation | None) -> str:
        """The path of `location`, or an empty text. Raises `ContractError` for one beyond `MAX_PATH`."""
        location = self._located(location)
        if location is None:
            return ""
        key = location.uri, location.uri_base_id
        path = self._known.get(key)
        if path is None:
            path = self._known[key] = self._resolved(location)
        return path

    def base(self, location: ArtifactLocation | None) -> str:
        """The name of the root that `location` is relative to, or an empty text."""
        location = self._located(location)
        return "" if location is None else location.uri_base_id

    def _located(self, location: ArtifactLocation | None) -> ArtifactLocation | None:
        if location is not None and not location.uri and 0 <= location.index < len(self._artifacts):
            return self._artifacts[location.index].location
        return location

    def _resolved(self, location: ArtifactLocation) -> str:
        path = _path(location.uri)
        followed: set[str] = set()
        base_id = location.uri_base_id
        while path and base_id in self._bases and base_id not in followed and not _is_absolute(path):
            followed.add(base_id)
            base = self._bases[base_id]
            folder = _path(base.uri)
            if _is_absolute(folder):
                break
            path = _normal(f"{folder}/{path}") if folder else path
            base_id = base.uri_base_id
        if len(path) > MAX_PATH:
            raise ContractError("$", f"a uri of more than {MAX_PATH} characters")
        for root in self._roots:
            if path.startswith(root) and path != root:
                return path[len(root) :]
        return path


def _uri_of_folder(invocation: Invocation) -> str:
    return "" if invocation.working_directory is None else invocation.working_directory.uri


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or bool(_scheme.match(path) or _drive.match(path))


def _path(uri: str) -> str:
    """A `file:` or relative URI as a path with forward slashes; other URIs stay as they are."""
    if "\\" in uri and not _scheme.match(uri):  # no URI: a Windows path as it is
        return _normal(uri.replace("\\", "/"))
    scheme = _scheme.match(uri)
    if scheme and scheme[1].lower() != "file":
        return without_secrets(uri) if "@" in uri else uri
    rest = uri[scheme.end() :] if scheme else uri
    if scheme and rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        rest = slash + path if host.lower() in ("", "localhost") else f"//{host}/{path}"
    path = _decoded(rest.replace("\\", "/"))
    return _normal(path[1:] if scheme and path.startswith("/") and _drive.match(path[1:]) else path)


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:  # not percent-encoded UTF-8: better kept as it is than made up
        return text


def _normal(path: str) -> str:
    return posixpath.normpath(path) if path else ""
