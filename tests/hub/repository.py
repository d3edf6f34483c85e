"""What a model repository of the Hub holds: commits, branches, files, and how it describes them."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

LFS_SUFFIXES, LFS_SIZE = (".safetensors", ".png"), 10_000_000  # what is larger goes there too


class HubError(Exception):
    """An answer that is an error; `code` is its X-Error-Code."""

    def __init__(self, status, message, code=None, headers=()):
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **dict(headers)}


class Commit(NamedTuple):
    sha: str
    message: str
    files: dict  # path -> bytes: everything that is there after it


@dataclass
class Repo:
    """A model's repository. `commits` begins with the "initial commit" of the Hub itself, here without a file."""

    id: str
    private: bool = False
    gated: bool = False
    commits: list = field(default_factory=list)
    branches: dict = field(default_factory=dict)  # name -> sha

    @property
    def owner(self):
        return self.id.split("/")[0]

    def files(self, revision="main"):
        """Path -> bytes, at a branch or a commit."""
        return dict(self.at(revision).files)

    def at(self, revision):
        sha = self.branches.get(revision, revision)
        for commit in self.commits:
            if commit.sha == sha:
                return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commit(self, branch, message, files):
        """Moves a branch; its new commit."""
        sha = hashlib.sha1(f"{self.id} {len(self.commits)} {message}".encode()).hexdigest()
        self.commits.append(Commit(sha, message, files))
        self.branches[branch] = sha
        return self.commits[-1]


def front_matter(card):
    """The YAML mapping at the top of a card, empty where there is none."""
    match = re.match(r"---\r?\n(.*?)\r?\n---\s*(\n|$)", card, re.DOTALL)
    data = (yaml.safe_load(match[1]) if match else None) or {}
    if not isinstance(data, dict):
        raise ValueError(f"the metadata must be a mapping, got a {type(data).__name__}")
    return data


def git_oid(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_lfs(path, size):
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > LFS_SIZE)


def tree_entry(path, data):
    entry = {"type": "file", "path": path, "oid": git_oid(data), "size": len(data)}
    if is_lfs(path, len(data)):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry


def upload_mode(file, there):
    path, mode = file["path"], "lfs" if is_lfs(file["path"], file["size"]) else "regular"
    described = tree_entry(path, there[path]) if path in there else {"oid": None}
    return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": described.get("lfs", described)["oid"]}
