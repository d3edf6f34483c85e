"""The page to try a model on: what it shows, what it says where it can show nothing, and the page in a browser."""

import base64
import importlib
import io
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from html import unescape
from pathlib import Path
from urllib.error import URLError
from xml.etree import ElementTree

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import RepoCard
from PIL import Image
from tests.browser import needs_browser, open_page
from tests.ranks import free_port
from transformers import AutoModelForImageClassification, TimmWrapperConfig, pipeline

from squared_emd.data.adience import AGE_GROUPS
from squared_emd.hub.pipelines import TASK

SPACE = Path(__file__).resolve().parents[2] / "space"

# A model whose answer is always this one, so that each rule decides for another class. By hand:
# median: 0.40, 0.55. Expected score 0.15 * 10 + 0.1 * 20 + 0.35 * 100 = 38.5, nearest 20; spread
# sqrt(0.15 * 100 + 0.1 * 400 + 0.35 * 10,000 - 38.5^2) = sqrt(2072.75) = 45.53.
# Expected distances: 0.33, 0.555, 0.6, 0.195.
NAMES = ["young", "4-6", "<b>old</b> & {{so}} ${on}", "oldest"]
SHARES = [0.4, 0.15, 0.1, 0.35]
SCORES = [0, 10, 20, 100]
DISTANCE = [[0, 0.9, 0.9, 0.3], [0.9, 0, 0.9, 0.3], [0.9, 0.9, 0, 0.3], [0.3, 0.3, 0.3, 0]]
DECISIONS = {"argmax": NAMES[0], "median": NAMES[1], "expected": NAMES[2], "min_distance": NAMES[3]}

pytestmark = pytest.mark.xdist_group("space")  # importing gradio takes seconds


def save_model(folder, names=NAMES, shares=SHARES, **config):
    """Saves a network of random weights, but for its head, which always answers `shares`."""
    config = TimmWrapperConfig(
        architecture="test_resnet",
        pretrained_cfg=timm.get_pretrained_cfg("test_resnet").to_dict(),
        do_pooling=True,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={name: k for k, name in enumerate(names)},
        **config,
    )
    model = AutoModelForImageClassification.from_config(config)
    head = model.timm_model.get_classifier()
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor(shares, dtype=torch.float64).log())
    model.save_pretrained(folder)
    return str(folder)


def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))


def texts(html):
    """What is read of a piece of HTML, tags apart."""
    return [unescape(text).strip() for text in re.split(r"<[^>]*>", html) if text.strip()]


@pytest.fixture(scope="module")
def app():
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    sys.path.insert(0, str(SPACE))
    yield importlib.import_module("app")
    sys.path.remove(str(SPACE))
    for name in ("app", "checkpoint", "figures"):
        del sys.modules[name]


@pytest.fixture(scope="module")
def figures(app):
    return sys.modules["figures"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    emd = {"loss": "xemd2", "version": "0.1.0", "sdd": 0.1, "scores": SCORES}
    return save_model(tmp_path_factory.mktemp("model"), ground_distance=DISTANCE, emd=emd)


@pytest.fixture(scope="module")
def checkpoint(app, folder):
    return app.load_checkpoint(folder)


def test_the_answer(app, checkpoint):
    html = app.answer(checkpoint, picture())
    shown = texts(html)
    at = shown.index("How likely each class is") + 1
    assert shown[at : at + 8] == [NAMES[0], "40.0 %", NAMES[1], "15.0 %", NAMES[2], "10.0 %", NAMES[3], "35.0 %"]
    at = shown.index("Expected score") + 1
    ends = [NAMES[0], "= 0", NAMES[3], "= 100"]
    assert shown[at : at + 6] == ["38.50", "± 45.53 (standard deviation)", *ends]
    rules = re.findall(r'data-rule="(\w+)"><dt>\1</dt><dd class="decision">(.*?)</dd>', html)
    assert {rule: texts(decision)[0] for rule, decision in rules} == DECISIONS
    at = shown.index("From the predicted class,")
    assert shown[at + 1 : at + 7] == ["young", ": nearest", "oldest", "(0.30) and", "4-6", "(0.90); farthest"]


def test_the_decisions_are_the_pipelines(app, folder):
    for rule, decision in DECISIONS.items():
        assert pipeline(TASK, model=folder, rule=rule)(picture())["label"] == decision


def test_before_a_picture_there_is_d_without_a_marked_row(app, checkpoint):
    html = app.answer(checkpoint, None)
    assert texts(html)[0] == "What the model says of a picture will stand here."
    assert "<svg" in html and 'class="row"' not in html


def test_the_longest_bar_is_full(figures):
    widths = re.findall(r"width: ([\d.]+)%", figures.bars([0.1, 0.4, 0.5], ["a", "b", "c"]))
    assert widths == ["20.00", "80.00", "100.00"]


def test_of_many_classes_the_likeliest_and_the_rest(figures):
    shares = np.full(120, 0.004)  # 110 of them: 0.44
    shares[40:50] = np.linspace(0.051, 0.060, 10)
    shares[49] += 0.005  # so that all sum to 1
    assert shares.sum() == pytest.approx(1)
    html = figures.bars(shares.tolist(), [f"class {k}" for k in range(120)])
    shown = texts(html)
    assert shown[:5] == ["The 10 likeliest of 120 classes", "class 49", "6.5 %", "class 48", "5.9 %"]
    assert shown[-2:] == ["all 110 others", "44.0 %"]
    assert html.count('class="bar ') == 10


def test_a_share_too_small_to_print(figures):
    assert texts(figures.bars([0.9996, 0.0004, 0.0], ["a", "b", "c"]))[1:] == [
        *("a", "100.0 %"),
        *("b", "< 0.1 %"),
        *("c", "0.0 %"),
    ]


def test_the_scale_of_the_expected_score(figures):
    html = figures.expected_score(6.0, 2.0, [0.0, 2.5, 10.0], ["low", "middle", "high"])
    assert re.findall(r'class="tick" style="left: ([\d.]+)%', html) == ["0.00", "25.00", "100.00"]
    assert re.findall(r'class="dot" style="left: ([\d.]+)%', html) == ["60.00"]
    assert re.findall(r'class="band" style="left: ([\d.]+)%; width: ([\d.]+)%', html) == [("40.00", "40.00")]


def test_the_band_ends_with_the_scale(figures):
    html = figures.expected_score(1.0, 3.0, [0.0, 10.0], ["low", "high"])  # -2 to 4
    assert re.findall(r'class="band" style="left: ([\d.]+)%; width: ([\d.]+)%', html) == [("0.00", "40.00")]


def drawn(html):
    """The SVG of a heat map, and its pixels."""
    svg = ElementTree.fromstring(re.search(r"<svg.*?</svg>", html, re.DOTALL).group())
    data = base64.b64decode(svg.find("image").attrib["href"].removeprefix("data:image/png;base64,"))
    return svg, np.asarray(Image.open(io.BytesIO(data)))


def test_the_heat_map(figures):
    matrix = np.array([[0, 0.25, 0.5], [0.25, 0, 0.125], [0.5, 0.125, 0]])
    svg, pixels = drawn(figures.heat_map(matrix, ["a", "b & c", "d"], row=1))
    assert [text.text for text in svg.iter("text")] == [
        *("a", "a", "▸ b & c", "b & c", "d", "d"),  # beside the rows and above the columns
        *("0", "0.25", "0.50", "0.25", "0", "0.12", "0.50", "0.12", "0"),
    ]
    assert pixels.shape == (3, 3, 3)
    assert pixels[0, 0].tolist() == [255, 255, 217]  # the ends of ColorBrewer's YlGnBu
    assert pixels[0, 2].tolist() == pixels[2, 0].tolist() == [8, 29, 88]
    row, image = svg.find("rect").attrib, svg.find("image").attrib
    assert float(row["y"]) == pytest.approx(float(image["y"]) + 120, abs=0.01)  # of 360 in three rows
    assert float(row["height"]) == pytest.approx(120, abs=0.01)
    assert svg.attrib["aria-label"] == (
        "Ground distance between 3 classes as a heat map; the row of the predicted class, b & c, is marked"
    )


@pytest.mark.parametrize(("num_classes", "named", "valued"), [(10, True, True), (11, True, False), (21, False, False)])
def test_a_heat_map_has_the_text_that_it_has_room_for(figures, num_classes, named, valued):
    matrix = 1 - np.eye(num_classes)
    svg, _ = drawn(figures.heat_map(matrix, [f"c{k}" for k in range(num_classes)], row=9))
    beside = {f"▸ c{k}" if k == 9 else f"c{k}" for k in (range(num_classes) if named else (0, 9, num_classes - 1))}
    got = [text.text for text in svg.iter("text")]
    assert set(got) - {"0", "1.00"} == beside | ({"c9"} if named else set())
    assert got.count("1.00") == (num_classes * (num_classes - 1) if valued else 0)


def test_a_large_heat_map_stays_small(figures):
    html = figures.heat_map(np.random.default_rng(0).random((1000, 1000)), [str(k) for k in range(1000)], row=2)
    svg, pixels = drawn(html)
    assert pixels.shape == (256, 256, 3)
    assert len(html) < 400_000  # bytes; 256 x 256 x 3 in base64 are 262,144
    assert [text.text for text in svg.iter("text")] == ["▸ 2", "999"]  # 0 would lie on 2
    assert float(svg.find("rect").attrib["height"]) >= 10  # a row of 0.36 could not be seen


def test_a_class_that_was_never_seen(figures):
    matrix = np.array([[0, 0.5, 0, 0.25], [0.5, 0, 0, 0.75], [0, 0, 0, 0], [0.25, 0.75, 0, 0]])
    names = ["a", "b", "unseen", "d"]
    assert " ".join(texts(figures.row_in_words(matrix, names, 0))) == (
        "From the predicted class, a : nearest d (0.25); farthest b (0.50)."
    )
    assert " ".join(texts(figures.row_in_words(matrix, names, 2))) == (
        "D says nothing of unseen : all its distances are 0, as training never saw it."
    )


def test_a_model_without_d(app, tmp_path):
    folder = save_model(tmp_path / "model")
    html = app.answer(app.load_checkpoint(folder), picture())
    assert texts(html)[-1] == (
        f"No heat map: {folder} was saved without a ground distance: its config.json has none. Models trained with the "
        "losses xemd1, xemd2 and a-emd have one."
    )
    assert '<dt>min_distance</dt><dd class="decision"><span class="name">needs D</span></dd>' in html
    assert "<svg" not in html


def test_a_model_that_answers_nan(app, tmp_path):
    folder = save_model(tmp_path / "model", shares=[float("nan"), 0.5, 0.25, 0.25], ground_distance=DISTANCE)
    shown = texts(app.answer(app.load_checkpoint(folder), picture()))
    assert shown[0].startswith("the model must give finite logits, got NaN")
    assert "How likely each class is" not in shown


def uploaded(app, path):
    """What the page gets of a file that was dropped on it."""
    image = app.gr.Image(type="pil", image_mode=None)
    return app.readable(image.preprocess)(image.data_model(path=str(path), orig_name=path.name))


def test_a_file_that_is_no_picture(app, checkpoint, tmp_path):
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    picture().resize((300, 400)).save(whole)
    cut.write_bytes(whole.read_bytes()[:5000])
    note, drawing = tmp_path / "note.png", tmp_path / "drawing.svg"
    note.write_text("no picture")
    drawing.write_text("<svg/>")
    assert uploaded(app, whole).size == (300, 400)
    for path in (cut, note, drawing):
        assert uploaded(app, path) == "This file cannot be read as a picture. Take a JPEG, PNG or WebP file."
    shown = texts(app.answer(checkpoint, uploaded(app, note)))
    assert shown[0] == "This file cannot be read as a picture. Take a JPEG, PNG or WebP file."


def test_no_such_model(app, tmp_path, monkeypatch):
    for name, why in {
        "nobody/nothing": "config.json was not downloaded before, and the Hub cannot be reached now. Try again when it "
        "can.",
        str(tmp_path / "none"): "there is no such folder, and a repository of the Hub is named as in 'me/age'.",
    }.items():
        monkeypatch.setattr(sys, "argv", ["space/app.py", "--model", name])
        with pytest.raises(SystemExit) as ended:
            app.main()
        assert ended.value.code == f"app.py: the model {name!r} cannot be loaded: {why}"


def test_a_folder_without_a_model(app, tmp_path):
    with pytest.raises(ValueError, match="cannot be loaded") as raised:
        app.load_checkpoint(str(tmp_path))
    assert str(raised.value).startswith(f"the model {str(tmp_path)!r} cannot be loaded: ")
    assert str(raised.value).endswith(
        ". Give the folder of a saved image classifier (config.json, model.safetensors), or the name of one on the Hub."
    )


def test_a_model_of_another_kind(app, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="cannot be loaded") as raised:
        app.load_checkpoint(str(tmp_path))
    assert str(raised.value) == (
        f"the model {str(tmp_path)!r} cannot be loaded: a model of the type 'bert' is no classifier of pictures. Give "
        "the folder of a saved image classifier (config.json, model.safetensors), or the name of one on the Hub."
    )


def test_a_regression_model(app, tmp_path):
    folder = save_model(tmp_path / "model", names=["age"], shares=[0.5])
    with pytest.raises(ValueError, match="needs a model with one output for each class"):
        app.load_checkpoint(folder)


def results_of(folder, **results):
    (Path(folder) / "all_results.json").write_text(json.dumps(results))


def test_only_what_was_measured_is_told(app, tmp_path):
    emd = {"loss": "xemd1", "version": "0.1.0", "sdd": None}
    folder = save_model(tmp_path / "model", ground_distance=DISTANCE, emd=emd)
    model, _, origin = app.about(app.load_checkpoint(folder))
    told = f"### The model\n`{tmp_path.name}/model` tells 4 classes apart; it was trained with the loss `xemd1`."
    assert model == f"{told} How often it is right was not measured, or was not saved with it."
    assert origin.endswith("It was given to the training, not learned.")
    results_of(folder, eval_loss=0.25)
    assert app.about(app.load_checkpoint(folder))[0] == model
    results_of(folder, eval_aem=0.625)
    assert app.about(app.load_checkpoint(folder))[0] == f"{told} When it was tested: 62.5 % right."
    results_of(folder, data="Adience files", num_train=1234, num_test=300, eval_aem=0.625, eval_aeo=0.875)
    assert app.about(app.load_checkpoint(folder))[0] == (
        f"{told} It learned from 1,234 pictures: Adience files. On 300 others: 62.5 % right, 87.5 % right or one class "
        "off."
    )


def test_where_a_learned_d_comes_from(app, checkpoint):
    assert "Nobody gave it to the model" in app.about(checkpoint)[2]


def test_the_drawn_faces_are_called_drawings(app, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = save_model(tmp_path / "model")
    plain = [block.value for block in app.build(app.load_checkpoint(folder)).blocks.values() if hasattr(block, "value")]
    assert app.DRAWINGS not in plain and app.LIMITS in "".join(filter(lambda value: isinstance(value, str), plain))
    results_of(folder, data="drawn faces")
    page = app.build(app.load_checkpoint(folder))
    assert app.DRAWINGS in [getattr(block, "value", None) for block in page.blocks.values()]
    assert page.analytics_enabled is False


def test_an_example_of_each_age_group(app, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    faces = app.example_faces()
    table = (tmp_path / "squared-emd" / "space_examples" / "labels.csv").read_text().splitlines()
    group = {line.split(",")[0]: line.split(",")[1] for line in table}
    at = tmp_path / "squared-emd" / "space_examples"
    assert [group[Path(face).relative_to(at).as_posix()] for face in faces] == list(AGE_GROUPS)


def test_the_drawn_faces_model_is_trained_once(app, tmp_path, monkeypatch, capfd):
    run = tmp_path / "table" / "run"
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "import pathlib, sys\n"
        f"run = pathlib.Path({str(run)!r}); run.mkdir(parents=True); (run / 'all_results.json').write_text('{{}}')\n"
        "print('trained', *sys.argv[1:])\n"
    )
    for name, value in {"RECIPE": recipe, "TABLE": tmp_path / "table", "DRAWN_FACES_RUN": run}.items():
        monkeypatch.setattr(app, name, value)
    assert app.drawn_faces_checkpoint() == run
    assert capfd.readouterr().out.splitlines() == [
        f"There is no model in {run} yet: training one on drawn faces, about two minutes.",
        f"trained --output_dir {tmp_path / 'table'}",
    ]
    assert app.drawn_faces_checkpoint() == run
    assert capfd.readouterr().out == ""


def test_a_training_that_failed(app, tmp_path, monkeypatch):
    recipe = tmp_path / "recipe.py"
    recipe.write_text("raise SystemExit(3)\n")
    monkeypatch.setattr(app, "RECIPE", recipe)
    monkeypatch.setattr(app, "DRAWN_FACES_RUN", tmp_path / "none")
    with pytest.raises(RuntimeError, match=r"^the training ended with status 3; what it said stands above\.$"):
        app.drawn_faces_checkpoint()


def test_no_model_and_no_recipe(app, tmp_path, monkeypatch):
    monkeypatch.setattr(app, "RECIPE", tmp_path / "none.py")
    monkeypatch.setattr(app, "DRAWN_FACES_RUN", tmp_path / "none")
    monkeypatch.setattr(sys, "argv", ["app.py"])
    monkeypatch.delenv("MODEL_ID", raising=False)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == (
        "app.py: --model or the variable MODEL_ID must name a model, a folder or a name on the Hub. Neither is given, "
        "and the recipe that trains one on drawn faces is not here."
    )


def test_the_folder_can_be_uploaded_as_it_is():
    data = RepoCard.load(SPACE / "README.md").data.to_dict()
    assert (data["sdk"], data["license"], (SPACE / data["app_file"]).is_file()) == ("gradio", "apache-2.0", True)
    imported = set()
    for path in SPACE.glob("*.py"):
        imported |= set(re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
    assert not imported & {"tests", "recipes", "benchmarks"}
    assert (SPACE / "requirements.txt").read_text().split(">=")[0] == "squared-emd"


@pytest.mark.slow
@needs_browser
def test_the_page_in_a_browser(folder, tmp_path):
    photograph, note = tmp_path / "photograph.jpg", tmp_path / "note.png"
    picture().resize((300, 400)).save(photograph)
    note.write_text("no picture")
    port = free_port()
    command = [sys.executable, str(SPACE / "app.py"), "--model", folder, "--port", str(port)]
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(url, server, tmp_path / "log")
        with open_page(url, width=400) as (page, asked):
            page.wait_for_selector(".emd svg")
            page.set_input_files("input[type=file]", note)
            page.wait_for_selector(".message >> text=This file cannot be read as a picture.")
            page.get_by_label("Remove Image").click()
            page.wait_for_selector(".message >> text=What the model says of a picture will stand here.")
            page.set_input_files("input[type=file]", photograph)
            page.wait_for_selector(".bars")
            for rule in DECISIONS:
                expected = pipeline(TASK, model=folder, rule=rule)(str(photograph))["label"]
                assert page.inner_text(f"[data-rule={rule}] .decision") == expected
            assert page.inner_text(".big") == "38.50"
            assert page.locator(".bars .share").all_inner_texts() == ["40.0 %", "15.0 %", "10.0 %", "35.0 %"]
            assert page.locator("svg text.chosen").all_text_contents() == ["▸ young"]
            assert page.evaluate("document.documentElement.scrollWidth") == 400  # nothing is cut off at the right
            page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert (tmp_path / "page.png").stat().st_size > 0
        elsewhere = [address for address in asked if not address.startswith((url, "data:", "blob:"))]
        assert not elsewhere
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        server.terminate()
        server.wait()


def wait_for(url, server, log, seconds=300):
    """Until the server answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (URLError, TimeoutError, ConnectionError):
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.5)
