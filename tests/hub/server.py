"""A test double of the Hugging Face Hub: models over HTTP on loopback, as much of it as huggingface_hub asks for.

Its errors are answered as the Hub answers them. Only one thing differs: huggingface_hub takes a bare 401 from an https
address for "no such repository"; from this http address it needs the `X-Error-Code` for that, so it is always sent.

huggingface_hub asks again by itself, five times, where it meets 408, 429, 500, 502, 503, 504 or a lost connection: in
preupload, the LFS requests, the tree and the HEAD of a file. Between them it waits 1, 2, 4, 8, 8 s, and 1 s after a
`fail`, whose answer holds `Retry-After: 0`. A download that was cut goes on after 1 s from the byte it has. It gives up
at once on a new repository, a branch, a commit, whoami and the model info.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass
from http.client import responses
from urllib.parse import unquote

import yaml
from tests.hub.repository import HubError, Repo, front_matter, git_oid, tree_entry, upload_mode
from tests.hub.transport import Handler, Server

ASKED_AGAIN = (408, 429, 500, 502, 503, 504)  # by huggingface_hub itself
NOBODY = "Invalid username or password."


@dataclass
class Fault:
    """What happens to the next `times` requests that match; `seen` counts those that it has happened to."""

    method: str
    path: str  # a regular expression that is searched for in the path
    times: int
    answer: tuple | None = None  # status, headers, body
    after_bytes: int | None = None
    seen: int = 0


class HubServer:
    """The Hub at `endpoint` inside a `with`; leaving it raises what broke while a request was answered.

    Args:
        users: token -> name. A user owns the namespace of that name and no other.
    """

    def __init__(self, users=None):
        self.users = {"hf_me": "me", "hf_other": "other"} if users is None else dict(users)
        self._repos, self._objects, self._faults, self._requests, self._bugs = {}, {}, [], [], []
        self._lock = threading.RLock()

    def __enter__(self):
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.hub = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self._server.shutdown()
        self._server.server_close()
        if self._bugs and kind is None:
            raise self._bugs[0]

    @property
    def requests(self):
        """(method, path) of every request so far, in order; the path is without its query."""
        with self._lock:
            return list(self._requests)

    def repo(self, name):
        """A repository's state; KeyError where there is none."""
        with self._lock:
            return self._repos[name]

    def fail(self, method, path_regex, status, times=1, body=None, headers=None):
        """The next `times` requests that match are answered with `status` and do nothing; the fault, which counts.

        Args:
            body: bytes, or what becomes JSON; when not given, {"error": the status in words}.
            headers: of the answer, for example {"X-Error-Code": "GatedRepo"}.
        """
        body = {"error": responses[status]} if body is None else body
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = ({"Retry-After": "0"} if status in ASKED_AGAIN else {}) | (headers or {})
        return self._expect(Fault(method, path_regex, times, answer=(status, headers, body)))

    def cut(self, method, path_regex, after_bytes, times=1):
        """The next `times` requests that match lose their connection and do nothing; the fault, which counts.

        It breaks after `after_bytes` of the body: of the one that the client sends (POST, PUT) or is sent (GET).
        The client sees a RemoteProtocolError of its HTTP library, always.
        """
        return self._expect(Fault(method, path_regex, times, after_bytes=after_bytes))

    def _expect(self, fault):
        with self._lock:
            self._faults.append(fault)
        return fault

    def _arrived(self, method, path):
        """Notes a request; the fault that it meets, or None."""
        with self._lock:
            self._requests.append((method, path))
            for fault in self._faults:
                if fault.seen < fault.times and fault.method == method and re.search(fault.path, path):
                    fault.seen += 1
                    return fault

    def _answer(self, ask, token):
        """Status, headers and body."""
        try:
            with self._lock:
                if token and token not in self.users:
                    raise HubError(401, "Invalid credentials in Authorization header")
                ask = ask._replace(user=self.users.get(token))
                for methods, pattern, answer in ROUTES:
                    if ask.method in methods and (match := re.fullmatch(pattern, ask.path)):
                        return answer(self, ask, *map(unquote, match.groups()))
                raise HubError(404, "Sorry, we can't find the page you are looking for.")
        except HubError as error:
            return error.status, error.headers, json.dumps({"error": str(error)}).encode()

    def _visible(self, ask, name):
        repo = self._repos.get(name)
        if repo is None or (repo.private and ask.user != repo.owner):
            raise HubError(404 if ask.user else 401, "Repository not found" if ask.user else NOBODY, "RepoNotFound")
        return repo

    def _writable(self, ask, name):
        repo = self._visible(ask, name)
        if ask.user is None:
            raise HubError(401, NOBODY, "RepoNotFound")
        if ask.user != repo.owner:
            raise HubError(403, "Forbidden: you must use a write token of the owner")
        return repo

    def _whoami(self, ask):
        if ask.user is None:
            raise HubError(401, NOBODY)
        auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}}
        return _json({"type": "user", "name": ask.user, "fullname": ask.user, "orgs": [], "auth": auth})

    def _create(self, ask):
        asked = ask.json()
        if asked.get("type", "model") != "model":
            raise HubError(400, "This double of the Hub holds models only")
        if ask.user is None:
            raise HubError(401, NOBODY)
        space = asked.get("organization") or ask.user
        if space != ask.user:
            raise HubError(403, f'You don\'t have the rights to create a model under the namespace "{space}"')
        name = f"{space}/{asked['name']}"
        if name in self._repos:
            return _json({"error": "You already created this model repo", "url": f"{self.endpoint}/{name}"}, 409)
        self._repos[name] = Repo(name, private=asked.get("visibility") == "private")
        self._repos[name].commit("main", "initial commit", {})
        return _json({"url": f"{self.endpoint}/{name}", "name": name, "id": name})

    def _validate_yaml(self, ask):
        try:
            card = front_matter(ask.json()["content"])
        except (yaml.YAMLError, ValueError) as error:
            return _json({"errors": [{"message": str(error)}], "warnings": []}, 400)
        missing = [] if card else [{"message": "empty or missing yaml metadata in repo card"}]
        return _json({"errors": [], "warnings": missing})

    def _preupload(self, ask, name, revision):
        there = self._writable(ask, name).at(revision).files
        return _json({"files": [upload_mode(file, there) for file in ask.json()["files"]]})

    def _lfs_batch(self, ask, name):
        self._writable(ask, name)
        objects = [{"oid": each["oid"], "size": each["size"]} for each in ask.json()["objects"]]
        for each in objects:
            if each["oid"] not in self._objects:
                upload = {"href": f"{self.endpoint}/lfs/{each['oid']}"}
                each["actions"] = {"upload": upload, "verify": {"href": f"{self.endpoint}/{name}.git/info/lfs/verify"}}
        return _json({"transfer": "basic", "objects": objects})

    def _lfs_put(self, ask, oid):
        if hashlib.sha256(ask.body).hexdigest() != oid:
            raise HubError(400, "The sha256 of the content is not the announced one")
        self._objects[oid] = ask.body
        return 200, {}, b""

    def _lfs_verify(self, ask, name):
        self._writable(ask, name)
        asked = ask.json()
        if len(self._objects.get(asked["oid"], b"")) != asked["size"]:
            raise HubError(404, "There is no such object, or it has another size")
        return _json({"success": True})

    def _commit(self, ask, name, branch):
        repo = self._writable(ask, name)
        before = repo.at(branch)
        if branch not in repo.branches:
            raise HubError(400, f"{branch} is a commit: only a branch can be committed to")
        lines = [json.loads(line) for line in ask.body.splitlines()]
        header = lines.pop(0)["value"]
        if header.get("parentCommit", before.sha) != before.sha:
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(before.files)
        for key, value in ((line["key"], line["value"]) for line in lines):
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile" and value["oid"] in self._objects:
                files[value["path"]] = self._objects[value["oid"]]
            elif key == "lfsFile":
                raise HubError(400, f"LFS pointer to a file that does not exist: {value['path']}")
            elif key == "deletedFile" and value["path"] in files:
                del files[value["path"]]
            elif key == "deletedFile":
                raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
            else:
                raise HubError(400, f"This double of the Hub knows no {key} in a commit")
        sha = repo.commit(branch, header["summary"], files).sha
        return _json({"success": True, "commitOid": sha, "commitUrl": f"{self.endpoint}/{name}/commit/{sha}"})

    def _branch(self, ask, name, branch):
        repo = self._writable(ask, name)
        if branch in repo.branches:
            raise HubError(409, f"Reference already exists: refs/heads/{branch}")
        repo.branches[branch] = repo.at(ask.json().get("startingPoint", "main")).sha
        return _json({"success": True})

    def _info(self, ask, name, revision="main"):
        repo = self._visible(ask, name)
        commit = repo.at(revision)
        card = front_matter(commit.files.get("README.md", b"").decode())
        shown = {key: card[key] for key in ("pipeline_tag", "library_name", "tags", "model-index") if key in card}
        shown |= {"id": name, "author": repo.owner, "sha": commit.sha, "cardData": card, "private": repo.private}
        shown |= {"gated": "manual" if repo.gated else False, "disabled": False}
        return _json(shown | {"siblings": [{"rfilename": path} for path in sorted(commit.files)]})

    def _tree(self, ask, name, revision, folder=""):
        prefix = folder and f"{folder}/"
        files = self._visible(ask, name).at(revision).files
        files = {path: data for path, data in files.items() if path.startswith(prefix)}
        if folder and not files:
            raise HubError(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        folders = {path[:at] for path in files for at in range(len(prefix), len(path)) if path[at] == "/"}
        entries = [{"type": "directory", "path": path, "oid": git_oid(path.encode()), "size": 0} for path in folders]
        entries += [tree_entry(path, data) for path, data in files.items()]
        if ask.query.get("recursive") != ["true"]:
            entries = [entry for entry in entries if "/" not in entry["path"].removeprefix(prefix)]
        return _json(sorted(entries, key=lambda entry: entry["path"]))

    def _resolve(self, ask, name, revision, path):
        repo = self._visible(ask, name)
        if repo.gated and ask.user != repo.owner:
            raise HubError(403 if ask.user else 401, f"Access to model {name} is restricted.", "GatedRepo")
        commit = repo.at(revision)
        if path not in commit.files:
            raise HubError(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.sha})
        entry = tree_entry(path, commit.files[path])
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{entry["oid"]}"', "Accept-Ranges": "bytes"}
        if "lfs" in entry:
            headers |= {"X-Linked-Size": str(entry["size"]), "X-Linked-ETag": f'"{entry["lfs"]["oid"]}"'}
        return 200, headers, commit.files[path]


def _json(data, status=200):
    return status, {"Content-Type": "application/json"}, json.dumps(data, default=str).encode()


_NAME, _PART = "([^/]+/[^/]+)", "([^/]+)"
ROUTES = (
    (("GET",), "/api/whoami-v2", HubServer._whoami),
    (("POST",), "/api/repos/create", HubServer._create),
    (("POST",), "/api/validate-yaml", HubServer._validate_yaml),
    (("POST",), f"/api/models/{_NAME}/preupload/{_PART}", HubServer._preupload),
    (("POST",), f"/api/models/{_NAME}/commit/{_PART}", HubServer._commit),
    (("POST",), f"/api/models/{_NAME}/branch/{_PART}", HubServer._branch),
    (("POST",), rf"/{_NAME}\.git/info/lfs/objects/batch", HubServer._lfs_batch),
    (("POST",), rf"/{_NAME}\.git/info/lfs/verify", HubServer._lfs_verify),
    (("PUT",), f"/lfs/{_PART}", HubServer._lfs_put),
    (("GET",), f"/api/models/{_NAME}", HubServer._info),
    (("GET",), f"/api/models/{_NAME}/revision/{_PART}", HubServer._info),
    (("GET",), f"/api/models/{_NAME}/tree/{_PART}", HubServer._tree),
    (("GET",), f"/api/models/{_NAME}/tree/{_PART}/(.+)", HubServer._tree),
    (("GET", "HEAD"), f"/{_NAME}/resolve/{_PART}/(.+)", HubServer._resolve),
)
