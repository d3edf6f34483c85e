"""`python -m squared_emd report`, within this process."""

import pytest
from tests.reports.run_folders import write_run

from squared_emd.__main__ import main


def test_report(tmp_path, capsys):
    write_run(tmp_path / "a" / "run")
    write_run(tmp_path / "b" / "run", loss="emd")
    main(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "Drawn faces, test fold, arranged as Table 1 (Adience)"
    assert printed.endswith(f"Written to {tmp_path / 'out'}: report.md, table.csv, runs.csv, figures: 0.\n")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.md", "runs.csv", "table.csv"]
    assert "2 runs, read from" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_what_the_user_can_mend_is_one_line(tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path / "none")])
    message = f"a folder with runs must exist; there is no folder {tmp_path / 'none'}; check its name"
    assert ended.value.code == f"squared-emd report: {message}"  # printed; the exit status is 1


def test_a_command_is_required(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "the following arguments are required: command" in capsys.readouterr().err
