"""CSV files as spreadsheets, pandas and R write them, read as a table to learn from."""

import pandas as pd
import pytest
from tests.errors import message_of

from squared_emd.data.labeled_data import load_labeled_data

SUPPORTED = (
    "Own tables are a .csv, .tsv, .json, .jsonl, .parquet file with columns to learn from and one of labels, a folder "
    "that load_from_disk or load_dataset reads, or a dataset of the Hub."
)


def write(path, header, *rows, times=5, encoding="utf-8"):
    path.write_bytes("\n".join([header, *rows * times, ""]).encode(encoding))
    return path


def messages(caplog):
    """Without those about the splits that are made, and about equal rows."""
    return [text for text in caplog.messages if " split: " not in text and "copies of others" not in text]


@pytest.mark.parametrize(
    ("name", "encoding", "lines", "x", "kind"),
    [
        ("comma.csv", "utf-8", ("x,kind,label", '1.5,"a;b;c",None', "-2,,mild"), [1.5, -2], ["a;b;c", None]),
        ("semicolon.csv", "utf-8-sig", ("x;kind;label", '1,5;"a, b";None', "-2;c;mild"), [1.5, -2], ["a, b", "c"]),
        ("tab.csv", "utf-8", ("x\tkind\tlabel", "1.5\ta, b;c\tNone", "-2\tc\tmild"), [1.5, -2], ["a, b;c", "c"]),
        ("other.tsv", "utf-8", ("x,kind,label", "1.5,a,None", "-2,c,mild"), [1.5, -2], ["a", "c"]),
        ("spreadsheet.csv", "utf-16", ("x\tkind\tlabel", "1.5\tä\tNone", "-2\tc\tmild"), [1.5, -2], ["ä", "c"]),
        ("spaces.csv", "utf-8", ("x; kind ; label", "1,5; a;None", "2; b;mild"), [1.5, 2], ["a", "b"]),
        ("holes.csv", "utf-8", ("x,kind,label", "1.5,NA,None", "n/a,null,mild"), [1.5, None], ["NA", "null"]),
        ("dots.csv", "utf-8", ("x;kind;label", "1.234,5;1.234;None", "NA;1,5;mild"), [1234.5, None], ["1.234", "1,5"]),
        ("points.csv", "utf-8", ("x;kind;label", "1.234;12.34,5;None", "-2;b;mild"), [1.234, -2], ["12.34,5", "b"]),
        ("named.csv", "utf-8-sig", ("sep=;", "x;kind;label", "1,5;a,c;None", "-2;b;mild"), [1.5, -2], ["a,c", "b"]),
        ("pipes.csv", "utf-16", ('"sep=|"', "x|kind|label", "1.5|a|None", "-2|b|mild"), [1.5, -2], ["a", "b"]),
        ("booleans.csv", "utf-8", ("x,kind,label", "TRUE,a,None", "false,b,mild"), [True, False], ["a", "b"]),
        ("short.csv", "utf-8", ("kind,label,x", "a,None,1", "b,mild"), [1, None], ["a", "b"]),
    ],
)
def test_what_is_read(name, encoding, lines, x, kind, tmp_path):
    head = 2 if "sep=" in lines[0] else 1
    path = write(tmp_path / name, "\n".join(lines[:head]), *lines[head:], encoding=encoding)
    dataset = load_labeled_data(path, "tables", classes=["None", "mild"]).dataset
    assert sorted(dataset.column_names) == ["kind", "label", "split", "x"]
    assert (dataset["x"][:2], dataset["kind"][:2], dataset["label"][:2]) == (x, kind, [0, 1])


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n\n"])
def test_ends_of_lines(end, tmp_path):
    (tmp_path / "t.csv").write_bytes(end.join(["x;label", *['"a\nb";low', "c;high"] * 5]).encode())
    assert load_labeled_data(tmp_path / "t.csv", "tables", classes=["low", "high"]).dataset["x"][:2] == ["a\nb", "c"]


def test_a_folder_of_files(tmp_path):
    """Types are those of all files together: the first has numbers only."""
    for split, lines in {"train": ("x;label", "1,5;None", "2;1"), "validation": ("x;label", "a;1"),
                         "test": ("x;label", "4;None")}.items():  # fmt: skip
        write(tmp_path / f"{split}.csv", *lines, times=2)
    dataset = load_labeled_data(tmp_path, "tables", classes=["None", "1"]).dataset
    assert dataset["x"][:] == ["1,5", "2", "1,5", "2", "a", "a", "4", "4"]
    assert dataset["label"][:] == [0, 1, 0, 1, 1, 1, 0, 0]
    assert dataset["split"][:] == ["train"] * 4 + ["validation"] * 2 + ["test"] * 2


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("x,kind,x,label", "1,a,2,low"), "the header has a column x twice: rename or remove one"),
        (("x,label", "1,low", "x,label", "2,high"), "row 1 is the header once more: remove it"),
        (("x,label", "1,low", "1,2,high"), "Error tokenizing data. C error: Expected 2 fields in line 3, saw 3\n"),
        (("x,label", "1,ä"), "'utf-8' codec can't decode byte 0xe4 in position 10: invalid continuation byte: save the "
         "file as CSV UTF-8"),
    ],
)  # fmt: skip
def test_tables_that_are_none(lines, reason, tmp_path):
    path = write(tmp_path / "t.csv", *lines, encoding="cp1252")
    assert message_of(ValueError, load_labeled_data, path, "tables") == (
        f"{path} cannot be loaded as a dataset: {reason}. {SUPPORTED}"
    )


def test_an_index_is_no_input(tmp_path, caplog):
    """Of sorted rows the number alone tells the class."""
    table = pd.DataFrame({"x": [0.25, 0.5] * 10, "label": [1] * 10 + [2] * 10})
    table.to_csv(tmp_path / "t.csv")
    assert load_labeled_data(tmp_path / "t.csv", "tables").dataset.column_names == ["x", "label", "split"]
    assert messages(caplog) == [
        f"{tmp_path / 't.csv'}: columns that number or name the rows are left out: Unnamed: 0. To learn from them, "
        "name all inputs with --feature_columns."
    ]
    chosen = load_labeled_data(tmp_path / "t.csv", "tables", columns=["Unnamed: 0"])
    assert chosen.dataset["Unnamed: 0"][:] == list(range(20))


def test_labels_with_decimal_commas(tmp_path):
    """Labels are text as it stands in the file."""
    path = write(tmp_path / "t.csv", "x;label", "1,5;1,5", "2;1,0")
    dataset, names = load_labeled_data(path, "tables", classes=["1,0", "1,5"])
    assert (dataset["x"][:2], dataset["label"][:2], names) == ([1.5, 2], [1, 0], ("1,0", "1,5"))


class TestNone:
    """A class called None, NA, n/a or null."""

    @pytest.mark.parametrize("name", ["None", "NA", "n/a", "null", "nan"])
    def test_without_other_missing_labels_it_is_a_class(self, name, tmp_path, caplog):
        path = write(tmp_path / "t.csv", "text,label", f"a,{name}", "b,severe", times=10)
        dataset, names = load_labeled_data(path, "texts")
        assert names == tuple(sorted([name, "severe"])) and dataset["label"][:].count(names.index(name)) == 10
        assert messages(caplog)[0] == (
            f"{path}: the label '{name}' is taken for a class, of 10 rows. If it means that there is no label, list "
            "the classes in their order with --classes (classes=...), without it."
        )

    def test_beside_missing_labels_it_must_be_listed(self, tmp_path, caplog):
        path = write(tmp_path / "t.csv", "text,label", "a,None", "b,severe", "c,", "d,mild", times=8)
        assert message_of(ValueError, load_labeled_data, path, "texts") == (
            f"{path}: 8 labels are empty, 8 are 'None'. If that is a class, list the classes in their order with "
            "--classes (classes=...), it among them; if it means that there is no label, without it."
        )
        options = {"columns": "text", "skip_incomplete": True}
        loaded = load_labeled_data(path, "texts", classes=["None", "mild", "severe"], **options)
        assert loaded.dataset["label"][:] == [0, 2, 1] * 8
        loaded = load_labeled_data(path, "texts", classes=["mild", "severe"], **options)
        assert loaded.dataset["label"][:] == [1, 0] * 8
        assert messages(caplog) == [
            f"{path}: 8 of 32 rows without a label are left out.",
            f"{path}: 16 of 32 rows without a label but 'None' are left out.",
        ]

    def test_among_numbers_it_is_no_label(self, tmp_path, caplog):
        path = write(tmp_path / "t.csv", "text,label", *(f't,"{k}"' for k in (*range(1, 10), "10,0")), "t,NA", times=3)
        with pytest.raises(ValueError, match=r"there is no label but 'NA' \(in 3 of 33 rows\)\. Remove such rows, or"):
            load_labeled_data(path, "texts")
        caplog.clear()
        loaded = load_labeled_data(path, "texts", skip_incomplete=True, needs_order=True)
        assert loaded.class_names == (*"123456789", "10,0") and len(loaded.dataset) == 30
        assert messages(caplog)[0] == (
            f"{path}: the label 'NA', of 3 rows, is taken for a missing one, as all others are numbers. If it is a "
            "class, list the classes in their order with --classes (classes=...), it among them."
        )
