"""`kdray init` on the made-up corpus, written as a user's files."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from kdray import cli
from kdray.commands.init import Wishes, write_first_space
from kdray.commands.spaces import validate_space
from kdray.commands.speaking import Voice
from kdray.config.loading import read_document
from kdray.config.search import Search
from kdray.data.corpus import LABELS, make_corpus
from kdray.errors import ConfigError
from kdray.json_schema import search_space_schema
from kdray.loading import load_sweep_config
from kdray.schema import SweepConfig

Written = Callable[..., SweepConfig]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of comments: multi-label, with files of all splits; and of one class each."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "comments"
    folder.mkdir()
    corpus = make_corpus(400, 0)
    for name, part in {"train": corpus[:300], "dev": corpus[300:350], "test": corpus[350:]}.items():
        part.assign(id=range(len(part)), never=0).to_csv(folder / f"{name}.csv", index=False)
    kind = corpus[LABELS[0]].map({0: "fine", 1: "rude"})
    single = pd.DataFrame({"comment": corpus["text"], "kind": kind})
    single.to_json(folder / "moods.jsonl", orient="records", lines=True)
    return folder


@pytest.fixture
def written(files: Path) -> Written:
    """Writes a space without a terminal and loads it."""

    def write(file: str | None = "space.yaml", **wishes: str) -> SweepConfig:
        write_first_space(None if file is None else Path(file), Wishes(**wishes), None, False)
        return load_sweep_config(file or "comments.yaml")

    return write


def test_label_columns_and_the_other_splits_are_seen(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    config = written(None, data="comments/train.csv")
    assert config.name == "comments"
    assert config.data.text == "text"
    assert config.data.labels == list(LABELS)
    data = config.content["data"]
    assert (data["train"], data["validation"]) == ("comments/train.csv", "comments/dev.csv")
    assert data["max_length"] == 32
    said = capsys.readouterr().out
    assert "300 train, 50 validation, 50 test rows; texts in text; 5 columns of 0 and 1" in said
    assert "written: comments.yaml\nnext: kdray validate comments.yaml" in said


def test_a_column_of_classes_is_seen_and_paths_start_from_the_file(written: Written) -> None:
    Path("spaces").mkdir()
    config = written("spaces/moods.yaml", data="comments/moods.jsonl")
    assert config.name == "moods"
    assert config.content["data"]["train"] == "../comments/moods.jsonl"
    assert (config.data.text, config.data.labels) == ("comment", "kind")
    assert config.content["data"]["test"] is None


def test_flags_win_over_what_is_seen(written: Written) -> None:
    flags = {"text": "text", "labels": f"{LABELS[1]}, {LABELS[0]}", "budget": "5 trials"}
    config = written(data="comments/train.csv", name="mine", **flags)
    assert config.data.labels == [LABELS[1], LABELS[0]]
    assert (config.name, config.search.trials) == ("mine", 5)


def test_without_data_the_comments_are_made_up(written: Written) -> None:
    config = written()
    assert config.content["data"]["source"] == "synthetic"
    assert config.search.trials == Search().trials
    assert config.teacher.model is None


def teacher(folder: Path, *names: str) -> str:
    """Writes the configuration of a classifier of these labels, of 12 layers."""
    folder.mkdir()
    settings = {
        "model_type": "bert",
        "num_hidden_layers": 12,
        "architectures": ["BertForSequenceClassification"],
        "id2label": dict(enumerate(names)),
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return str(folder)


def test_a_teacher_that_predicts_the_labels_is_taken_as_it_is_in_its_order(
    written: Written, tmp_path: Path
) -> None:
    names = list(reversed(LABELS))
    config = written(data="comments/train.csv", teacher=teacher(tmp_path / "bert", *names))
    assert config.content["teacher"]["model"] == "./bert"
    assert config.teacher.training is None
    assert config.data.labels == names
    assert config.content["student"]["layers"] == {"choice": [3, 4, 6, 9]}


@pytest.mark.parametrize(
    "names", [("joy", "anger"), ("LABEL_0", "LABEL_1"), ("rude", "fine")], ids=" ".join
)
def test_a_teacher_of_other_labels_is_fine_tuned_with_care(
    written: Written, tmp_path: Path, names: tuple[str, ...]
) -> None:
    config = written(data="comments/train.csv", teacher=teacher(tmp_path / "bert", *names))
    assert config.teacher.training is not None
    assert config.teacher.training.learning_rate == 5e-5


def test_labels_without_names_are_as_many_as_the_classes(written: Written, tmp_path: Path) -> None:
    unnamed = teacher(tmp_path / "bert", "LABEL_0", "LABEL_1")
    assert written(data="comments/moods.jsonl", teacher=unnamed).teacher.training is None
    other = teacher(tmp_path / "other", "rude", "fine")  # the file has them in order
    tuned = written("other.yaml", data="comments/moods.jsonl", teacher=other)
    assert tuned.teacher.training is not None


def test_a_teacher_that_is_not_to_be_reached_is_believed_and_said_to_be_unknown(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    config = written(data="comments/train.csv", teacher="org/model", budget="2h")
    assert config.teacher.model == "org/model"
    assert config.content["student"] == config.content["student"] | {"initial": "teacher_layers"}
    assert config.search.time_budget_s == 7200
    unknown = "could not be reached, so nothing is known of it"
    printed = capsys.readouterr()
    assert f"teacher: org/model {unknown}" in printed.out
    assert "fine-tuned first" not in printed.out
    assert "retry" not in (printed.out + printed.err).lower()
    assert unknown in " ".join(Path("space.yaml").read_text().replace("#", "").split())


def test_a_file_that_is_there_is_not_overwritten_without_force(written: Written) -> None:
    Path("space.yaml").write_text("mine\n")
    with pytest.raises(ConfigError, match=r"space\.yaml: is there already; .*--force"):
        written()
    assert Path("space.yaml").read_text() == "mine\n"
    write_first_space(Path("space.yaml"), Wishes(), None, force=True)
    assert load_sweep_config("space.yaml").name == "space"


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"data": "train.txt"}, "--data: must be a file that ends in .csv, .parquet, .jsonl, but"),
        ({"data": "no.csv"}, "--data: 'no.csv' does not exist; name a file that does"),
        ({"data": "comments/train.csv", "text": "txt"}, "--text: the data have no column 'txt'; d"),
        ({"data": "comments/train.csv", "labels": "spamm"}, "--labels: .* did you mean 'spam'"),
        ({"data": "comments/bare.csv"}, "--labels: cannot be seen in the data; name them: text, a"),
        ({"data": "comments/train.csv", "labels": "spam,never"}, "label 'never' never occurs"),
        ({"budget": "soon"}, "--budget: must be a time"),
        ({"teacher": "./nowhere"}, "teacher.model: no such folder"),
    ],
)
def test_a_mistake_is_told_by_its_flag_and_nothing_is_written(
    written: Written, files: Path, wishes: dict[str, str], message: str
) -> None:
    (files / "bare.csv").write_text("text,a,b\nx,1,z\ny,1,z\n")
    with pytest.raises(ConfigError, match=message):
        written(**wishes)
    assert not Path("space.yaml").exists()


def test_in_a_terminal_what_flags_do_not_say_is_asked(files: Path) -> None:
    asked: dict[str, str] = {}

    def ask(question: str, proposal: str) -> str:
        asked[question.split(",", maxsplit=1)[0].split(" (", maxsplit=1)[0]] = proposal
        return "7 trials" if question.startswith("Budget") else proposal

    write_first_space(Path("a.yaml"), Wishes(data="comments/train.csv"), ask, False)
    assert asked == {
        "Column of the texts": "text",
        "Columns of the labels": ",".join(LABELS),
        "Budget": f"{Search().trials} trials",
        "Teacher": "",
    }
    assert load_sweep_config("a.yaml").search.trials == 7


def test_in_a_terminal_a_wrong_answer_is_asked_again_without_a_flag_that_nobody_typed(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {
        "Training": ["no.csv", "comments/train.csv"],
        "Column of": ["txt", "text"],
        "Columns": ["spamm", ",".join(LABELS)],
        "Budget": ["soon", "7 trials"],
        "Teacher": ["./nowhere", ""],
    }

    def ask(question: str, proposal: str) -> str:
        return next(answers for start, answers in said.items() if question.startswith(start)).pop(0)

    write_first_space(Path("a.yaml"), Wishes(), ask, False)
    assert not any(said.values())
    assert load_sweep_config("a.yaml").search.trials == 7
    printed = capsys.readouterr().out
    assert "'no.csv' does not exist" in printed
    assert "no column 'txt'" in printed
    assert "must be a time or a number of trials" in printed
    assert "--" not in printed.split("written:")[0]


def test_without_a_terminal_nothing_is_asked(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["kdray", "init", "--data", "comments/moods.jsonl"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert "written: moods.yaml" in capsys.readouterr().out


def test_every_section_says_why_and_the_schema_takes_it(written: Written) -> None:
    written()
    text = Path("space.yaml").read_text()
    for section in text.split("\n\n")[2:]:
        assert section.startswith("# "), section
    assert "# Weight of the teacher; labels get 1 - alpha." in text
    assert max(map(len, text.splitlines())) <= 110
    content = json.loads(json.dumps(read_document(Path("space.yaml")).content))
    assert Draft202012Validator(search_space_schema()).is_valid(content)


@pytest.mark.slow
def test_what_is_written_passes_validate(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    written(data="comments/train.csv")
    validate_space(Path("space.yaml"), [], Voice())
    assert "magnitude, multi_level: ok" in capsys.readouterr().out


@pytest.mark.slow
def test_a_time_is_filled_with_trials_whose_methods_were_tried_as_validate_does(
    written: Written,
) -> None:
    config = written(data="comments/moods.jsonl", budget="1h")
    assert config.search.time_budget_s == 3600
    assert 8 <= config.search.trials <= 200
    assert " (measured on a tiny batch), so about" in Path("space.yaml").read_text()
