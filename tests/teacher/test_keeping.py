import json

import numpy as np
import pytest
import torch

from kdray.models.outputs import NOTHING, Needs
from kdray.results.folder import SweepFolder
from kdray.teacher.files import MappedFile
from kdray.teacher.keeping import Place
from kdray.teacher.layout import output_names
from tests import tiny
from tests.teacher.asked import LAYERS, NEEDS, asked, kept, read

NAMES = set(output_names(NEEDS))
MORE = NEEDS | Needs(frozenset({1}))


def place(output, name="sweep", **room):
    folder = SweepFolder(output / name)
    folder.teacher.mkdir(parents=True, exist_ok=True)
    return Place(folder, **room)


def files(place):
    return {file.name for file in place.folder.teacher_outputs.iterdir()}


def same(one, other):
    assert one.columns.keys() == other.columns.keys()
    return all(np.array_equal(one.array(name), other.array(name)) for name in one.columns)


def silent():
    """A teacher that must not be asked."""
    model = tiny.model()
    model.register_forward_pre_hook(lambda *_: pytest.fail("the teacher was run"))
    return model


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_the_outputs_are_the_same_wherever_they_are_kept(tmp_path, where):
    here, there = kept(asked(), where), kept(asked(), where, place(tmp_path))
    assert same(here, there)
    rows = np.array([5, 0])
    assert torch.equal(read(here, rows, 6).hidden[2], read(there, rows, 6).hidden[2])
    assert set(getattr(there.plan, where)) == NAMES


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_nothing_that_is_kept_can_be_written_to(tmp_path, where):
    for outputs in (kept(asked(), where), kept(asked(), where, place(tmp_path))):
        for name in NAMES:
            with pytest.raises(ValueError, match="read-only"):
                outputs.array(name)[0] = 0


def test_in_memory_goes_the_content_and_from_disk_the_path(tmp_path):
    in_memory = kept(asked(), "memory", place(tmp_path))
    on_disk = kept(asked(), "disk", place(tmp_path))
    assert all(isinstance(column, np.ndarray) for column in in_memory.columns.values())
    assert all(isinstance(column, MappedFile) for column in on_disk.columns.values())


def test_each_output_is_a_file_beside_the_key_also_when_it_is_kept_in_memory(tmp_path):
    there = place(tmp_path)
    kept(asked(), "memory", there)
    assert files(there) == {"key.json", *(f"{name}.npy" for name in NAMES)}
    key = json.loads((there.folder.teacher_outputs / "key.json").read_text())
    assert key == {"key": "key-readable"}


def test_off_asks_nothing_and_writes_nothing(tmp_path):
    there = place(tmp_path)
    for outputs in (kept(asked(silent()), "off"), kept(asked(silent()), "off", there)):
        assert not outputs.columns
        assert outputs.forward_examples == 0
        assert set(outputs.plan.in_loop) == NAMES
    assert not there.folder.teacher_outputs.exists()


def test_what_does_not_fit_the_budget_is_left_to_the_loop(tmp_path):
    # The logits take 72 bytes, an attention 278 bytes, a layer's hidden states 864 bytes.
    outputs = kept(asked(needs=LAYERS), "disk", place(tmp_path), budget_mb=0.0007)
    assert outputs.plan.disk == ("logits", "attentions.1", "attentions.2")
    assert outputs.plan.in_loop == ("hidden.0", "hidden.2")
    assert outputs.columns.keys() == {"logits", "attentions.1", "attentions.2"}


def test_a_full_object_store_sends_the_rest_to_disk(tmp_path):
    outputs = kept(asked(needs=LAYERS), "auto", place(tmp_path, store_bytes=1300))
    assert outputs.plan.memory == ("logits", "attentions.1", "attentions.2")
    assert outputs.plan.disk == ("hidden.0", "hidden.2")


def test_what_is_on_disk_is_not_computed_again(tmp_path):
    first = kept(asked(), "memory", place(tmp_path))
    times = {file: file.stat().st_mtime_ns for file in first_files(tmp_path)}
    again = kept(asked(silent()), "disk", place(tmp_path))
    assert same(first, again)
    assert (first.forward_examples, again.forward_examples) == (6, 0)
    assert not again.reused
    assert times == {file: file.stat().st_mtime_ns for file in first_files(tmp_path)}


def first_files(output):
    return sorted((output / "sweep" / "teacher" / "outputs").iterdir())


def test_a_second_sweep_takes_the_outputs_of_the_first(tmp_path):
    first = kept(asked(), "disk", place(tmp_path))
    second = kept(asked(silent()), "disk", place(tmp_path, "second"))
    assert same(first, second)
    assert second.reused
    assert second.forward_examples == 0
    for name in NAMES:
        assert second.columns[name].path.samefile(first.columns[name].path)
        assert second.columns[name].path.is_relative_to(tmp_path / "second")


def test_only_what_no_sweep_has_is_computed(tmp_path):
    kept(asked(), "disk", place(tmp_path))
    model, shown = tiny.model(), []
    model.register_forward_pre_hook(
        lambda _, args, inputs: shown.append(inputs["output_attentions"]), with_kwargs=True
    )
    second = kept(asked(model, needs=MORE), "disk", place(tmp_path, "second"))
    assert second.reused
    assert second.forward_examples == 6
    assert shown
    assert not any(shown)
    assert same(second, kept(asked(needs=MORE)))


def test_outputs_are_only_taken_if_they_are_the_same_to_the_last_bit(tmp_path):
    # The attention that can be read is computed in another way than the fastest.
    kept(asked(), "disk", place(tmp_path))
    second = kept(asked(needs=Needs(frozenset({2}))), "disk", place(tmp_path, "second"))
    assert not second.reused
    assert same(second, kept(asked(needs=Needs(frozenset({2})))))


def test_outputs_of_another_teacher_or_other_texts_are_not_taken(tmp_path):
    kept(asked(key="another"), "disk", place(tmp_path))
    second = kept(asked(), "disk", place(tmp_path, "second"))
    assert not second.reused
    assert second.forward_examples == 6


def test_outputs_of_another_teacher_are_replaced(tmp_path):
    there = place(tmp_path)
    kept(asked(tiny.model(seed=1), key="another", needs=MORE), "disk", there)
    again = kept(asked(), "disk", there)
    assert again.forward_examples == 6
    assert same(again, kept(asked()))
    assert "hidden.1.npy" not in files(there)


def test_what_is_broken_elsewhere_is_computed(tmp_path):
    first = kept(asked(), "disk", place(tmp_path))
    path = first.columns["hidden.2"].path
    path.write_bytes(path.read_bytes()[:-2])
    second = kept(asked(), "disk", place(tmp_path, "second"))
    assert second.forward_examples == 6
    assert same(second, kept(asked()))


def test_a_teacher_that_fails_leaves_what_was_there(tmp_path):
    there = place(tmp_path)
    kept(asked(needs=NOTHING), "disk", there)
    model = tiny.model()
    model.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kept(asked(model), "disk", there)
    assert files(there) == {"key.json", "logits.npy"}
    assert not list(there.folder.teacher.glob(".*"))


@pytest.mark.parametrize("on_disk", [True, False])
def test_what_half_precision_cannot_hold_is_left_to_the_loop(tmp_path, on_disk):
    model = tiny.model()
    with torch.no_grad():
        model.bert.encoder.layer[1].output.LayerNorm.weight.mul_(1e6)
    outputs = kept(asked(model), "disk", place(tmp_path) if on_disk else None)
    assert outputs.plan.in_loop == ("hidden.2",)
    assert outputs.columns.keys() == NAMES - {"hidden.2"}
