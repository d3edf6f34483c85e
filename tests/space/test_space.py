"""The page to try a model on: what it answers, asked as a client asks it, and what it says where there is no model."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import RepoCard
from PIL import Image
from tests.errors import message_of
from tests.hub.test_pipelines import processor, tiny_vit

from squared_emd.data.adience import AGE_GROUPS

SPACE = Path(__file__).resolve().parents[2] / "space"

# A model whose answer is always this one, so that each rule decides for another class. By hand:
# median: 0.40, 0.55. Expected score 0.15 * 10 + 0.1 * 20 + 0.35 * 100 = 38.5, nearest 20; spread
# sqrt(0.15 * 100 + 0.1 * 400 + 0.35 * 10,000 - 38.5^2) = sqrt(2072.75) = 45.53.
# Expected distances: 0.33, 0.555, 0.6, 0.195.
NAMES = ["young", "4-6", "<b>old</b> & {{so}} ${on}", "oldest"]
SHARES = [0.4, 0.15, 0.1, 0.35]
DISTANCE = [[0, 0.9, 0.9, 0.3], [0.9, 0, 0.9, 0.3], [0.9, 0.9, 0, 0.3], [0.3, 0.3, 0.3, 0]]
DECISIONS = {"argmax": NAMES[0], "median": NAMES[1], "expected": NAMES[2], "min_distance": NAMES[3]}
ALIKE = "Give the folder of a saved image classifier (config.json, model.safetensors), or the name of one on the Hub."

pytestmark = pytest.mark.xdist_group("space")  # importing gradio takes seconds


def save_model(folder, names=NAMES, shares=SHARES, **config):
    """Saves a network that always answers `shares`."""
    tiny_vit(names, np.log(shares), **config).save_pretrained(folder)
    processor().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "photograph.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def app():
    sys.path.insert(0, str(SPACE))
    yield importlib.import_module("app")
    sys.path.remove(str(SPACE))
    del sys.modules["app"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    emd = {"loss": "xemd2", "version": "0.1.0", "sdd": 0.1, "scores": [0, 10, 20, 100]}
    return save_model(tmp_path_factory.mktemp("model"), ground_distance=DISTANCE, emd=emd)


def test_the_answer(app, folder, image):
    shares, score, rules, figure = app.classify(app.load_model(folder), folder, Image.open(image))
    assert shares == pytest.approx(dict(zip(NAMES, SHARES, strict=True)))
    assert score == "38.50 ± 45.53 (standard deviation)"
    assert {rule: decision for rule, decision, _ in rules} == DECISIONS
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), DISTANCE, atol=1e-6)
    (mark,) = figure.axes[0].patches
    assert (mark.get_y(), mark.get_height(), mark.get_width()) == (-0.5, 1, 4)  # the row of the likeliest class


def test_a_client_is_answered_and_an_empty_image_clears_the_answer(app, folder, image):
    from gradio_client import Client, handle_file

    page = app.build_page(folder)
    assert page.analytics_enabled is False
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)
    try:
        client = Client(url, verbose=False)
        shares, score, rules, figure = client.predict(handle_file(image), api_name="/classify")
        assert (shares["label"], score) == ("young", "38.50 ± 45.53 (standard deviation)")
        assert [row[1] for row in rules["data"]] == [*DECISIONS.values()]
        assert figure["type"] == "matplotlib"
        assert client.predict(None, api_name="/classify")[1] == ""
    finally:
        page.close()


def test_a_model_without_d(app, tmp_path, image):
    folder = save_model(tmp_path)
    model = app.load_model(folder)
    _, _, rules, figure = app.classify(model, folder, Image.open(image))
    assert rules[3][:2] == ["min_distance", "needs D, which this model does not have"]
    assert figure is None
    assert app.describe(model, folder).endswith("Models trained with the losses `xemd`, `xemd1` and `xemd2` learn one.")


def test_a_model_that_answers_nan(app, tmp_path, image):
    folder = save_model(tmp_path, shares=[float("nan"), 0.5, 0.25, 0.25], ground_distance=DISTANCE)
    with pytest.raises(app.gr.Error, match="the model must give finite logits, got NaN"):
        app.classify(app.load_model(folder), folder, Image.open(image))


def test_where_d_comes_from(app, folder, tmp_path):
    assert app.describe(app.load_model(folder), folder) == (
        f"### The model\n`{Path(folder).name}` has 4 classes and was trained with the loss `xemd2`. `D[i, j]` is the "
        "ground distance between the classes i and j. It was learned from the distances between the classes' mean "
        "features (Hou et al. 2016, section 3.1)."
    )
    given = save_model(tmp_path, ground_distance=DISTANCE, emd={"loss": "xemd1", "sdd": None})
    assert app.describe(app.load_model(given), given).endswith("It was given to the training, not learned.")


def test_what_is_no_image_classifier(app, tmp_path):
    for name in (str(tmp_path), "nobody/nothing"):
        with pytest.raises(ValueError, match=f"^the model {re.escape(repr(name))} cannot be loaded: ") as raised:
            app.load_model(name)
        assert str(raised.value).endswith(ALIKE)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    message = (
        f"the model {str(tmp_path)!r} cannot be loaded: a model of type 'bert' is not an image classifier. {ALIKE}"
    )
    assert message_of(ValueError, app.load_model, str(tmp_path)) == message


def test_no_model(app, tmp_path, monkeypatch):
    monkeypatch.setattr(app, "DRAWN_FACES", tmp_path)
    monkeypatch.setattr(sys, "argv", ["app.py"])
    monkeypatch.delenv("MODEL_ID", raising=False)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == (
        "app.py: --model or the variable MODEL_ID must name a model, a folder or a name on the Hub; neither is given, "
        f"and there is no model.safetensors in {tmp_path}. Train one (python recipes/adience.py) and give its folder."
    )


def test_an_example_of_each_age_group(app):
    faces = app.example_faces()
    folder = next(parent for parent in Path(faces[0]).parents if (parent / "labels.csv").is_file())
    group = dict(line.split(",")[:2] for line in (folder / "labels.csv").read_text().splitlines())
    assert [group[Path(face).relative_to(folder).as_posix()] for face in faces] == list(AGE_GROUPS)


def test_the_folder_can_be_uploaded_as_it_is():
    data = RepoCard.load(SPACE / "README.md").data.to_dict()
    assert (data["sdk"], data["license"], (SPACE / data["app_file"]).is_file()) == ("gradio", "apache-2.0", True)
    assert not re.search(r"^(from|import) (tests|recipes|benchmarks)", (SPACE / "app.py").read_text(), re.MULTILINE)
    assert (SPACE / "requirements.txt").read_text().split(">=")[0] == "squared-emd[app]"
