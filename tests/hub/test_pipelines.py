"""The pipeline for ordered classes, against the formulas in float64 and by hand."""

import base64
import copy
import json
import pickle
import struct
from functools import partial

import datasets
import httpx2
import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.errors import message_of
from tests.training import tiny
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForSequenceClassification,
    ViTImageProcessor,
    pipeline,
)
from transformers.pipelines.pt_utils import KeyDataset

from squared_emd.experiments.networks import (
    tiny_audio_config,
    tiny_feature_extractor,
    tiny_text_config,
    word_tokenizer,
)
from squared_emd.ground_distance.saved import write_ground_distance
from squared_emd.hub import OrdinalImageClassificationPipeline, ordinal_prediction
from squared_emd.vision import average_flips

TASK = "ordinal-image-classification"
AGES = ["0-2", "4-6", "8-13", "15-20", "25-32"]
K = len(AGES)
MIDDLES = [1.0, 5.0, 10.5, 17.5, 28.5]
P = [0.4, 0.15, 0.05, 0.05, 0.35]
NEAR = 1 - np.eye(K)  # of the class 3 to the two likely ones, far apart themselves
NEAR[[0, 3, 3, 4], [3, 0, 4, 3]] = 0.1
CALIBRATION = {"coverage": 0.9, "threshold": 0.5, "num_classes": K, "num_samples": 40}
FLOAT32 = {"rtol": 1e-4, "atol": 1e-6}  # of a forward in float32 against one in float64


def tiny_vit(names=AGES, bias=None, **extra):
    """From random weights; with a bias, one whose logits are the bias whatever it sees."""
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: k for k, name in enumerate(names)}}
    model = tiny.tiny_vit(len(names), **labels, **extra).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(50)  # so that pictures and their mirror images differ
        if bias is not None:
            model.classifier.weight.zero_()
            model.classifier.bias.copy_(torch.as_tensor(bias))
    return model


def processor():
    return ViTImageProcessor(size={"height": 8, "width": 8})


def make(model=None, **parameters):
    model = tiny_vit(bias=np.log(P)) if model is None else model
    return pipeline(TASK, model=model, image_processor=processor(), device="cpu", **parameters)


def pictures(count=4, size=20):
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (size, size + 4, 3), dtype=np.uint8)) for _ in range(count)]


def slowly(model, processor, image, mirrored=False, scores=range(K)):
    """The formulas, in float64: softmax, mean of two, expected score and spread."""
    model = copy.deepcopy(model).double()
    pixels = processor(images=image, return_tensors="pt")["pixel_values"].double()
    distributions = []
    for view in (pixels, torch.flip(pixels, [3]))[: 2 if mirrored else 1]:
        with torch.no_grad():
            exponentials = np.exp(model(pixel_values=view).logits[0].numpy())
        distributions.append(exponentials / exponentials.sum())
    p = sum(distributions) / len(distributions)
    mean = sum(p[i] * s for i, s in enumerate(scores))
    spread = sum(p[i] * (s - mean) ** 2 for i, s in enumerate(scores)) ** 0.5
    return p, mean, spread


def assert_answers(answers, expected, names=AGES):
    assert isinstance(answers, list)
    assert len(answers) == len(expected)
    for answer, (p, mean, spread) in zip(answers, expected, strict=True):
        assert list(answer) == ["label", "score", "distribution", "expected_score", "spread"]
        assert [entry["label"] for entry in answer["distribution"]] == list(names)
        shares = [entry["score"] for entry in answer["distribution"]]
        numbers = [*shares, answer["score"], answer["expected_score"], answer["spread"]]
        assert {type(number) for number in numbers} == {float}
        assert abs(sum(shares) - 1) < 1e-6
        np.testing.assert_allclose(shares, p, **FLOAT32)
        np.testing.assert_allclose([answer["expected_score"], answer["spread"]], [mean, spread], **FLOAT32)
        assert (answer["label"], answer["score"]) == (names[int(np.argmax(p))], max(shares))


class TestDecisions:
    @pytest.mark.parametrize(
        ("parameters", "k"),
        [
            ({}, 0),
            ({"rule": "argmax"}, 0),
            ({"rule": "median"}, 1),  # 0.4, then 0.55
            ({"rule": "expected"}, 2),  # 0.15 + 0.1 + 0.15 + 1.4 = 1.8
            ({"rule": "expected", "scores": [0, 1, 2, 4, 10]}, 3),  # 0.15 + 0.1 + 0.2 + 3.5 = 3.95
            ({"rule": "min_distance", "ground_distance": NEAR}, 3),  # 0.04 + 0.15 + 0.05 + 0.035 = 0.275
        ],
    )
    @pytest.mark.parametrize("when", ["made", "called"])
    def test_by_hand(self, parameters, k, when):
        made, called = (parameters, {}) if when == "made" else ({}, parameters)
        answer = make(**made)(pictures()[0], **called)
        assert answer["label"] == AGES[k]
        assert answer["score"] == answer["distribution"][k]["score"] == pytest.approx(P[k], abs=1e-7)

    def test_mean_and_spread_by_hand(self):
        answer = make()(pictures()[0])
        # 0.4 * 3.24 + 0.15 * 0.64 + 0.05 * 0.04 + 0.05 * 1.44 + 0.35 * 4.84 = 3.16
        assert (answer["expected_score"], answer["spread"]) == (pytest.approx(1.8), pytest.approx(3.16**0.5))

    @pytest.mark.parametrize(
        ("p", "scores", "k"),
        [
            ([0.5, 0.5], None, 0),
            ([0.5, 0.5], [7.0, 3.0], 0),
            ([0.1, 0.4, 0.4, 0.1], None, 1),  # 1.5, but for rounding
            ([0.3, 0.2, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4], 1),
        ],
    )
    def test_of_two_equally_near_classes_the_lower(self, p, scores, k):
        names = [str(i) for i in range(len(p))]
        scores = None if scores is None else torch.tensor(scores, dtype=torch.float64)
        for logits in (torch.tensor(p, dtype=torch.float64).log(), torch.tensor(p, dtype=torch.float64).log() - 3):
            assert ordinal_prediction(logits, names, rule="expected", scores=scores)["label"] == str(k)

    @pytest.mark.parametrize(
        ("calibrated", "coverage", "interval"),
        [
            # from 0-2, 0.4, to 4-6, 0.55, to 8-13, 0.6, to 15-20, 0.65, to 25-32
            ([(0.8, 0.5), (0.9, 0.6)], 0.8, ["0-2", "4-6"]),
            ([(0.8, 0.5), (0.9, 0.6)], 0.9, ["0-2", "15-20"]),
            ([], CALIBRATION | {"threshold": 0.39}, ["0-2", "0-2"]),
        ],
    )
    @pytest.mark.parametrize("when", ["made", "called"])
    def test_intervals_by_hand(self, calibrated, coverage, interval, when):
        calibrations = [CALIBRATION | {"coverage": share, "threshold": limit} for share, limit in calibrated]
        model = tiny_vit(bias=np.log(P), emd={"intervals": calibrations})
        made, called = ({"coverage": coverage}, {}) if when == "made" else ({}, {"coverage": coverage})
        pipe = make(model, **made)
        answer = pipe(pictures()[0], **called)
        assert answer.pop("interval") == interval
        assert answer == make(model)(pictures()[0])
        assert ("interval" in pipe(pictures()[0])) == (when == "made")

    def test_what_a_call_says_is_for_that_call(self):
        pipe = make(rule="median", scores=MIDDLES)
        picture = pictures()[0]
        first = pipe(picture)
        assert first["label"] == "4-6"
        assert first["expected_score"] == pytest.approx(0.4 + 0.75 + 0.525 + 0.875 + 9.975)
        other = pipe(picture, rule="min_distance", ground_distance=NEAR, scores=[0, 0, 0, 0, 1])
        assert (other["label"], other["expected_score"]) == ("15-20", pytest.approx(0.35))
        assert pipe(picture) == first

    def test_the_models_own_scores_and_ground_distance(self):
        model = tiny_vit(bias=np.log(P), ground_distance=NEAR.tolist(), emd={"scores": MIDDLES, "class_names": AGES})
        answer = make(model)(pictures()[0], rule="min_distance")
        assert answer["label"] == "15-20"
        assert answer["expected_score"] == pytest.approx(12.525)
        line = np.abs(np.subtract.outer(range(K), range(K)))  # there the median has the least distance
        assert make(model)(pictures()[0], rule="min_distance", ground_distance=line)["label"] == "4-6"


@pytest.mark.parametrize("mirrored", [False, True])
def test_images_against_the_formulas(mirrored, tmp_path):
    model, images = tiny_vit(emd={"mirrored": True, "scores": MIDDLES}), pictures()
    expected = [slowly(model, processor(), image, mirrored, MIDDLES) for image in images]
    pipe = make(model, mirrored=mirrored)
    assert_answers(pipe(images), expected)
    assert_answers(pipe(images, batch_size=3), expected)  # 3 and 1
    assert_answers(list(pipe((image for image in images), batch_size=3)), expected)
    column = KeyDataset(datasets.Dataset.from_dict({"face": images}), "face")
    assert_answers(list(pipe(column, batch_size=2)), expected)
    images[0].save(tmp_path / "face.png")
    assert_answers([pipe(str(tmp_path / "face.png"))], expected[:1])
    other = slowly(model, processor(), images[0], not mirrored)[0]
    assert np.abs(expected[0][0] - other).max() > 1e-3  # else the test could not tell
    pipe.save_pretrained(tmp_path / "model")
    loaded = pipeline(TASK, model=str(tmp_path / "model"), device="cpu")
    assert isinstance(loaded, OrdinalImageClassificationPipeline)
    assert_answers([loaded(images[0], **({} if mirrored else {"mirrored": False}))], expected[:1])


@pytest.mark.parametrize("mirrored", [False, True])
def test_half_precision(mirrored):
    """The probabilities are those of the model's own logits, computed in more digits than these have."""
    model = tiny_vit()
    pipe = make(model.to(torch.bfloat16), mirrored=mirrored)
    assert pipe.dtype == torch.bfloat16
    pixels = processor()(images=pictures()[0], return_tensors="pt")["pixel_values"].bfloat16()
    views = [pixels, pixels.flip(-1)] if mirrored else [pixels]
    with torch.no_grad():
        exponentials = [np.exp(model(pixel_values=view).logits[0].double().numpy()) for view in views]
    p = np.mean([each / each.sum() for each in exponentials], axis=0)
    shares = [entry["score"] for entry in pipe(pictures()[0])["distribution"]]
    np.testing.assert_allclose(shares, p, rtol=1e-6)
    assert abs(sum(shares) - 1) < 1e-6


class TestModelIsLeftAsItWas:
    def test_hook_and_training_mode(self):
        model = tiny_vit(hidden_dropout_prob=0.5, ground_distance=NEAR.tolist(), emd={"scores": MIDDLES})
        config = copy.deepcopy(model.config.to_dict())
        expected = make(model, mirrored=True)(pictures()[0], rule="min_distance")
        model.train()
        model.vit.embeddings.eval()  # a frozen part
        modes = [module.training for module in model.modules()]
        assert make(model, mirrored=True)(pictures()[0], rule="min_distance") == expected
        assert [module.training for module in model.modules()] == modes
        assert model.config.to_dict() == config

        def fail(*args):
            raise RuntimeError("the forward failed")

        model.vit.register_forward_hook(fail)
        with pytest.raises(RuntimeError, match=r"^the forward failed$"):
            make(model, mirrored=True)(pictures()[0])
        assert not model._forward_hooks
        assert [module.training for module in model.modules()] == modes

    def test_a_model_of_other_inputs_has_no_mirror_image(self, monkeypatch):
        pipe = make()
        monkeypatch.setattr(pipe, "preprocess", lambda image: {"patches": torch.zeros(1, 3, 8, 8)})
        forward = pipe.model.forward
        monkeypatch.setattr(pipe.model, "forward", lambda patches: forward(pixel_values=patches))
        assert message_of(ValueError, pipe, pictures()[0], mirrored=True) == (
            "mirrored needs a model that takes pixel_values, this one is given patches. Pass mirrored=False."
        )
        assert pipe(pictures()[0])["label"] == AGES[0]

    def test_a_model_that_averages_already(self):
        model = tiny_vit()
        once = make(model)(pictures()[0], mirrored=True)
        average_flips(model)
        twice = make(model)(pictures()[0], mirrored=True)
        shares = [[entry["score"] for entry in answer["distribution"]] for answer in (once, twice)]
        np.testing.assert_allclose(*shares, rtol=1e-6)


class TestManyClasses:
    """Above 256 classes D is in a file of its own."""

    K = 257

    @pytest.fixture
    def folder(self, tmp_path):
        line = torch.arange(self.K, dtype=torch.float32)
        model = tiny_vit([f"class {k:03}" for k in range(self.K)])
        write_ground_distance((line[:, None] - line).abs(), tmp_path, model.config, {"epoch": 3})
        model.save_pretrained(tmp_path)
        processor().save_pretrained(tmp_path)
        return tmp_path

    def test_the_file_is_read_once_and_only_if_it_is_needed(self, folder):
        moved = (folder / "ground_distance.safetensors").rename(folder / "elsewhere")
        pipe = pipeline(TASK, model=str(folder), device="cpu")
        median = pipe(pictures(), rule="median")
        moved.rename(folder / "ground_distance.safetensors")
        # on a line the class of the least expected distance is the median
        assert pipe(pictures(), rule="min_distance") == median
        assert median != pipe(pictures())
        (folder / "ground_distance.safetensors").unlink()
        assert pipe(pictures(), rule="min_distance") == median

    def test_with_the_file_of_another_model_or_without_it(self, folder, caplog):
        save_file({"ground_distance": torch.ones(self.K, self.K)}, folder / "ground_distance.safetensors")
        assert message_of(ValueError, pipeline, TASK, model=str(folder), device="cpu", rule="min_distance") == (
            f"ground_distance.safetensors of {folder} must be the one that was saved with its config; it is of another "
            "model or revision. Save or download the whole model again."
        )
        (folder / "ground_distance.safetensors").unlink()
        assert message_of(ValueError, pipeline, TASK, model=str(folder), device="cpu", rule="min_distance") == (
            'rule "min_distance" needs a ground distance, and the model has none of its classes. Give ground_distance, '
            "a (257, 257) matrix, or take a rule that works without one: argmax, median or expected."
        )
        assert caplog.messages[-1] == (
            f"The ground distance in the model's config is taken out: {folder} must hold the file "
            "ground_distance.safetensors that its config names; there is none. Copy the whole folder; "
            "`EMDTrainer.save_model` writes that file, a model's own `save_pretrained` does not."
        )


def test_images_are_opened_as_in_training(tmp_path, monkeypatch):
    """16 bits are scaled, not clipped to white; EXIF turns an image once, whether or not it could be written again."""
    model = tiny_vit()
    levels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint16)
    gray = Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    Image.fromarray(levels * 257).save(tmp_path / "deep.png")
    encoded = base64.b64encode((tmp_path / "deep.png").read_bytes()).decode()
    given = [str(tmp_path / "deep.png"), Image.open(tmp_path / "deep.png"), encoded, f"data:image/png;base64,{encoded}"]
    answers = make(model)(given)
    exif = struct.pack("<HHHII HHII I", 2, 0x0112, 3, 1, 6, 0x0128, 4, 1, 70_000, 0)
    gray.save(tmp_path / "odd.png", exif=b"Exif\0\0II*\0" + struct.pack("<I", 8) + exif)
    (turned,) = make(model)([str(tmp_path / "odd.png")])
    assert turned == make(model)(gray.transpose(Image.Transpose.ROTATE_270))
    assert answers == make(model)([gray] * 4)

    def get(url, timeout, follow_redirects):
        assert timeout == 7 and follow_redirects
        content = (tmp_path / "deep.png").read_bytes() if url.endswith("/deep.png") else b""
        return httpx2.Response(200 if content else 404, content=content, request=httpx2.Request("GET", url))

    monkeypatch.setattr(httpx2, "get", get)
    assert make(model)("https://example.org/deep.png", timeout=7) == make(model)(gray)
    with pytest.raises(httpx2.HTTPStatusError, match=r"404 Not Found.*https://example\.org/none\.png"):
        make(model)("https://example.org/none.png", timeout=7)
    assert message_of(ValueError, make(model), "no/such.png") == (
        "an image must be a file, a URL that begins with http:// or https://, base64 or a PIL image, got "
        "'no/such.png'. There is no such file. Give the path of one."
    )


class TestTextsAndSounds:
    @staticmethod
    def made(task):
        """A model, its processor as a keyword, samples, and their inputs."""
        torch.manual_seed(0)
        labels = {"id2label": dict(enumerate(AGES)), "label2id": {name: k for k, name in enumerate(AGES)}}
        generator = np.random.default_rng(0)
        if task == "text-classification":
            texts = ["a", "a b c", "c", "b " * 300]  # the last is longer than the model
            tokenizer = word_tokenizer(texts)
            model = AutoModelForSequenceClassification.from_config(tiny_text_config(tokenizer, **labels))
            most = model.config.max_position_embeddings
            inputs = [tokenizer(text, truncation=True, max_length=most, return_tensors="pt") for text in texts]
            processor = {"tokenizer": tokenizer}
        else:
            texts = [generator.normal(size=n).astype(np.float32) for n in (900, 900, 900, 1200)]
            extractor = tiny_feature_extractor(1000)
            model = AutoModelForAudioClassification.from_config(tiny_audio_config(**labels))
            inputs = [extractor(wave, sampling_rate=1000, return_tensors="pt") for wave in texts]
            processor = {"feature_extractor": extractor}
        with torch.no_grad():
            model.classifier.weight.mul_(20)  # so that samples differ
        return model.eval(), processor, texts, inputs

    @pytest.mark.parametrize("task", ["text-classification", "audio-classification"])
    def test_against_the_formulas(self, task, tmp_path):
        model, processor, samples, inputs = self.made(task)
        expected = []
        for each in inputs:
            with torch.no_grad():
                p = model(**each).logits[0].double().softmax(0).numpy()
            mean = p @ MIDDLES
            expected.append((p, mean, (p @ (MIDDLES - mean) ** 2) ** 0.5))
        assert np.abs(expected[0][0] - expected[1][0]).max() > 1e-3  # else nothing could be told apart
        emd = {"scores": MIDDLES, "intervals": [CALIBRATION | {"threshold": 1.0}]}
        model.config.emd, model.config.ground_distance = emd, NEAR.tolist()
        pipe = pipeline(f"ordinal-{task}", model=model, device="cpu", **processor)
        assert_answers([pipe(sample) for sample in samples], expected)
        assert_answers(pipe(samples[:3], batch_size=2), expected[:3])
        assert_answers(list(pipe(sample for sample in samples)), expected)
        assert pipe(samples[0], coverage=0.9)["interval"] == [AGES[0], AGES[-1]]
        nearest = AGES[(expected[0][0] @ NEAR).argmin()]
        assert pipe(samples[0], rule="min_distance")["label"] == nearest
        pipe.save_pretrained(tmp_path)
        again = pipeline(f"ordinal-{task}", model=str(tmp_path), device="cpu")
        assert_answers([again(samples[0])], expected[:1])
        of_transformers = pipeline(task, model=str(tmp_path), device="cpu", top_k=K)([samples[0]])[0]
        shares = {entry["label"]: entry["score"] for entry in of_transformers}
        np.testing.assert_allclose([shares[name] for name in AGES], expected[0][0], **FLOAT32)

    def test_sounds_are_opened_as_in_training(self, tmp_path, monkeypatch):
        model, processor, (wave, *_), _ = self.made("audio-classification")
        pipe = pipeline("ordinal-audio-classification", model=model, device="cpu", **processor)
        stereo = np.repeat(wave.clip(-1, 1), 2)[:, None].repeat(2, 1)  # at 2,000 samples a second
        soundfile.write(tmp_path / "sound.wav", stereo, 2000, subtype="FLOAT")
        content = (tmp_path / "sound.wav").read_bytes()

        def get(url, timeout, follow_redirects):
            assert (url, timeout) == ("https://example.org/sound.wav", 7) and follow_redirects
            return httpx2.Response(200, content=content, request=httpx2.Request("GET", url))

        monkeypatch.setattr(httpx2, "get", get)
        resampled = scipy.signal.resample_poly(stereo[:, 0], 1000, 2000).astype(np.float32)
        given = [
            str(tmp_path / "sound.wav"), content, {"path": None, "bytes": content},
            {"array": stereo[:, 0], "sampling_rate": 2000}, {"raw": stereo[:, 0], "sampling_rate": 2000},
        ]  # fmt: skip
        answers = [*pipe(given), pipe("https://example.org/sound.wav", timeout=7)]
        for answer in answers:
            assert answer["expected_score"] == pytest.approx(pipe(resampled)["expected_score"], abs=1e-5)
        pipe.feature_extractor.max_seconds = 0.2  # as a recipe saves it
        for answer in pipe([*given, resampled]):
            assert answer["expected_score"] == pytest.approx(pipe(resampled[:200])["expected_score"], abs=1e-5)
        del pipe.feature_extractor.max_seconds
        (tmp_path / "none.wav").write_text("no sound")
        with pytest.raises(ValueError, match=r"none\.wav cannot be decoded: .* Repair it, or convert it to WAV, FLAC"):
            pipe(str(tmp_path / "none.wav"))

    def test_errors(self):
        model, processor, (wave, *_), _ = self.made("audio-classification")
        pipe = pipeline("ordinal-audio-classification", model=model, device="cpu", **processor)
        message = NO_OPTION.replace("image", "audio").format("top_k", "top_k=3")
        assert message_of(ValueError, pipe, wave, top_k=3) == message  # transformers gives one by default
        with pytest.raises(TypeError, match="unexpected keyword argument 'mirrored'"):
            pipe(wave, mirrored=True)


def test_others_load_what_it_saves(tmp_path):
    pipe = make(tiny_vit(), rule="median")
    pipe.save_pretrained(tmp_path)
    names = ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert not {"custom_pipelines", "auto_map"} & set(json.loads((tmp_path / "config.json").read_text()))
    of_transformers = pipeline("image-classification", model=str(tmp_path), device="cpu", top_k=K)(pictures()[0])
    shares = {entry["label"]: entry["score"] for entry in pipe(pictures()[0])["distribution"]}
    assert shares == pytest.approx({entry["label"]: entry["score"] for entry in of_transformers}, rel=1e-5)


def test_pickle():
    pipe = make(tiny_vit(), rule="min_distance", ground_distance=NEAR, mirrored=True)
    assert pickle.loads(pickle.dumps(pipe))(pictures()) == pipe(pictures())


def test_classes_of_an_earlier_task():
    """A model fine-tuned on something else may still have the D of the earlier classes."""
    emd = {"class_names": AGES, "scores": MIDDLES, "mirrored": True}
    model = tiny_vit(["a", "b", "c", "d", "e"], bias=np.log(P), ground_distance=NEAR.tolist(), emd=emd)
    answer = make(model)(pictures()[0])
    assert (answer["label"], answer["expected_score"]) == ("a", pytest.approx(1.8))
    assert message_of(ValueError, make, model, rule="min_distance") == NO_DISTANCE


class Unread:
    """An input that fails as soon as it is read."""

    def __getattr__(self, name):
        raise AssertionError(f"{name} of the input was asked for")


NO_DISTANCE = (
    'rule "min_distance" needs a ground distance, and the model has none of its classes. Give ground_distance, a '
    "(5, 5) matrix, or take a rule that works without one: argmax, median or expected."
)
SCORES = (
    "scores, given or in the model's config, must be (5,), a finite number for each class, got {}. Give such scores."
)
NO_OPTION = (
    "ordinal-image-classification always gives the probabilities of all classes, in their order, and has no {}; got "
    '{}. Leave it out, or take pipeline("image-classification").'
)
WRONG = [
    ({"rule": "mean"}, "rule must be one of argmax, median, expected, min_distance, got 'mean'."),
    ({"rule": "min_distance"}, NO_DISTANCE),
    ({"ground_distance": np.zeros((4, 4))}, "ground_distance must be (5, 5), one row a class of the model, got shape "
     "(4, 4)."),
    ({"ground_distance": np.ones((5, 5), bool)}, "ground_distance must hold real numbers, got torch.bool."),
    ({"ground_distance": "D.npy"}, "ground_distance must be (K, K) numbers or a LabelTree, got str: new(): invalid "
     "data type 'str'"),
    ({"ground_distance": [[0, 1], [1]]}, "ground_distance must be (K, K) numbers or a LabelTree, got list: expected "
     "sequence of length 2 at dim 1 (got 1)"),
    ({"scores": [1, 2, 3]}, SCORES.format("[1.0, 2.0, 3.0]")),
    ({"scores": [1, 2, 3, 4, float("nan")]}, SCORES.format("[1.0, 2.0, 3.0, 4.0, nan]")),
    ({"scores": "ages"}, "scores must be numbers, in a tensor, an array or a list, got 'ages'. Give such scores."),
    ({"coverage": 0.9}, "coverage 0.9 needs a calibration of the model for it; it has: none. Make one with "
     "EMDTrainer.calibrate or `squared-emd calibrate`."),
    ({"coverage": CALIBRATION | {"num_classes": 4}}, "the calibration is of 4 classes, and the probabilities are of 5. "
     "Calibrate again with probabilities of this model."),
    ({"top_k": 3}, NO_OPTION.format("top_k", "top_k=3")),
    ({"function_to_apply": "sigmoid"}, NO_OPTION.format("function_to_apply", "function_to_apply='sigmoid'")),
]  # fmt: skip


@pytest.mark.parametrize("when", ["made", "called"])
@pytest.mark.parametrize(("parameters", "message"), WRONG)
def test_errors_before_a_picture_is_read(parameters, message, when):
    pipe = make()
    call = make if when == "made" else partial(pipe, Unread())
    assert message_of(ValueError, call, **parameters) == message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"ground_distance": np.zeros((8, 8)).tolist()}, NO_DISTANCE),
        ({"emd": {"scores": [1.0, 2.0]}}, SCORES.format("[1.0, 2.0]")),
        ({"emd": "xemd2"}, "'emd' in the config.json of the model must be an object, or null; got 'xemd2'. Save the "
         "model again, or take the entry out."),
        ({"emd": {"intervals": [{"coverage": 0.9}]}}, "'emd.intervals' in the config.json of the model must be a list "
         "of calibrations, as calibrate_intervals gives them, or null; got [{'coverage': 0.9}]. Save the model again, "
         "or take the entry out."),
        ({"names": AGES[::-1], "emd": {"class_names": AGES}}, "the classes of the model must stand in the order in "
         "which its ground distance and its classifier head were learned, 0-2, 4-6, 8-13, 15-20, 25-32; id2label has "
         "25-32, 15-20, 8-13, 4-6, 0-2. Load it without id2label, and give your data the labels in that order."),
        ({"names": ["score"]}, "ordinal-image-classification needs a model with one output for each class; this one "
         'has 1 output, a regression. For its values take pipeline("image-classification", '
         'function_to_apply="none").'),
    ],
)  # fmt: skip
def test_errors_of_the_config(config, message):
    assert message_of(ValueError, make, tiny_vit(**config), rule="min_distance") == message


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite(value, mirrored):
    pipe = make(tiny_vit(bias=[0, 0, value, 0, 0]), mirrored=mirrored)
    assert message_of(ValueError, pipe, pictures(), batch_size=2) == (
        "the model must give finite logits, got NaN or infinite ones for a sample. Look for such values in its "
        "weights and in the sample; in half precision they come from an overflow: load it with dtype=torch.float32."
    )
