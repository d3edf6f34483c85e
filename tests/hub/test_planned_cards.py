"""`model_cards/`: what lies there is what the package writes, and no figure that nobody measured."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from matplotlib.image import imread
from tests.hub.test_card import RESULTS, run_folder

from squared_emd.hub.card import write_card
from squared_emd.hub.planned_cards import DRAWN_FACES, PLANNED, copy_drawn_faces, main, planned_card, write_cards

CARDS = Path(__file__).resolve().parents[2] / "model_cards"
AGAIN = "run python -m squared_emd.hub.planned_cards"


@pytest.mark.parametrize("name", PLANNED)
def test_planned_cards_are_those_of_the_package(name):
    assert (CARDS / name / "README.md").read_text() == planned_card(name), AGAIN


@pytest.mark.parametrize("name", PLANNED)
def test_planned_cards_have_no_figure(name):
    card = ModelCard((CARDS / name / "README.md").read_text())
    assert card.data.eval_results is None
    assert (card.data.license, card.data.base_model) == ("other", "timm/resnetv2_50.a1h_in1k")
    results = card.text.split("## Results")[1].split("## Who is in the data")[0]
    rows = re.findall(r"^\| ([^|:]+) \| ([^|:]+) \| ([^|]*) \|", results, flags=re.MULTILINE)
    figures = [row[1:] for row in rows if row[0] != "metric"]
    assert len(figures) >= 4 and set(figures) == {("not run", "")}
    assert not re.search(r"\d\.\d|\d%", results.replace("100% is best", "").replace("95% interval", ""))
    assert "![" not in card.text
    assert f"accelerate launch recipes/{PLANNED[name].recipe} --data_dir DIR" in card.text


@pytest.mark.parametrize("name", PLANNED)
def test_planned_cards_say_what_they_are_not_for(name):
    must_not = planned_card(name).split("## What it must not be used for")[1].split("## Licence")[0]
    assert ("no proof of age" in must_not) == name.startswith("age-")
    assert ("no measure of anybody's beauty" in must_not) == name.startswith("aesthetics-")


def test_the_template_is_the_packages():
    template = CARDS / "template.md"
    assert template.is_symlink() and not Path(template.readlink()).is_absolute()
    assert template.resolve() == CARDS.parent / "src" / "squared_emd" / "hub" / "template.md"


def test_the_card_of_the_drawn_faces_is_that_of_its_results(tmp_path):
    """Its pictures may differ by what another FreeType draws."""
    folder, again = CARDS / DRAWN_FACES, tmp_path / DRAWN_FACES
    again.mkdir()
    for name in ("config.json", "all_results.json"):
        (again / name).write_bytes((folder / name).read_bytes())
    results = json.loads((folder / "all_results.json").read_text())
    written = write_card(again, repo_id=f"YOUR_NAME/{DRAWN_FACES}", results=results)
    assert {path.name for path in written} == {"README.md", "confusion_matrix.png", "ground_distance.png"}
    assert (folder / "README.md").read_text() == (again / "README.md").read_text(), AGAIN
    for path in written[1:]:
        ours, theirs = imread(path), imread(folder / path.name)
        assert ours.shape == theirs.shape, AGAIN
        assert np.abs(ours - theirs).mean() < 0.01, AGAIN
    card = ModelCard((folder / "README.md").read_text())
    assert "not run" not in card.text and "not recorded" not in card.text
    assert {result.metric_value for result in card.data.eval_results} == {
        round(results[name], 6) for name in ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd")
    }


def test_the_folder_of_the_drawn_faces_tells_nothing_else():
    files = {path.name for path in (CARDS / DRAWN_FACES).iterdir()}
    assert files == {"README.md", "all_results.json", "config.json", "confusion_matrix.png", "ground_distance.png"}
    for name in ("README.md", "all_results.json", "config.json"):
        assert not re.search(r"/(home|tmp|root|Users)/", (CARDS / DRAWN_FACES / name).read_text())


def test_the_command_writes_all(tmp_path, capsys):
    run = run_folder(tmp_path / "run", _name_or_path="/home/me/secret")
    output = tmp_path / "model_cards"
    main(["--drawn_faces", str(run), "--output_dir", str(output)])
    printed = capsys.readouterr().out.split()
    assert sorted(printed) == sorted(str(path) for path in output.rglob("*") if path.is_file())
    assert {path.name for path in output.iterdir()} == {*PLANNED, DRAWN_FACES}
    for path in output.rglob("*.*[nd]"):  # .json, .md
        assert "secret" not in path.read_text()
    copied = json.loads((output / DRAWN_FACES / "all_results.json").read_text())
    assert {name: RESULTS[name] for name in copied if name != "weights"} == {
        name: value for name, value in copied.items() if name != "weights"
    }
    before = (output / DRAWN_FACES / "README.md").read_bytes()
    write_cards(output)  # from what lies there now
    assert (output / DRAWN_FACES / "README.md").read_bytes() == before


def test_results_that_are_not_believed_are_not_taken(tmp_path):
    run = run_folder(tmp_path / "run", changes={"weights": None})
    message = (
        f"a run with results of its own weights is needed; {run}: all_results.json does not say which weights it was "
        "measured with. Train it again"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        copy_drawn_faces(run, tmp_path / "cards")
    assert not (tmp_path / "cards").exists()


def test_other_data_are_not_taken(tmp_path):
    run = run_folder(tmp_path / "run", changes={"data": "Adience files"})
    message = "a run on drawn faces is needed; got 'Adience files'; run recipes/adience.py without data"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        copy_drawn_faces(run, tmp_path / "cards")
    assert not (tmp_path / "cards").exists()
