"""A test double of the Hugging Face Hub, models over HTTP on loopback, and the processes that talk to it.

huggingface_hub repeats preupload, LFS requests and HEAD of a file by itself, five times, after 408, 429, 500, 502, 503,
504 or a lost connection; it fails at once on a new repository, a commit and the model info.
"""

import base64
import contextlib
import hashlib
import importlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import huggingface_hub

KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")  # nothing else of this process's own
LFS_SUFFIXES = (".safetensors", ".png")
JSON = {"Content-Type": "application/json"}


class HubError(Exception):
    """An answer that is an error; `code` is its X-Error-Code."""

    def __init__(self, status, message, code=None):
        super().__init__(message)
        self.status = status
        self.headers = JSON | {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}


class Commit(NamedTuple):
    sha: str
    message: str
    files: dict  # path -> bytes: everything that is there after it


@dataclass
class Repo:
    """A repository with one branch, main. `commits` begins with the Hub's own initial commit, here without a file."""

    id: str
    private: bool = False
    commits: list = field(default_factory=list)

    def files(self, revision="main"):
        """Path -> bytes, at main or a commit."""
        return dict(self.at(revision).files)

    def at(self, revision):
        for commit in self.commits:
            if revision == commit.sha:
                return commit
        if revision != "main":
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[-1]

    def commit(self, message, files):
        sha = hashlib.sha1(f"{self.id} {len(self.commits)} {message}".encode()).hexdigest()
        self.commits.append(Commit(sha, message, files))
        return self.commits[-1]


@dataclass
class Fault:
    """The next `times` requests that match get a status, or lose their connection after so many bytes of their body."""

    method: str
    path: str  # a regular expression that is searched for in the path
    status: int | None = None
    after_bytes: int | None = None
    times: int = 1
    seen: int = 0  # those that it has happened to


class HubServer:
    """The Hub at `endpoint` inside a `with`; leaving it raises what broke while a request was answered."""

    def __init__(self):
        self.users = {"hf_me": "me", "hf_other": "other"}  # token -> user, who owns the namespace of that name alone
        self._repos, self._objects, self.faults, self._bugs = {}, {}, [], []
        self._lock = threading.RLock()

    def __enter__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.hub, self._server.handle_error = self, lambda *_: None
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self._server.shutdown()
        self._server.server_close()
        if self._bugs and kind is None:
            raise self._bugs[0]

    def repo(self, name):
        """A repository's state; KeyError if there is none."""
        with self._lock:
            return self._repos[name]

    def fault_of(self, method, path):
        with self._lock:
            for fault in self.faults:
                if fault.seen < fault.times and fault.method == method and re.search(fault.path, path):
                    fault.seen += 1
                    return fault

    def answer(self, method, path, token, body):
        """Status, headers and body."""
        try:
            with self._lock:
                if token and token not in self.users:
                    raise HubError(401, "Invalid credentials in Authorization header")
                for methods, pattern, answer in ROUTES:
                    if method in methods and (match := re.fullmatch(pattern, path)):
                        return answer(self, self.users.get(token), body, *map(unquote, match.groups()))
                raise HubError(404, "Sorry, we can't find the page you are looking for.")
        except HubError as error:
            return error.status, error.headers, json.dumps({"error": str(error)}).encode()
        except Exception as error:
            self._bugs.append(error)
            raise

    def _visible(self, user, name):
        repo = self._repos.get(name)
        if repo is None or (repo.private and user != name.split("/")[0]):
            raise HubError(404 if user else 401, "Repository not found", "RepoNotFound")
        return repo

    def _writable(self, user, name):
        repo = self._visible(user, name)
        if user != name.split("/")[0]:
            raise HubError(403 if user else 401, "Forbidden: you must use a write token of the owner")
        return repo

    def _create(self, user, body):
        asked = json.loads(body)
        space = asked.get("organization") or user
        if user is None or space != user:
            raise HubError(403 if user else 401, f'You have no right to create a model in the namespace "{space}"')
        name = f"{space}/{asked['name']}"
        status = 409 if name in self._repos else 200
        if status == 200:
            self._repos[name] = Repo(name, private=asked.get("visibility") == "private")
            self._repos[name].commit("initial commit", {})
        return _json({"url": f"{self.endpoint}/{name}", "name": name, "id": name}, status)

    def _preupload(self, user, body, name, revision):
        present = self._writable(user, name).at(revision).files
        files = [{"path": file["path"], "shouldIgnore": False} for file in json.loads(body)["files"]]
        for file in files:
            file["uploadMode"] = "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular"
            file["oid"] = _etag(file["path"], present[file["path"]]) if file["path"] in present else None
        return _json({"files": files})

    def _lfs_batch(self, user, body, name):
        self._writable(user, name)
        objects = [{"oid": each["oid"], "size": each["size"]} for each in json.loads(body)["objects"]]
        for each in objects:
            if each["oid"] not in self._objects:
                each["actions"] = {"upload": {"href": f"{self.endpoint}/lfs/{each['oid']}"}}
        return _json({"transfer": "basic", "objects": objects})

    def _lfs_put(self, user, body, oid):
        if hashlib.sha256(body).hexdigest() != oid:
            raise HubError(400, "The sha256 of the content is not the announced one")
        self._objects[oid] = body
        return 200, {}, b""

    def _commit(self, user, body, name):
        repo = self._writable(user, name)
        header, *lines = (json.loads(line) for line in body.splitlines())
        files = repo.files()
        for line in lines:
            path = line["value"]["path"]
            if line["key"] == "file":
                files[path] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                files[path] = self._objects[line["value"]["oid"]]
            else:
                assert line["key"] == "deletedFile"
                del files[path]
        sha = repo.commit(header["value"]["summary"], files).sha
        return _json({"success": True, "commitOid": sha, "commitUrl": f"{self.endpoint}/{name}/commit/{sha}"})

    def _info(self, user, body, name, revision="main"):
        repo = self._visible(user, name)
        commit = repo.at(revision)
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        about = {"id": name, "sha": commit.sha, "private": repo.private, "pipeline_tag": "image-classification"}
        return _json(about | {"tags": [], "siblings": siblings})

    def _tree(self, user, body, name, revision):
        files = sorted(self._visible(user, name).at(revision).files.items())
        return _json(
            [{"type": "file", "path": path, "oid": _etag(path, data), "size": len(data)} for path, data in files]
        )

    def _resolve(self, user, body, name, revision, path):
        commit = self._visible(user, name).at(revision)
        if path not in commit.files:
            raise HubError(404, "Entry not found", "EntryNotFound")
        data = commit.files[path]
        return 200, {"X-Repo-Commit": commit.sha, "ETag": f'"{_etag(path, data)}"'}, data


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        hub, path = self.server.hub, urlsplit(self.path).path
        fault = hub.fault_of(self.command, path)
        body = self._body(fault.after_bytes if fault else None)
        if fault and fault.after_bytes is not None:
            return self._hang_up()
        if fault:
            status, headers, data = _json({"error": responses[fault.status]}, fault.status)
            headers = headers | {"Retry-After": "0"}
        else:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, headers, data = hub.answer(self.command, path, token, body)
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_POST = do_PUT = do_GET

    def _body(self, limit):
        """The body, or the first `limit` bytes of it."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            length = int(self.headers.get("Content-Length", 0))
            return self.rfile.read(length if limit is None else min(limit, length))
        body = b""
        while length := int(self.rfile.readline() or b"0", 16):
            body += self.rfile.read(length)
            self.rfile.read(2)
            if limit is not None:
                return body[:limit]
        self.rfile.read(2)
        return body

    def _hang_up(self):
        """Ends the connection; what still arrives is read, because a reset would show the client another error."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(10)
            while self.rfile.read1(2**16):
                pass

    def log_message(self, *_):
        """Writes nothing."""


def _etag(path, data):
    """As the Hub: the SHA-256 of a large file, the Git object id of another."""
    if path.endswith(LFS_SUFFIXES):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _json(data, status=200):
    return status, JSON, json.dumps(data).encode()


_NAME, _PART = "([^/]+/[^/]+)", "([^/]+)"
ROUTES = (
    (("POST",), "/api/repos/create", HubServer._create),
    (("POST",), "/api/validate-yaml", lambda *_: _json({"errors": [], "warnings": []})),
    (("POST",), f"/api/models/{_NAME}/preupload/{_PART}", HubServer._preupload),
    (("POST",), f"/api/models/{_NAME}/commit/main", HubServer._commit),
    (("POST",), rf"/{_NAME}\.git/info/lfs/objects/batch", HubServer._lfs_batch),
    (("PUT",), f"/lfs/{_PART}", HubServer._lfs_put),
    (("GET",), f"/api/models/{_NAME}", HubServer._info),
    (("GET",), f"/api/models/{_NAME}/revision/{_PART}", HubServer._info),
    (("GET",), f"/api/models/{_NAME}/tree/{_PART}", HubServer._tree),
    (("GET", "HEAD"), f"/{_NAME}/resolve/{_PART}/(.+)", HubServer._resolve),
)


def environment(server, tmp_path, token="hf_me"):
    """The whole environment of a process that knows no Hub but `server`, no proxy and no token but `token`.

    Its cache and its home lie in `tmp_path`: where another process must fetch anew, give it another folder.
    """
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    own |= {"HF_ENDPOINT": server.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    own |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HOME": str(tmp_path), "HF_HOME": str(Path(tmp_path) / "huggingface")}
    return own | {"OMP_NUM_THREADS": "1"} | ({"HF_TOKEN": token} if token else {})


@contextlib.contextmanager
def client_of(server, tmp_path):
    """This process with that environment, as if it had begun with it."""
    before = dict(os.environ)
    _set_environment(environment(server, tmp_path))
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(variables):
    os.environ.clear()
    os.environ.update(variables)
    importlib.reload(huggingface_hub.constants)
    huggingface_hub.close_session()


def run_python(path, env, cwd, timeout, *, arguments=(), flags=()):
    """Runs a file in a process of its own, with options of Python itself; the `CompletedProcess`, with its text."""
    command = [sys.executable, *flags, str(path), *map(str, arguments)]
    return subprocess.run(command, env=env, cwd=cwd, timeout=timeout, capture_output=True, text=True)
