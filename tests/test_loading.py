from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from kdray.config.sections import Training
from kdray.errors import ConfigError
from kdray.loading import load_sweep_config
from tests.spaces import space, told

ONE_MISTAKE = [
    ("distilation: {method: logit}", "distilation: unknown section; did you mean 'distillation'?"),
    ("3: {method: logit}", "3: unknown section; known: constrai"),
    ("training: {epoch: 3}", "training.epoch: unknown key; did you mean 'epochs'?"),
    ("training: {epochs: '3'}", "training.epochs: must be an integer, but got '3'; write it with"),
    ("training: {epochs: true}", "training.epochs: must be an integer, but got true"),
    ("training: 3", "training: must be a mapping, but got 3"),
    ("training: {uniform: [0, 1]}", "training: must be a mapping, but got a number from 0 to 1"),
    ("teacher: [a]", "teacher: must be a mapping, but got ['a']"),
    ("teacher: {model: null, training: null}", "teacher: a teacher without `model` must be train"),
    ("teacher: {model: ./nowhere}", "teacher.model: no such folder: /nowhere/nowhere"),
    ("student: {initial: ../model}", "student.initial: no such folder: /nowhere/../model"),
    ("evaluation: {thresholds: tune}", "evaluation.thresholds: must be 'fixed' or 'tuned', but"),
    ("name: my space", "name: must be letters, digits, '.', '_' and '-', and start with a letter"),
    ("name: 7", "name: must be letters, digits, '.', '_' and '-', and start with a letter or dig"),
    ("seed: -1", "seed: must be an integer of at least 0, but got -1"),
    ("seed: true", "seed: must be an integer of at least 0, but got true"),
    ("data: 3", "data: must be a mapping with a `source`, but got 3"),
    ("data: {labels: [a]}", "data.source: is required; known: files, hub, synthetic"),
    ("data: {source: file}", "data.source: no such source: 'file'; did you mean 'files'?"),
    ("data: {source: [files]}", "data.source: no such source: ['files']"),
    ("data: {source: synthetic, max_len: 8}", "data.max_len: unknown key; did you mean 'max_len"),
    ("data: {source: synthetic, labels: [spamm]}", "data.labels: no such label: 'spamm'; did you"),
    ("data: {source: synthetic, labels: spam}", "data.labels: must be a list of labels, but got"),
    ("data: {source: hub, name: x, labels: []}", "data.labels: must be a list of 0/1 columns, or"),
    ("data: {source: hub, name: x, labels: [a, a]}", "data: `text` and `labels` name the column"),
    ("data: {source: hub, name: x, labels: text}", "data: `text` and `labels` name the column 't"),
    ("data: {source: hub, name: x, labels: y, text: [a, b, c]}", "data.text: must be one column,"),
    ("data: {source: hub, labels: y}", "data.name: is required"),
    ("pruning: {ratio: 0.5}", "pruning.method: is required; known: ffn, gradient, "),
    ("pruning: {method: magnitud}", "pruning.method: no such method: 'magnitud'; did you mean 'm"),
    ("pruning: {method: {a: 1}}", "pruning.method: no such method: {'a': 1}"),
    ("pruning: none", "pruning: must be a mapping, but got 'none'"),
    ("pruning: {method: magnitude, ratio: 1.0}", "pruning.ratio: must be less than 1, but got 1."),
    ("pruning: {method: magnitude, ratio: -0.1}", "pruning.ratio: must be at least 0, but got -0"),
    (
        "pruning: {method: magnitude, ratio: {uniform: [0.5, 1.0]}}",
        "pruning.ratio: must be less than 1, but got 1.0",
    ),
    (
        "pruning: {method: {choice: [none, magnitude]}, ratoi: 0.5}",
        "pruning.ratoi: unknown key: none and magnitude take no such option; did you mean 'ratio'",
    ),
    ("pruning: {method: none, ratio: 0.5}", "pruning.ratio: unknown key: none takes no such opti"),
    ("distillation: [{method: logit}]", "distillation: must be a mapping, but got [{'method': "),
    ("distillation: {choice: []}", "distillation: choice takes a list of one or more options, bu"),
    (
        "distillation: {method: logit, alpha: {uniform: [0.9, 0.1]}}",
        "distillation.alpha: uniform needs low < high, but got [0.9, 0.1]",
    ),
    (
        "distillation: {method: logit, alpha: {unifrm: [0.1, 0.9]}}",
        "distillation.alpha: no such domain: 'unifrm'; did you mean 'uniform'?",
    ),
    ("distillation: {method: {choice: 3}}", "distillation.method: choice takes a list of one or"),
    (
        "distillation: {method: logit, label_alpha: {spamm: 0.5}}",
        "distillation.label_alpha.spamm: no such label; did you mean 'spam'?",
    ),
    (
        "distillation: {method: logit, class_weights: [1, 2]}",
        "distillation.class_weights: must have 5 weights, one a label, but got 2",
    ),
    (
        "teacher: {training: {class_weights: [1, 2]}}",
        "teacher.training.class_weights: must have 5 weights, one a label, but got 2",
    ),
    (
        "distillation: {method: hidden, layer_mapping: {5: 1}}",
        "distillation.layer_mapping: {5: 1} must lie within 4 teacher and 4 student",
    ),
    ("student: {layers: 5}", "student.layers: must be at most the teacher's 4, but got 5"),
    (
        "student: {layers: {choice: [1, 6]}}",
        "student.layers: must be at most the teacher's 4, but got 6",
    ),
    (
        "student: {initial: scratch, architecture: "
        "{hidden_size: {choice: [96, 128]}, heads: {choice: [2, 3]}}}",
        "student.architecture: hidden_size must be a multiple of heads, but got hidden_size=128,",
    ),
    ("seed: {choice: [1, 2]}", "seed: takes no domain: data and teacher are prepared once per sw"),
    ("data: {choice: [1, 2]}", "data: takes no domain: data and teacher are prepared once per sw"),
    ("teacher: {model: {choice: [a, b]}}", "teacher.model: takes no domain: data and teacher are"),
    ("search: {trials: {randint: [1, 3]}}", "search.trials: takes no domain: data and teacher ar"),
    ("objectives: [macro_f1]", "objectives: must map metrics to maximize or minimize, such as"),
    ("objectives: {macro_f2: maximize}", "objectives.macro_f2: no such metric; did you mean 'mac"),
    ("objectives: {size_mb: maximize}", "objectives.size_mb: must be 'minimize', but got 'maximi"),
    ("objectives: {f1_spamm: maximize}", "objectives.f1_spamm: no such metric; did you mean 'f1_"),
    ("constraints: {size: {maximum: 2}}", "constraints.size: no such metric; did you mean 'size"),
    ("constraints: {size_mb: {maximum: {uniform: [1, 2]}}}", "constraints.size_mb.maximum: takes"),
    ("constraints: {test_ece: {maximum: 1}}", "constraints.test_ece: is measured on test, which d"),
    ("search: {warm_start: runs/a}", "search.warm_start: must be a list, but got 'runs/a'"),
    ("search: {warm_start: [runs/a]}", "search.warm_start.0: no such folder: /nowhere/runs/a"),
    ("teacher: {verify: {metric: size_mb}}", "teacher.verify.metric: measures no quality: 'size_"),
    ("training: {epochs: 1, epochs: 2}", "training.epochs: stands twice; keep one of them"),
]


@pytest.mark.parametrize(("text", "message"), ONE_MISTAKE, ids=[text for text, _ in ONE_MISTAKE])
def test_one_mistake_is_one_problem_with_its_key_and_line(text: str, message: str) -> None:
    (problem,) = told(f"# a comment\n{text}\n")
    assert problem.startswith(f"line 2: {message}")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    found = told(
        """\
        nmae: x
        data:
          source: files
          train: missing.csv
          labels: [a, a]
        student: 3
        pruning:
          - {method: magnitude, ratio: 2}
          - {method: magnitud}
          - 4
          - {method: random, rato: 0.1}
        distillation:
          method: logit
          alpha: {uniform: 1}
          temperature: '4'
        training:
          epochs: 0
          epochs: 1
        objectives: {macro_f1: minimize}
        search: {trials: 0, points: [{training.epochs: 3}]}
        """
    )
    assert [problem.split(": ")[:2] for problem in found] == [
        ["line 1", "nmae"],
        ["line 2", "data"],
        ["line 4", "data.train"],
        ["line 6", "student"],
        ["line 8", "pruning.0.ratio"],
        ["line 9", "pruning.1.method"],
        ["line 10", "pruning.2"],
        ["line 11", "pruning.3.rato"],
        ["line 14", "distillation.alpha"],
        ["line 15", "distillation.temperature"],
        ["line 18", "training.epochs"],
        ["line 19", "objectives.macro_f1"],
        ["line 20", "search.trials"],
    ]


def test_the_error_names_the_file_and_counts_the_problems() -> None:
    with pytest.raises(ConfigError, match=r"^space\.yaml has 2 problems:\n  line 1: a: .*\n  lin"):
        space("a: 1\nb: 2")


def test_a_file_that_sets_nothing_but_its_name_has_a_whole_configuration() -> None:
    config = space("name: all-defaults")
    assert config.name == "all-defaults"
    assert config.objectives == {"macro_f1": "maximize", "size_mb": "minimize"}
    assert config.content["distillation"] == {"method": "logit"}


def test_constraints_are_written_down_without_what_they_leave_open() -> None:
    config = space("constraints: {size_mb: {maximum: 2}}")
    assert config.constraints == {"size_mb": {"maximum": 2.0}}
    assert config.content["constraints"] == {"size_mb": {"maximum": 2.0}}
    assert space("seed: 1").constraints == {}
    assert space(yaml.safe_dump(dict(config.content))) == config


def test_a_section_that_is_null_has_its_defaults() -> None:
    assert space("training:\nteacher: null").content["training"] == Training().model_dump()


def test_a_sweep_without_a_name_is_named_after_its_file(tmp_path: Path) -> None:
    file = tmp_path / "my space (2).yaml"
    file.write_text("seed: 3\n")
    assert load_sweep_config(file).name == "my-space-2"


@pytest.mark.parametrize("value", ["no", "on", "2024-05-01", "y"])
def test_a_label_may_be_a_word_that_yaml_1_1_takes_for_something_else(
    tmp_path: Path, value: str
) -> None:
    (tmp_path / "x.csv").write_text("text\n")
    config = space(f"data: {{source: files, train: x.csv, labels: [{value}]}}", tmp_path)
    assert config.data.labels == [value]


def test_numbers_in_scientific_notation_are_numbers() -> None:
    config = space("training: {learning_rate: {loguniform: [1e-4, 2e-3]}, weight_decay: 1e-2}")
    assert config.draw(lambda name, path, domain: 5e-4).parameters == {
        "training.learning_rate": 5e-4
    }


def test_paths_in_a_file_start_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spaces"
    folder.mkdir()
    (folder / "x.csv").write_text("text,a\n")
    (folder / "model").mkdir()
    (folder / "space.yaml").write_text(
        "data: {source: files, train: x.csv, labels: [a]}\n"
        "student: {initial: {choice: [teacher_layers, model, org/other]}}\n"
    )
    monkeypatch.chdir(tmp_path)
    config = load_sweep_config("spaces/space.yaml")
    assert config.base == folder
    assert config.space["student"]["initial"].options == (
        "teacher_layers",
        str(folder / "model"),
        "org/other",
    )
    assert config.content["data"]["train"] == "x.csv"


def test_a_missing_file_is_named_with_the_way_to_give_another() -> None:
    (problem,) = told("data: {source: files, train: x.csv, labels: [a]}")
    assert problem == (
        "line 1: data.train: no such file: /nowhere/x.csv; the head of the search-space file says "
        "where its data come from, and --set data.train=PATH points at a file of your own"
    )


def test_the_command_line_gives_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("text,a\n")
    (tmp_path / "spaces").mkdir()
    file = tmp_path / "spaces" / "space.yaml"
    file.write_text("data: {source: files, train: x.csv, labels: [a]}\n")
    config = load_sweep_config(file, ["data.train=mine.csv"])
    assert config.content["data"]["train"] == str(tmp_path / "mine.csv")


def test_the_f1_of_a_class_is_an_objective_before_the_classes_are_known(tmp_path: Path) -> None:
    text = """\
        data: {source: hub, name: org/data, labels: topic}
        objectives: {f1_sports: maximize}
        teacher: {verify: {metric: f1_sports}}
        """
    assert space(text).objectives == {"f1_sports": "maximize"}
    (problem,) = told(text.replace("objectives: {f1_sports: max", "objectives: {f1_sports: min"))
    assert "objectives.f1_sports: must be 'maximize', but got 'minimize'" in problem


def test_wrong_data_cause_no_problem_in_objectives_or_points() -> None:
    text = "data: {source: file}\nobjectives: {f1_x: maximize}\nteacher: {verify: {metric: f1_x}}"
    assert len(told(text)) == 1


def test_what_the_command_line_sets_wrongly_has_no_line(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("training:\n  epochs: 3\n")
    with pytest.raises(ConfigError) as caught:
        load_sweep_config(file, ["training.epochs=0"])
    assert str(caught.value.problems[0]) == "training.epochs: must be at least 1, but got 0"


def test_a_space_survives_being_written_and_read_again(tmp_path: Path) -> None:
    text = dedent(
        """\
        name: again
        pruning: {method: {choice: [none, random]}, ratio: {uniform: [0.1, 0.2]}}
        search: {sampler: nsga2}
        """
    )
    written = yaml.safe_dump(dict(space(text).content), sort_keys=False)
    assert space(written) == space(text)
