import pytest
import torch

from kdray.data.base import Labels
from kdray.errors import ConfigError
from kdray.models.building import freeze, thaw
from kdray.models.classifier import change_classifier
from kdray.models.stored import load_classifier, load_start
from kdray.models.student import CARD, PACKED, Student, load_student, save_student
from tests import tiny
from tests.models.probe import logits


def saved(model, folder):
    model.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return str(folder)


def test_a_fine_tuned_classifier_is_loaded_with_its_head(tmp_path):
    model = tiny.model()
    loaded, tokenizer = load_classifier(saved(model, tmp_path), "teacher.model", tiny.MULTI, False)
    assert torch.equal(logits(loaded), logits(model))
    assert tokenizer("you")["input_ids"] == tiny.tokenizer()("you")["input_ids"]


def test_a_classifier_stored_in_half_precision_is_loaded_in_float32(tmp_path):
    folder = saved(tiny.model().half(), tmp_path)
    loaded, _ = load_classifier(folder, "teacher.model", tiny.MULTI, False)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_a_classifier_without_label_names_takes_those_of_the_data(tmp_path):
    unnamed = Labels(("LABEL_0", "LABEL_1", "LABEL_2"), "multi_label")
    folder = saved(tiny.model(unnamed), tmp_path)
    loaded, _ = load_classifier(folder, "teacher.model", tiny.MULTI, False)
    assert loaded.config.id2label == dict(enumerate(tiny.MULTI.names))


@pytest.mark.parametrize(
    "names", [("threat", "bully", "spam"), ("bully", "threat")], ids=["order", "count"]
)
def test_a_classifier_with_other_labels_than_the_data_is_refused(names, tmp_path):
    folder = saved(tiny.model(Labels(names, "multi_label")), tmp_path)
    with pytest.raises(ConfigError, match=r"teacher\.model.*in this order"):
        load_classifier(folder, "teacher.model", tiny.MULTI, False)


def test_a_classifier_that_will_be_trained_gets_a_head_of_the_right_size(tmp_path):
    folder = saved(tiny.model(Labels(("yes", "no"), "single_label")), tmp_path)
    loaded, _ = load_classifier(folder, "teacher.model", tiny.MULTI, True)
    assert logits(loaded).shape == (2, 3)
    assert loaded.config.problem_type == "multi_label_classification"


def test_a_folder_without_a_model_is_a_problem_of_its_key(tmp_path):
    with pytest.raises(ConfigError, match=r"student\.initial: .*cannot be loaded: \S"):
        load_classifier(str(tmp_path), "student.initial", tiny.MULTI, False)


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(tmp_path):
    model = tiny.model()
    model.resize_token_embeddings(30)
    with pytest.raises(ConfigError, match="tokenizer has 64 tokens, but it embeds only 30"):
        load_classifier(saved(model, tmp_path), "teacher.model", tiny.MULTI, False)


def stored(folder, labels=tiny.MULTI):
    """A student in kdray's own format: it reads the mean, through two layers, in int8."""
    model = tiny.model(labels)
    change_classifier(model, "mean", hidden=6)
    save_student(Student(model, tiny.tokenizer(), labels, 24, number_format="int8"), folder)
    assert (folder / PACKED).exists()
    return str(folder)


@pytest.mark.parametrize("new_head", [False, True])
def test_a_stored_student_is_a_classifier_as_it_is(new_head, tmp_path):
    loaded, tokenizer = load_classifier(stored(tmp_path), "teacher.model", tiny.MULTI, new_head)
    assert torch.equal(logits(loaded), logits(load_student(tmp_path).model))
    assert torch.equal(logits(thaw(freeze(loaded))), logits(loaded))
    assert not loaded.training
    assert tokenizer("you")["input_ids"] == tiny.tokenizer()("you")["input_ids"]


@pytest.mark.parametrize("new_head", [False, True])
def test_a_stored_student_with_other_labels_gets_no_new_head(new_head, tmp_path):
    folder = stored(tmp_path, Labels(("yes", "no"), "single_label"))
    with pytest.raises(ConfigError, match=r"teacher\.model.*in this order.*gets no new head"):
        load_classifier(folder, "teacher.model", tiny.MULTI, new_head)


def test_a_stored_student_whose_card_is_gone_is_a_problem_of_its_key(tmp_path):
    folder = stored(tmp_path)
    (tmp_path / CARD).unlink()
    with pytest.raises(ConfigError, match=r"teacher\.model: .*cannot be loaded: .*kdray\.json"):
        load_classifier(folder, "teacher.model", tiny.MULTI, False)


@pytest.mark.parametrize(
    ("labels", "missing"),
    [(tiny.MULTI, ()), (Labels(("yes", "no"), "single_label"), ("bias", "weight"))],
    ids=["as it is", "other labels"],
)
def test_a_start_tells_which_parameters_its_weights_lack(labels, missing, tmp_path):
    start, tokenizer = load_start(
        saved(tiny.model(labels), tmp_path), "student.initial", tiny.MULTI
    )
    assert start.missing == tuple(f"classifier.{name}" for name in missing)
    assert len(tokenizer) == tiny.VOCABULARY
