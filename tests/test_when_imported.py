"""One module follows another, on modules made for the test."""

import copy
import importlib
import importlib.util
import sys
import threading
from types import SimpleNamespace

import pytest

from squared_emd.when_imported import import_when_imported

LEADER, FOLLOWER = "made_leader", "made_follower"


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Writes modules that can be imported, and takes all of it back."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # else a file that is written again may not be read again
    monkeypatch.syspath_prepend(tmp_path)

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()

    write(made_leader="", made_follower="import made_leader\nrun = globals().get('run', 0) + 1")
    yield write
    for name in [name for name in sys.modules if name.startswith("made_")]:
        del sys.modules[name]


def test_follows_and_not_before(made):
    import_when_imported(LEADER, FOLLOWER)
    assert importlib.util.find_spec(LEADER) is not None  # looking for it is no import
    assert not {LEADER, FOLLOWER} & set(sys.modules)
    importlib.import_module(LEADER)
    assert FOLLOWER in sys.modules


def test_an_old_finder_and_a_copied_loader_do_no_harm(made):
    import_when_imported(LEADER, FOLLOWER)
    sys.meta_path.insert(1, SimpleNamespace(find_module=lambda *args: None))  # Python passes over it, too
    loader = importlib.util.find_spec(LEADER).loader
    assert copy.copy(loader).__dict__ == loader.__dict__
    importlib.import_module(LEADER)
    assert FOLLOWER in sys.modules


def test_at_once_where_it_is_there_already(made):
    importlib.import_module(LEADER)
    import_when_imported(LEADER, FOLLOWER)
    assert FOLLOWER in sys.modules


def test_comes_after_the_whole_leader(made):
    made(made_leader="import sys\nearly = 'made_follower' in sys.modules\nlast = 1", made_follower="import made_leader")
    made(made_follower="from made_leader import last, early")
    import_when_imported(LEADER, FOLLOWER)
    importlib.import_module(LEADER)
    assert (sys.modules[FOLLOWER].last, sys.modules[FOLLOWER].early) == (1, False)


def test_the_follower_is_imported_first(made):
    """It imports its leader, whose follower it is."""
    made(made_follower="import made_leader\ncount = globals().get('count', 0) + 1")
    import_when_imported(LEADER, FOLLOWER)
    assert importlib.import_module(FOLLOWER).count == 1


def test_a_module_within_a_package_and_two_followers(made):
    made(made_package____init__="", made_package__part="", made_other="")
    import_when_imported("made_package.part", FOLLOWER)
    import_when_imported("made_package.part", "made_other")
    importlib.import_module("made_package")
    assert not {FOLLOWER, "made_other"} & set(sys.modules)
    importlib.import_module("made_package.part")
    assert {FOLLOWER, "made_other"} <= set(sys.modules)


def test_said_twice_it_counts_once(made):
    before = len(sys.meta_path)
    import_when_imported(LEADER, FOLLOWER)
    import_when_imported(LEADER, FOLLOWER)
    assert len(sys.meta_path) == before + 1


def test_the_leader_keeps_its_loader(made):
    plain = importlib.util.find_spec(LEADER).loader
    import_when_imported(LEADER, FOLLOWER)
    found = importlib.util.find_spec(LEADER).loader
    assert found.get_filename(LEADER) == plain.get_filename(LEADER)  # what runpy, pkgutil and inspect ask it
    leader = importlib.import_module(LEADER)
    assert type(leader.__loader__) is type(leader.__spec__.loader) is type(plain)


def test_a_leader_that_fails_half_way_may_be_tried_again(made):
    made(made_leader="raise OSError('no library')")
    import_when_imported(LEADER, FOLLOWER)
    with pytest.raises(OSError, match=r"^no library$"):
        importlib.import_module(LEADER)
    assert not {LEADER, FOLLOWER} & set(sys.modules)
    made(made_leader="")
    importlib.import_module(LEADER)
    assert FOLLOWER in sys.modules


def test_a_follower_that_fails_says_so_and_may_be_tried_again(made):
    made(made_follower="raise ImportError('too old a leader')")
    import_when_imported(LEADER, FOLLOWER)
    with pytest.raises(ImportError, match=r"^too old a leader$"):
        importlib.import_module(LEADER)
    made(made_follower="")
    importlib.import_module(LEADER)
    assert FOLLOWER in sys.modules


def test_no_such_leader(made):
    import_when_imported("made_nowhere", FOLLOWER)
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'made_nowhere'$"):
        importlib.import_module("made_nowhere")


def test_reloading_the_leader_runs_the_follower_no_more(made):
    import_when_imported(LEADER, FOLLOWER)
    leader = importlib.import_module(LEADER)
    follower = sys.modules[FOLLOWER]
    follower.mark = "the first"
    assert importlib.reload(leader) is leader
    assert sys.modules[FOLLOWER].mark == "the first"
    assert follower.run == 1


def test_reloading_this_file(made):
    """A second finder, of another class, behind which stands the first."""
    import_when_imported(LEADER, FOLLOWER)
    spec = importlib.util.find_spec("squared_emd.when_imported")
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    again.import_when_imported(LEADER, FOLLOWER)
    assert importlib.import_module(LEADER).__loader__.name == LEADER
    assert FOLLOWER in sys.modules


def test_two_threads_that_start_at_either_end(made):
    """One imports the leader, the other its follower, so that each waits for what the other is importing."""
    meeting = "made_meeting = threading.Barrier(2)"
    made(
        made_meeting=f"import threading\n{meeting}",
        made_leader="from made_meeting import made_meeting\nmade_meeting.wait(20)\nwhole = True",
        made_follower="from made_meeting import made_meeting\nmade_meeting.wait(20)\nfrom made_leader import whole",
    )
    importlib.import_module("made_meeting")
    import_when_imported(LEADER, FOLLOWER)
    errors = []

    def import_one(name):
        try:
            importlib.import_module(name)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=import_one, args=(name,)) for name in (LEADER, FOLLOWER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert sys.modules[FOLLOWER].whole is sys.modules[LEADER].whole is True
