"""People's own texts, sounds and tables, from files, folders and data sets that the tests make."""

import csv
import json
import logging
import re
import wave
from collections import Counter

import numpy as np
import pytest
from datasets import Audio, ClassLabel, Dataset, DatasetDict, Features, Value
from scipy.io import wavfile

from squared_emd.data import own_columns, own_sounds, own_texts
from squared_emd.data.column_encoder import ColumnEncoder
from squared_emd.data.own_columns import load_own_columns
from squared_emd.data.own_sounds import load_own_sounds, reader_of_sounds
from squared_emd.data.own_texts import load_own_texts
from squared_emd.data.sound_files import read_sound

RATE = 8000


def refused(kind, call, *arguments, **options):
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    return str(caught.value)


def write_csv(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def reviews(count=40, **others):
    return {"text": [f"review {k}" for k in range(count)], "label": [k % 4 + 1 for k in range(count)], **others}


def write_tone(path, seconds=0.2, rate=RATE, pitch=440, dtype=np.int16):
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)
    scale = 2**15 if dtype == np.int16 else 1
    wavfile.write(path, rate, np.rint(scale * tone).astype(dtype) if scale > 1 else tone.astype(dtype))
    return path


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


class TestTexts:
    @pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
    def test_a_file(self, suffix, tmp_path):
        path, rows = tmp_path / f"reviews.{suffix}", reviews()
        if suffix == "parquet":
            Dataset.from_dict(rows).to_parquet(path)
        elif suffix.startswith("json"):
            lines = [json.dumps(dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True)]
            path.write_text("\n".join(lines))
        else:
            text = write_csv(path, rows, zip(*rows.values(), strict=True)).read_text()
            path.write_text(text.replace(",", "\t") if suffix == "tsv" else text)
        texts, names = load_own_texts(path)
        assert names == ("1", "2", "3", "4")
        assert texts["text"][:] == rows["text"]
        assert texts["label"][:] == [k % 4 for k in range(40)]
        # a fifth of ten rows of each class, and a fifth of the eight that are left
        assert Counter(texts["split"]) == {"train": 24, "validation": 8, "test": 8}
        assert Counter(zip(texts["split"], texts["label"], strict=True))["validation", 3] == 2

    def test_the_order_of_the_classes_and_other_columns(self, tmp_path):
        rows = [[f"body {k}", ("mild", "none", "severe")[k % 3], k] for k in range(30)]
        path = write_csv(tmp_path / "notes.csv", ["body", "grade", "id"], rows)
        texts, names = load_own_texts(path, label_column="grade", classes=["none", "mild", "severe"])
        assert names == ("none", "mild", "severe")
        assert texts["label"][:3] == [1, 0, 2]
        assert texts.column_names == ["text", "label", "split"]  # the only other column of text

    def test_an_order_that_was_guessed_is_told(self, tmp_path, caplog):
        path = write_csv(tmp_path / "notes.csv", ["text", "label"], [["a", "low"], ["b", "high"]] * 5)
        with caplog.at_level(logging.WARNING):
            _, names = load_own_texts(path)
        assert names == ("high", "low")
        assert f"{path} does not say in which order its classes are, taken is that of the alphabet: high, low." in (
            caplog.text
        )

    def test_splits_of_a_file(self, tmp_path):
        rows = [[f"t {k}", k % 2, ("train", "train", "val", "test")[k % 4]] for k in range(40)]
        path = write_csv(tmp_path / "r.csv", ["text", "label", "split"], rows)
        texts, _ = load_own_texts(path)
        assert texts["split"][:4] == ["train", "train", "validation", "test"]
        write_csv(path, ["text", "label", "split"], [*rows, ["t", 1, "dev"]])
        assert refused(ValueError, load_own_texts, path) == (
            f"{path}, split train, row 40: split must be train, validation, val, test, got 'dev'."
        )

    def test_groups_never_part(self, tmp_path):
        rows = reviews(60, author=[f"author {k // 5}" for k in range(60)])
        path = tmp_path / "r.parquet"
        Dataset.from_dict(rows).to_parquet(path)
        texts, _ = load_own_texts(path, text_column="text", group_column="author")
        splits = {}
        for author, split in zip(rows["author"], texts["split"], strict=True):
            splits.setdefault(author, set()).add(split)
        assert {len(found) for found in splits.values()} == {1}
        assert set(texts["split"]) == {"train", "validation", "test"}

    def test_a_saved_data_set_with_named_classes_and_splits(self, tmp_path):
        features = Features({"text": Value("string"), "label": ClassLabel(names=["worst", "best"])})
        part = Dataset.from_dict({"text": ["a", "b"] * 10, "label": [0, 1] * 10}, features=features)
        DatasetDict(train=part, test=part.select(range(4))).save_to_disk(tmp_path / "saved")
        texts, names = load_own_texts(tmp_path / "saved")
        assert names == ("worst", "best")  # though the alphabet has another order
        assert Counter(texts["split"]) == {"train": 16, "validation": 4, "test": 4}

    def test_votes(self, tmp_path):
        path = write_csv(tmp_path / "votes.csv", ["text", "bad", "good"], [["a", 1, 3], ["b", 2, 0]] * 10)
        texts, names = load_own_texts(path, classes=["bad", "good"])
        assert names == ("bad", "good")
        assert texts["label"][:2] == [[0.25, 0.75], [1, 0]]

    def test_what_is_refused(self, tmp_path):
        path = write_csv(tmp_path / "r.csv", ["body", "title", "stars"], [["a", "b", 1], ["c", "d", 2]] * 5)
        assert refused(ValueError, load_own_texts, path) == (
            f"{path} needs a column label, it has: body, title, stars. Name it with --label_column."
        )
        assert refused(ValueError, load_own_texts, path, label_column="stars") == (
            f"{path} needs a column text, it has: body, title. Name it with --text_column."
        )
        assert refused(ValueError, load_own_texts, path, label_column="stars", text_column="stars") == (
            f"{path}: stars must be a column of text, got Value('int64')."
        )
        absent = tmp_path / "absent.csv"
        assert refused(FileNotFoundError, load_own_texts, absent) == f"There is no {absent}. {own_texts.SOURCES}."
        other = tmp_path / "r.xlsx"
        other.write_text("")
        assert refused(ValueError, load_own_texts, other) == (
            f"A file must be one of .csv, .tsv, .json, .jsonl, .parquet, got {other}. {own_texts.SOURCES}."
        )
        empty = tmp_path / "empty.parquet"
        Dataset.from_dict({"text": ["a", " ", "c"] * 4, "label": [1, 2, 3] * 4}).to_parquet(empty)
        assert refused(ValueError, load_own_texts, empty) == (
            f"{empty}, split train, row 1: there is no text. Leave such rows out."
        )
        numbers = write_csv(tmp_path / "n.csv", ["x", "label"], [[1, 1], [2, 2]])
        assert refused(ValueError, load_own_texts, numbers) == (
            f"{numbers} must have a column of text, its columns are x, label."
        )
        few = write_csv(tmp_path / "few.csv", ["text", "label", "split"], [["a", 0, "train"], ["b", 1, "test"]])
        assert refused(ValueError, load_own_texts, few) == (
            f"{few} has no validation split, and its 1 training rows are too few, or of too few groups, to cut one "
            "off. Say which rows are to validate on."
        )


class TestSounds:
    def test_a_folder_of_folders(self, tmp_path, caplog):
        for k in range(10):
            for grade in ("1 bad", "2 fair", "10 good"):
                write_tone(tmp_path / "sounds" / grade / f"{k}.wav", pitch=300 + k)
        with caplog.at_level(logging.WARNING):
            sounds, names = load_own_sounds(tmp_path / "sounds")
        assert names == ("1 bad", "2 fair", "10 good")
        assert "taken is that of their first numbers: 1 bad, 2 fair, 10 good." in caplog.text
        assert Counter(sounds["split"]) == {"train": 18, "validation": 6, "test": 6}
        assert Counter(sounds["label"]) == {0: 10, 1: 10, 2: 10}
        (row,) = sounds.with_transform(reader_of_sounds(RATE, 0.1)).select([3])
        assert row["audio"].shape == (800,)  # cut to a tenth of a second

    def test_a_folder_of_splits(self, tmp_path):
        for split in ("train", "val", "test"):
            for k, grade in enumerate(("low", "high")):
                write_tone(tmp_path / "s" / split / grade / "a.WAV", pitch=300 + 100 * k)
        sounds, names = load_own_sounds(tmp_path / "s", classes=["low", "high"])
        assert names == ("low", "high")
        assert Counter(sounds["split"]) == {"train": 2, "validation": 2, "test": 2}
        ends = [f"/{names[label]}/a.WAV" for label in sounds["label"]]
        assert [path.endswith(end) for path, end in zip(sounds["audio"], ends, strict=True)] == [True] * 6

    def test_a_file_of_paths(self, tmp_path):
        for k in range(12):
            write_tone(tmp_path / "wav" / f"{k}.wav")
        path = write_csv(tmp_path / "s.csv", ["path", "grade"], [[f"wav/{k}.wav", k % 2] for k in range(12)])
        sounds, names = load_own_sounds(path, label_column="grade")
        assert names == ("0", "1")
        read = reader_of_sounds(2 * RATE, 10)(sounds[:2])
        assert [sound.shape for sound in read["audio"]] == [(3200,), (3200,)]  # at twice the rate
        (tmp_path / "wav" / "3.wav").unlink()
        assert refused(FileNotFoundError, load_own_sounds, path, label_column="grade") == (
            f"1 of 12 sounds of {path} are absent, the first: {tmp_path / 'wav' / '3.wav'}. Paths are relative to "
            f"{tmp_path}."
        )

    def test_bytes_in_a_table(self, tmp_path):
        content = write_tone(tmp_path / "a.wav").read_bytes()
        table = Dataset.from_dict({"sound": [{"bytes": content, "path": None}] * 10, "label": [0, 1] * 5})
        table.cast_column("sound", Audio(decode=False)).save_to_disk(tmp_path / "saved")
        sounds, _ = load_own_sounds(tmp_path / "saved")
        assert sounds.column_names == ["audio", "label", "split"]
        assert reader_of_sounds(RATE, 10)(sounds[:1])["audio"][0].shape == (1600,)

    def test_what_is_refused(self, tmp_path):
        path = write_csv(tmp_path / "s.csv", ["where", "label"], [["a.wav", 0], ["b.wav", 1]])
        assert refused(ValueError, load_own_sounds, path) == (
            f"{path} needs a column audio or path or file or file_name, it has: where. Name it with --audio_column."
        )
        numbers = write_csv(tmp_path / "n.csv", ["x", "label"], [[1, 1], [2, 2]])
        assert refused(ValueError, load_own_sounds, numbers) == (
            f"{numbers} must have a column of sounds or paths, its columns are x, label."
        )
        holes = tmp_path / "holes.parquet"
        Dataset.from_dict({"audio": ["a.wav", None] * 5, "label": [0, 1] * 5}).to_parquet(holes)
        assert refused(ValueError, load_own_sounds, holes) == (
            f"{holes}, split train, row 1: there is no sound. Leave such rows out."
        )
        absent = tmp_path / "no" / "sounds"
        assert refused(FileNotFoundError, load_own_sounds, absent) == f"There is no {absent}. {own_sounds.SOURCES}."


class TestSoundFiles:
    @pytest.mark.parametrize("dtype", [np.int16, np.float32])
    def test_a_tone_comes_out_as_it_went_in(self, dtype, tmp_path):
        path = write_tone(tmp_path / "t.wav", dtype=dtype)
        expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(1600) / RATE)
        assert read_sound(path, None, RATE) == pytest.approx(expected, abs=0.51 / 2**15)  # rounded
        assert read_sound(None, path.read_bytes(), RATE).dtype == np.float32

    @pytest.mark.parametrize("width", [1, 3])
    def test_other_widths_and_two_channels(self, width, tmp_path):
        """Written byte by byte: the left channel is at half of full scale, the right one silent."""
        half = bytes([192]) if width == 1 else (2**22).to_bytes(3, "little", signed=True)
        silence = bytes([128]) if width == 1 else bytes(3)
        with wave.open(str(tmp_path / "w.wav"), "wb") as file:
            file.setparams((2, width, RATE, 0, "NONE", ""))
            file.writeframes((half + silence) * 100)
        assert read_sound(tmp_path / "w.wav", None, RATE) == pytest.approx(np.full(100, 0.25))

    def test_another_rate_keeps_the_pitch(self, tmp_path):
        sound = read_sound(write_tone(tmp_path / "t.wav", seconds=1), None, 16000)
        assert sound.shape == (16000,)
        assert np.abs(np.fft.rfft(sound)).argmax() == 440  # Hz, as it is of one second

    def test_what_is_refused(self, tmp_path):
        absent = tmp_path / "no.wav"
        assert refused(FileNotFoundError, read_sound, absent, None, RATE) == f"There is no sound {absent}."
        empty = write_tone(tmp_path / "e.wav", seconds=0)
        assert refused(ValueError, read_sound, empty, None, RATE) == f"{empty} must be a sound, it has no samples."

    def test_torchcodec_is_not_installed(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "torchcodec.decoders", None)
        message = refused(RuntimeError, read_sound, "a.mp3", b"ID3 of no use", RATE)
        assert re.fullmatch(
            r"a\.mp3 is no WAV file that can be read without torchcodec, which cannot be imported: .*\. Install "
            r"torchcodec \(and FFmpeg\), or convert the sounds to WAV\.",
            message,
        )


class TestTables:
    HEADER = ("x", "kind", "grade", "empty")

    def table(self, tmp_path, count=40):
        rows = [[k if k % 4 else "", "ab"[k % 2], ("low", "mid", "high")[k % 3], 1.5] for k in range(count)]
        return write_csv(tmp_path / "t.csv", self.HEADER, rows)

    def test_columns(self, tmp_path):
        path = self.table(tmp_path)
        rows, names = load_own_columns(path, label_column="grade", classes=["low", "mid", "high"])
        assert names == ("low", "mid", "high")
        assert rows.column_names == ["x", "kind", "empty", "label", "split"]
        rows, _ = load_own_columns(
            path, label_column="grade", classes=["low", "mid", "high"], feature_columns=["kind", "x"]
        )
        assert rows.column_names == ["kind", "x", "label", "split"]

    def test_what_cannot_be_encoded_is_left_out(self, tmp_path, caplog):
        path = tmp_path / "t.parquet"
        Dataset.from_dict({"x": [1.0, 2.0] * 9, "list": [[1], [2]] * 9, "label": [0, 1] * 9}).to_parquet(path)
        with caplog.at_level(logging.WARNING):
            rows, _ = load_own_columns(path)
        assert rows.column_names == ["x", "label", "split"]
        assert f"{path}: columns of neither numbers nor text are left out: list." in caplog.text

    def test_what_is_refused(self, tmp_path):
        path = self.table(tmp_path)
        said = refused(ValueError, load_own_columns, path, label_column="grade", feature_columns=["x", "grade", "y"])
        assert said == (
            f"{path}: feature_columns must be columns of numbers or text, but not of labels, groups or splits; grade, "
            "y are none. These are: x, kind, empty."
        )
        bare = write_csv(tmp_path / "b.csv", ["label"], [[0], [1]])
        assert refused(ValueError, load_own_columns, bare) == (
            f"{bare} must have a column of numbers or text, its columns are label."
        )
        absent = tmp_path / "absent.csv"
        assert refused(FileNotFoundError, load_own_columns, absent) == f"There is no {absent}. {own_columns.SOURCES}."


class TestColumnEncoder:
    TRAIN = Dataset.from_dict({"x": [1.0, None, 3.0], "same": [5, 5, 5], "kind": ["b", "a", None], "label": [0, 1, 0]})

    def test_by_hand(self):
        """x has the mean 2 and the deviation 1; `same` has the deviation 0."""
        encoder = ColumnEncoder.of_training(self.TRAIN)
        rows = Dataset.from_dict(
            {"x": [1.0, None, 4.0], "same": [5, 6, None], "kind": ["a", "c", None], "label": [1, 0, 1]}
        )
        encoded = encoder.encode(rows)
        # x, x is missing, same, kind is a, kind is b
        assert encoded["features"][:] == [[-1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [2, 0, 0, 0, 0]]
        assert encoded["label"][:] == [1, 0, 1]
        assert encoder.num_features == 5
        assert str(encoder) == (
            "2 columns of numbers, less their mean and divided by their standard deviation; missing values are the "
            "mean and marked in x; one column a value for kind (2)."
        )

    def test_saved_and_read(self, tmp_path):
        encoder = ColumnEncoder.of_training(self.TRAIN)
        encoder.save(tmp_path / "new" / "columns.json")
        again = ColumnEncoder(**json.loads((tmp_path / "new" / "columns.json").read_text()))
        assert again.encode(self.TRAIN)[:] == encoder.encode(self.TRAIN)[:]

    def test_what_is_refused(self):
        def of(**columns):
            count = len(next(iter(columns.values())))
            return Dataset.from_dict(columns | {"label": [0] * count})

        advice = "Name the columns to learn from with --feature_columns"
        missing = Dataset.from_dict(
            {"x": [None, None], "label": [0, 1]}, features=Features({"x": Value("float64"), "label": Value("int64")})
        )
        assert refused(ValueError, ColumnEncoder.of_training, missing) == (
            f"the column x has no value in the training rows. {advice}."
        )
        assert refused(ValueError, ColumnEncoder.of_training, of(x=[1.0, np.inf])) == (
            f"the column x has infinite values. {advice}."
        )
        assert refused(ValueError, ColumnEncoder.of_training, of(name=[f"{k}" for k in range(60)])) == (
            f"the column name has 60 different texts in 60 training rows, 1 to 50 can be told apart. {advice}, without "
            "it."
        )
        encoder = ColumnEncoder.of_training(of(x=[1.0, 2.0]))
        assert refused(ValueError, encoder.encode, of(x=[-np.inf])) == "the column x has infinite values."
