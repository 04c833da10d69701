"""A loopback stand-in for the Hugging Face hub: enough of its HTTP API for offline tests.

`huggingface_hub` and `datasets` talk to it when `HF_ENDPOINT` is set to `HubServer.url` before they are
imported, so the tests that use it run them in a subprocess with `HubServer.env(...)` as its environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from loopback import LoopbackServer

Kind = Literal["models", "datasets"]

_DATE = "2024-01-01T00:00:00.000Z"
_SHA = re.compile(r"[0-9a-f]{40}")
_API_INFO = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+|[^/]+)(?:/revision/([^/]+))?")
_API_TREE = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+|[^/]+)/tree/([^/]+)(?:/(.+))?")
_API_PATHS = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+|[^/]+)/paths-info/([^/]+)")
_RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+|[^/]+)/resolve/([^/]+)/(.+)")
_LFS_SUFFIXES = frozenset(
    {".arrow", ".bin", ".bz2", ".ckpt", ".gz", ".h5", ".model", ".msgpack", ".npy", ".npz", ".onnx"}
    | {".parquet", ".pickle", ".pkl", ".pt", ".pth", ".safetensors", ".tar", ".xz", ".zip", ".zst"}
)


@dataclass(frozen=True)
class _File:
    """One file of a commit, with the identifiers that git and git LFS would give it."""

    path: Path
    size: int
    oid: str
    sha256: str
    lfs: bool

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


@dataclass
class _Repo:
    """A repository: its commits by their sha, and the one that `main` points to."""

    kind: Kind
    repo_id: str
    commits: dict[str, dict[str, _File]] = field(default_factory=dict)
    main: str = ""


@dataclass
class _Failures:
    """The failures of requests about one repository id."""

    gated: int | None = None
    failing: int | None = None
    cut: set[str] = field(default_factory=set)


class _Problem(Exception):
    """An answer other than the one asked for."""

    def __init__(self, status: int, code: str | None, message: str, commit: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.commit = status, code, message, commit


def _scan(folder: Path) -> dict[str, _File]:
    """All files below the folder, by their path in the repository."""
    files: dict[str, _File] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name.startswith(".git/"):
            continue
        data = path.read_bytes()
        oid = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        lfs = path.suffix in _LFS_SUFFIXES
        files[name] = _File(path, len(data), oid, hashlib.sha256(data).hexdigest(), lfs)
    return files


def _entry(name: str, file: _File | None, commit: str, expand: bool) -> dict[str, Any]:
    """One entry of a tree listing; a folder where no file is given."""
    if file is None:
        oid = hashlib.sha1(f"tree {name}".encode(), usedforsecurity=False).hexdigest()
        entry: dict[str, Any] = {"type": "directory", "oid": oid, "size": 0, "path": name}
    else:
        entry = {"type": "file", "oid": file.oid, "size": file.size, "path": name}
        if file.lfs:
            entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    if expand:
        entry["lastCommit"] = {"id": commit, "title": "Add files", "date": _DATE}
    return entry


def _sibling(name: str, file: _File, blobs: bool) -> dict[str, Any]:
    """One file of a repository's description."""
    sibling: dict[str, Any] = {"rfilename": name}
    if blobs:
        sibling |= {"size": file.size, "blobId": file.oid}
        if file.lfs:
            sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 134}
    return sibling


def _folders(names: Iterable[str]) -> list[str]:
    """All folders that the file names imply."""
    found = {parent.as_posix() for name in names for parent in Path(name).parents}
    return sorted(found - {"."})


def _is_true(values: list[str] | None) -> bool:
    return values is not None and values[-1].lower() in {"1", "true"}


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests from the hub's repositories."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LoopbackServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def _handle(self) -> None:
        hub = self.server.owner
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        hub.requests.append((self.command, self.path))
        url = urlsplit(self.path)
        try:
            self._route(hub, url.path, parse_qs(url.query), body)
        except _Problem as problem:
            headers = {"X-Error-Message": problem.message}
            if problem.code is not None:
                headers["X-Error-Code"] = problem.code
            if problem.commit is not None:
                headers["X-Repo-Commit"] = problem.commit
            self._send_json({"error": problem.message}, problem.status, headers)
        except ConnectionError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle

    def _route(self, hub: HubServer, path: str, query: dict[str, list[str]], body: bytes) -> None:
        reads = self.command in {"GET", "HEAD"}
        if self.command == "POST" and (match := _API_PATHS.fullmatch(path)):
            self._paths_info(*self._commit(hub, match[1], match[2], match[3]), body)
        elif reads and (match := _API_TREE.fullmatch(path)):
            self._tree(*self._commit(hub, match[1], match[2], match[3]), unquote(match[4] or ""), query)
        elif reads and (match := _API_INFO.fullmatch(path)):
            self._info(*self._commit(hub, match[1], match[2], match[3] or "main"), query)
        elif reads and (match := _RESOLVE.fullmatch(path)):
            kind = "datasets" if match[1] else "models"
            self._resolve(hub, *self._commit(hub, kind, match[2], match[3], match[4]), unquote(match[4]))
        else:
            raise _Problem(404, None, "Not Found")

    def _commit(
        self, hub: HubServer, kind: str, repo_id: str, revision: str, name: str | None = None
    ) -> tuple[_Repo, str]:
        """The repository and the commit that a request is about, unless it fails first."""
        repo_id, revision = unquote(repo_id), unquote(revision)
        failures = hub._failures.get(repo_id, _Failures())
        if failures.failing is not None:
            raise _Problem(failures.failing, None, "The hub is not available")
        repo = hub._repos.get((kind, repo_id))
        if repo is None:
            raise _Problem(401, "RepoNotFound", "Invalid username or password.")  # to a client without a token
        if failures.gated is not None:
            noun = kind.removesuffix("s")
            message = f"Access to {noun} {repo_id} is restricted"
            if failures.gated == 401:
                message += ". You must have access to it and be authenticated to access it. Please log in."
            else:
                message += " and you are not in the authorized list. Ask for access on its page."
            raise _Problem(failures.gated, "GatedRepo", message)
        commit = repo.main if revision == "main" else revision
        if commit not in repo.commits:
            raise _Problem(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if name is not None and unquote(name) not in repo.commits[commit]:
            raise _Problem(404, "EntryNotFound", "Entry not found", commit)
        return repo, commit

    def _info(self, repo: _Repo, commit: str, query: dict[str, list[str]]) -> None:
        blobs = _is_true(query.get("blobs"))
        info: dict[str, Any] = {
            "_id": hashlib.md5(repo.repo_id.encode(), usedforsecurity=False).hexdigest()[:24],
            "id": repo.repo_id,
            "author": repo.repo_id.split("/")[0],
            "sha": commit,
            "lastModified": _DATE,
            "createdAt": _DATE,
            "private": False,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [_sibling(name, file, blobs) for name, file in repo.commits[commit].items()],
        }
        if repo.kind == "models":
            info["modelId"] = repo.repo_id
        if wanted := query.get("expand"):
            info = {key: value for key, value in info.items() if key in {"_id", "id", *wanted}}
        self._send_json(info)

    def _tree(self, repo: _Repo, commit: str, folder: str, query: dict[str, list[str]]) -> None:
        files = repo.commits[commit]
        folders = _folders(files)
        folder = folder.strip("/")
        if folder and folder not in folders:
            raise _Problem(404, "EntryNotFound", f"{folder} does not exist on {commit}", commit)
        prefix = f"{folder}/" if folder else ""
        recursive, expand = _is_true(query.get("recursive")), _is_true(query.get("expand"))
        names = [name for name in [*folders, *files] if name.startswith(prefix)]
        if not recursive:
            names = [name for name in names if "/" not in name.removeprefix(prefix)]
        self._send_json([_entry(name, files.get(name), commit, expand) for name in names])

    def _paths_info(self, repo: _Repo, commit: str, body: bytes) -> None:
        if "json" in (self.headers.get("Content-Type") or ""):
            asked = json.loads(body or b"{}")
            paths, expand = asked.get("paths", []), bool(asked.get("expand"))
        else:
            form = parse_qs(body.decode())
            paths, expand = form.get("paths", []), _is_true(form.get("expand"))
        files = repo.commits[commit]
        folders = _folders(files)
        known = [path for path in paths if path in files or path in folders]
        self._send_json([_entry(path, files.get(path), commit, expand) for path in known])

    def _resolve(self, hub: HubServer, repo: _Repo, commit: str, name: str) -> None:
        file = repo.commits[commit][name]
        headers = {
            "ETag": f'"{file.etag}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(Path(name).name)}",
        }
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        status, start, end = 200, 0, file.size
        if asked := self.headers.get("Range"):
            match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.replace(" ", ""))
            if match and match[1]:
                start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else file.size, file.size)
            elif match and match[2]:
                start = max(file.size - int(match[2]), 0)
            if match is None or start >= end:
                headers["Content-Range"] = f"bytes */{file.size}"
                self._send(b"", 416, headers)
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        failures = hub._failures.get(repo.repo_id, _Failures())
        limit = min(end, file.size // 2) if name in failures.cut else end
        body = b"" if self.command == "HEAD" else file.path.read_bytes()[start : max(start, limit)]
        self._send(body, status, headers, length=end - start)
        if self.command != "HEAD" and limit < end:
            self.close_connection = True

    def _send_json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        answer = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        self._send(json.dumps(value).encode(), status, answer)

    def _send(
        self,
        body: bytes,
        status: int,
        headers: Mapping[str, str],
        *,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class HubServer:
    """A hub on 127.0.0.1 that serves folders as model and data set repositories.

    `url` is its address (also after it stopped, for a hub that is down), and `requests` lists the method and
    the path with its query string of all requests so far, in order.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, str]] = []
        self._repos: dict[tuple[str, str], _Repo] = {}
        self._failures: dict[str, _Failures] = {}
        self._server: LoopbackServer | None = None

    def __enter__(self) -> HubServer:
        self._server = LoopbackServer(_Handler, self)
        self.url = self._server.url
        # The poll interval bounds how long `stop` takes.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the hub down: the port refuses connections from now on, and the open ones end."""
        if self._server is None:
            return
        self._server.stop()
        self._server = None

    def add_model(self, repo_id: str, folder: Path | str, *, revision_sha: str | None = None) -> str:
        """Serve the folder's files as a commit of a model repository, and point `main` to it."""
        return self._add("models", repo_id, Path(folder), revision_sha)

    def add_dataset(self, repo_id: str, folder: Path | str, *, revision_sha: str | None = None) -> str:
        """Serve the folder's files as a commit of a data set repository, and point `main` to it."""
        return self._add("datasets", repo_id, Path(folder), revision_sha)

    def _add(self, kind: Kind, repo_id: str, folder: Path, sha: str | None) -> str:
        files = _scan(folder)
        if sha is None:
            listing = json.dumps([(name, file.oid) for name, file in files.items()])
            sha = hashlib.sha1(f"{repo_id} {listing}".encode(), usedforsecurity=False).hexdigest()
        elif not _SHA.fullmatch(sha):
            raise ValueError(f"not a commit's sha of 40 hexadecimal digits: {sha}")
        repo = self._repos.setdefault((kind, repo_id), _Repo(kind, repo_id))
        repo.commits[sha] = files
        repo.main = sha
        return sha

    def _failures_of(self, repo_id: str) -> _Failures:
        return self._failures.setdefault(repo_id, _Failures())

    def gate(self, repo_id: str, *, status: Literal[401, 403] = 401) -> None:
        """Close the repository to a client without a token (401), or to one without access (403)."""
        self._failures_of(repo_id).gated = status

    def cut(self, repo_id: str, filename: str) -> None:
        """Never send the file's second half: the connection ends there, whatever its headers promised."""
        self._failures_of(repo_id).cut.add(filename)

    def fail(self, repo_id: str, *, status: int = 503) -> None:
        """Answer every request about the repository with this status."""
        self._failures_of(repo_id).failing = status

    def heal(self, repo_id: str) -> None:
        """End all of the repository's failures."""
        self._failures.pop(repo_id, None)

    def env(self, hf_home: Path | str, **more: str) -> dict[str, str]:
        """The environment for a subprocess that shall see this hub, and no cache but `hf_home`."""
        inherited = {name: value for name, value in os.environ.items() if not name.endswith("_OFFLINE")}
        return inherited | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(hf_home),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            # Without it `datasets` sends a HEAD request to another host for each data set it opens.
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            **more,
        }
