"""The test double of the Hub, seen by plain huggingface_hub and stock transformers."""

import http.client
import json
import textwrap

import pytest
from tests.hub.clients import NOT_INSTALLED, environment, run_python, without_squared_emd
from tests.hub.server import HubServer

START = """
import json, sys
from pathlib import Path
from huggingface_hub import CommitOperationAdd, HfApi, get_token, snapshot_download

api, seen = HfApi(), {}

def contents(folder):
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes().hex() for path in paths}

def upload(repo, path, data, **options):
    return api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=data, **options).oid

def error_of(name, function, *args, **options):
    try:
        function(*args, **options)
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        seen[name] = [type(error).__name__, status, str(error)]
    else:
        seen[name] = None
"""


@pytest.fixture
def hub():
    with HubServer() as server:
        yield server


@pytest.fixture
def client(hub, tmp_path):
    """Runs code after `START` as one of the Hub's users; what it put into `seen`, and what it wrote to stderr."""

    def run(code, token="hf_me"):
        code = START + textwrap.dedent(code) + "\nprint(json.dumps(seen))"
        done = run_python(code, environment(hub, tmp_path, token), tmp_path, 60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return run


def ask(hub, method, path, body=None, **headers):
    """A bare request; status, headers, body."""
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"), timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.headers, data


def test_a_folder_comes_back_byte_for_byte(hub, client):
    seen, _ = client("""
        for path, data in {
            "README.md": b"---\\ntags: [age]\\nlicense: mit\\npipeline_tag: image-classification\\n---\\nHi.\\n",
            "model.safetensors": bytes(range(256)) * 500, "figure.png": b"\\x89PNG", "empty.png": b"",
            "one/two/three and.json": b"{}",
        }.items():
            target = Path("folder") / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        seen["sent"] = contents("folder")
        seen["url"] = api.create_repo("age", exist_ok=True)
        seen["sha"] = api.upload_folder(repo_id="me/age", folder_path="folder", commit_message="All").oid
        seen["again"] = api.upload_folder(repo_id="me/age", folder_path="folder").oid
        seen["got"] = contents(snapshot_download("me/age"))
        info = api.model_info("me/age")
        seen["info"] = [info.sha, info.private, info.pipeline_tag, info.card_data.license]
        seen["tree"] = [entry.path for entry in api.list_repo_tree("me/age")]
        seen["in one"] = [entry.path for entry in api.list_repo_tree("me/age", "one", recursive=True)]
        seen["me"] = api.whoami()["name"]
    """)
    repo = hub.repo("me/age")
    assert seen["got"] == seen["sent"] == {path: data.hex() for path, data in repo.files().items()}
    assert [commit.message for commit in repo.commits] == ["initial commit", "All"]  # the same once more is no commit
    assert seen["sha"] == seen["again"] == repo.commits[-1].sha and len(seen["sha"]) == 40
    assert seen["info"] == [seen["sha"], False, "image-classification", "mit"]
    assert seen["tree"] == ["README.md", "empty.png", "figure.png", "model.safetensors", "one"]
    assert seen["in one"] == ["one/two", "one/two/three and.json"]
    assert (seen["url"], seen["me"]) == (f"{hub.endpoint}/me/age", "me")
    assert [method for method, _ in hub.requests].count("PUT") == 2  # the weights and the figure; an empty file never


def test_a_commit_and_a_branch_keep_their_own_bytes(hub, client):
    seen, _ = client("""
        api.create_repo("me/age")
        shas = [upload("me/age", "model.safetensors", b"first"), upload("me/age", "model.safetensors", b"second")]
        upload("me/age", "old.txt", b"old")
        api.create_branch("me/age", branch="try/this", revision=shas[0])
        shas.append(upload("me/age", "model.safetensors", b"third", revision="try/this"))
        api.delete_file("old.txt", "me/age")
        seen["shas"] = shas
        for revision in [None, "main", "try/this", *shas]:
            path = api.hf_hub_download("me/age", "model.safetensors", revision=revision)
            seen[str(revision)] = Path(path).read_text()
        error_of("branch", api.create_branch, "me/age", branch="try/this")
        error_of("parent", upload, "me/age", "a", b"", parent_commit=shas[0])
    """)
    shas, repo = seen["shas"], hub.repo("me/age")
    assert [seen[revision] for revision in ["None", "main", "try/this"]] == ["second", "second", "third"]
    assert [seen[sha] for sha in shas] == ["first", "second", "third"]
    assert repo.files() == {"model.safetensors": b"second"}
    assert repo.files("try/this") == repo.files(shas[2]) == {"model.safetensors": b"third"}
    assert repo.files(repo.commits[3].sha) == {"model.safetensors": b"second", "old.txt": b"old"}
    assert seen["branch"][:2] == ["HfHubHTTPError", 409]
    assert seen["parent"][:2] == ["HfHubHTTPError", 412]


def test_who_may_read_and_write(hub, client):
    client("""
        api.create_repo("me/mine", private=True)
        api.create_repo("me/asked")
        for repo in ("me/mine", "me/asked"):
            upload(repo, "config.json", b"{}")
    """)
    hub.repo("me/asked").gated = True
    look = """
        seen["token"] = get_token()
        for name in ("me/mine", "me/asked", "me/none"):
            error_of(name, api.hf_hub_download, name, "config.json", cache_dir=f"cache of {seen['token']}")
            error_of("info of " + name, api.model_info, name)
        error_of("create", api.create_repo, "me/new")
        error_of("write", upload, "me/asked", "a", b"b")
    """
    seen = {token: client(look, token)[0] for token in ("hf_me", "hf_other", "hf_wrong", None)}
    assert all(seen[token].pop("token") == token for token in seen)
    errors = {token: {name: each and each[:2] for name, each in seen[token].items()} for token in seen}
    missing = ["RepositoryNotFoundError", 404]
    assert errors["hf_me"] == {
        "me/mine": None, "info of me/mine": None, "me/asked": None, "info of me/asked": None,
        "me/none": missing, "info of me/none": missing, "create": None, "write": None,
    }  # fmt: skip
    assert errors["hf_other"] == {
        "me/mine": missing, "info of me/mine": missing, "me/asked": ["GatedRepoError", 403], "info of me/asked": None,
        "me/none": missing, "info of me/none": missing, "create": ["HfHubHTTPError", 403],
        "write": ["HfHubHTTPError", 403],
    }  # fmt: skip
    missing = ["RepositoryNotFoundError", 401]
    assert errors[None] == {
        "me/mine": missing, "info of me/mine": missing, "me/asked": ["GatedRepoError", 401], "info of me/asked": None,
        "me/none": missing, "info of me/none": missing, "create": ["HfHubHTTPError", 401], "write": missing,
    }  # fmt: skip
    assert all(error == ["HfHubHTTPError", 401] for error in errors["hf_wrong"].values())
    assert 'You don\'t have the rights to create a model under the namespace "me"' in seen["hf_other"]["create"][2]
    assert hub.repo("me/mine").private and not hub.repo("me/asked").private


def test_what_is_not_there_and_what_is_refused(hub, client):
    seen, _ = client("""
        api.create_repo("me/age", exist_ok=True)
        api.create_repo("me/age", exist_ok=True)
        upload("me/age", "config.json", b"{}")
        error_of("twice", api.create_repo, "me/age")
        error_of("revision", api.hf_hub_download, "me/age", "config.json", revision="v9")
        error_of("file", api.hf_hub_download, "me/age", "model.safetensors")
        error_of("folder", lambda: list(api.list_repo_tree("me/age", "chat")))
        error_of("to a commit", upload, "me/age", "a", b"b", revision=api.model_info("me/age").sha)
        error_of("delete", api.delete_file, "none.txt", "me/age")
        error_of("card", upload, "me/age", "README.md", b"---\\ntags: [\\n---\\n")
        error_of("data set", api.create_repo, "me/faces", repo_type="dataset")
        error_of("endpoint", api.list_repo_refs, "me/age")
    """)
    assert {name: each[:2] for name, each in seen.items()} == {
        "twice": ["HfHubHTTPError", 409],
        "revision": ["RevisionNotFoundError", 404],
        "file": ["RemoteEntryNotFoundError", 404],
        "folder": ["RemoteEntryNotFoundError", 404],
        "to a commit": ["BadRequestError", 400],
        "delete": ["RemoteEntryNotFoundError", 404],
        "card": ["ValueError", None],
        "data set": ["BadRequestError", 400],
        "endpoint": ["HfHubHTTPError", 404],
    }
    assert hub.repo("me/age").files() == {"config.json": b"{}"}


def test_faults_of_an_upload(hub, client):
    failed = hub.fail("POST", "/me/age/commit/", 500, body={"error": "Out of order"})
    busy = hub.fail("POST", r"/me/age\.git/info/lfs/objects/batch", 503)
    cut = hub.cut("POST", "/me/age/commit/", 300)
    lost = hub.cut("PUT", "/lfs/", 1_000_000)
    stopped = hub.fail("PUT", "/lfs/", 403, headers={"X-Error-Message": "Quota exceeded"})
    seen, said = client("""
        weights = bytes(3_000_000)
        api.create_repo("me/age")
        error_of("500", upload, "me/age", "a.txt", b"b")
        seen["files after it"] = api.list_repo_files("me/age")
        error_of("cut", upload, "me/age", "a.txt", bytes(1000))
        seen["files after the cut"] = api.list_repo_files("me/age")
        error_of("403", upload, "me/age", "model.safetensors", weights)
        seen["files after 403"] = api.list_repo_files("me/age")
        error_of("again", upload, "me/age", "model.safetensors", weights)
    """)
    assert seen["500"][:2] == ["HfHubHTTPError", 500] and "Out of order" in seen["500"][2]
    assert seen["cut"] == ["RemoteProtocolError", None, "Server disconnected without sending a response."]
    assert seen["403"][0] == "RuntimeError" and "model.safetensors" in seen["403"][2]
    assert seen["files after it"] == seen["files after the cut"] == seen["files after 403"] == []
    assert seen["again"] is None and hub.repo("me/age").files() == {"model.safetensors": bytes(3_000_000)}
    assert [fault.seen for fault in (failed, busy, cut, lost, stopped)] == [1, 1, 1, 1, 1]
    assert [method for method, _ in hub.requests].count("PUT") == 3  # lost, forbidden, done
    assert said.count("Rate limited") == said.count("Retrying in ") == 1  # 503, and the lost one


def test_faults_of_a_download(hub, client):
    cut = hub.cut("GET", "/resolve/main/model.safetensors", 1000)
    down = hub.fail("HEAD", "/resolve/main/config.json", 500)
    gated = hub.fail("GET", "/api/models/me/age$", 403, headers={"X-Error-Code": "GatedRepo"})
    seen, said = client("""
        weights = bytes(range(256)) * 400
        api.create_repo("me/age")
        upload("me/age", "model.safetensors", weights)
        upload("me/age", "config.json", b"{}")
        seen["whole"] = Path(api.hf_hub_download("me/age", "model.safetensors")).read_bytes() == weights
        seen["config"] = Path(api.hf_hub_download("me/age", "config.json")).read_text()
        error_of("info", api.model_info, "me/age")
        error_of("info again", api.model_info, "me/age")
    """)
    assert seen["whole"] and "Trying to resume download" in said
    assert seen["config"] == "{}"
    assert seen["info"][:2] == ["GatedRepoError", 403] and seen["info again"] is None
    assert [fault.seen for fault in (cut, down, gated)] == [1, 1, 1]
    asked = {"model.safetensors": [], "config.json": []}
    for method, path in hub.requests:
        if "/resolve/main/" in path:
            asked[path.rpartition("/")[2]].append(method)
    assert asked == {"model.safetensors": ["HEAD", "GET", "GET"], "config.json": ["HEAD", "HEAD", "GET"]}


def test_headers_of_a_file(hub):
    owner = {"Authorization": "Bearer hf_me"}
    ask(hub, "POST", "/api/repos/create", json.dumps({"name": "age"}), **owner)
    sha = hub.repo("me/age").commit("main", "By hand", {"a.txt": b"hello\n", "a.png": b"hello\n"}).sha
    status, headers, body = ask(hub, "GET", "/me/age/resolve/main/a.txt")
    assert (status, body, headers["X-Repo-Commit"], headers["Content-Length"]) == (200, b"hello\n", sha, "6")
    assert headers["ETag"] == '"ce013625030ba8dba906f756967f9e9ca394464a"'  # git hash-object
    assert headers["X-Linked-ETag"] is None
    status, headers, body = ask(hub, "HEAD", "/me/age/resolve/main/a.png")
    assert (status, body, headers["Content-Length"], headers["X-Linked-Size"]) == (200, b"", "6", "6")
    assert headers["X-Linked-ETag"] == '"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"'  # sha256sum
    status, headers, body = ask(hub, "GET", "/me/age/resolve/main/a.txt", Range="bytes=2-")
    assert (status, body, headers["Content-Range"]) == (206, b"llo\n", "bytes 2-5/6")
    status, headers, body = ask(hub, "GET", "/me/age/resolve/main/a.txt", Range="bytes=1-3")
    assert (status, body, headers["Content-Range"]) == (206, b"ell", "bytes 1-3/6")
    status, headers, body = ask(hub, "GET", "/me/age/resolve/main/a.txt", Range="bytes=6-")
    assert (status, body, headers["Content-Range"]) == (416, b"", "bytes */6")
    status, headers, _ = ask(hub, "HEAD", "/me/age/resolve/main/b.txt")
    assert (status, headers["X-Error-Code"], headers["X-Repo-Commit"]) == (404, "EntryNotFound", sha)


def test_a_body_in_chunks_arrives_whole(hub):
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"), timeout=10)
    for _ in range(2):  # twice over one connection: nothing is left of the first
        body = iter([b'{"name": ', b'"age"}'])
        headers = {"Authorization": "Bearer hf_me", "Transfer-Encoding": "chunked"}
        connection.request("POST", "/api/repos/create", body, headers, encode_chunked=True)
        answer = connection.getresponse()
        answer.read()
    connection.close()
    assert answer.status == 409 and hub.repo("me/age").files() == {}
    assert hub.requests == [("POST", "/api/repos/create")] * 2


def test_what_breaks_in_the_double_is_raised():
    gone = pytest.raises(http.client.RemoteDisconnected)
    with pytest.raises(json.JSONDecodeError), HubServer() as hub, gone:
        ask(hub, "POST", "/api/repos/create", "no JSON", Authorization="Bearer hf_me")


def test_an_environment_without_squared_emd(hub, tmp_path):
    env = environment(hub, tmp_path, None)
    assert not {name for name in env if "proxy" in name.lower() or "OFFLINE" in name or "TOKEN" in name}
    with_it = run_python(NOT_INSTALLED, env, tmp_path, 60)
    assert with_it.returncode == 1 and "AssertionError" in with_it.stderr
    without = run_python(NOT_INSTALLED + "import huggingface_hub", env, tmp_path, 60, **without_squared_emd(tmp_path))
    assert without.returncode == 0, without.stderr


def test_stock_transformers_push_and_load_the_same_logits(hub, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        NOT_INSTALLED
        + textwrap.dedent("""
            import sys
            import torch
            from transformers import AutoModelForImageClassification, TimmWrapperConfig

            names = {"id2label": {0: "young", 1: "old"}, "label2id": {"young": 0, "old": 1}}
            torch.manual_seed(0)
            config = TimmWrapperConfig(architecture="test_resnet", **names)
            model = AutoModelForImageClassification.from_config(config).eval()
            model.push_to_hub(sys.argv[1], private=True)
            loaded = AutoModelForImageClassification.from_pretrained(sys.argv[1]).eval()
            inputs = torch.randn(2, 3, 32, 32)
            with torch.no_grad():
                given, got = model(pixel_values=inputs).logits, loaded(pixel_values=inputs).logits
            assert given.shape == (2, 2) and given.std() > 0
            assert torch.equal(given, got)
            assert loaded.config.id2label == names["id2label"]
        """)
    )
    others = without_squared_emd(tmp_path)
    done = run_python(program, environment(hub, tmp_path), tmp_path, 300, arguments=["me/tiny"], **others)
    assert done.returncode == 0, done.stderr
    repo = hub.repo("me/tiny")
    assert repo.private and len(repo.commits) == 2
    assert {"config.json", "model.safetensors"} <= set(repo.files())
    fetched = [path for method, path in hub.requests if method == "GET" and path.endswith("/model.safetensors")]
    assert fetched == [f"/me/tiny/resolve/{repo.commits[-1].sha}/model.safetensors"]
