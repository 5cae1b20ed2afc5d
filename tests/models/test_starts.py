import pytest
import torch

from kdray.data.base import Labels
from kdray.models.building import freeze
from kdray.models.starts import Start, read_starts, thaw_start, write_starts
from kdray.models.stored import load_start
from tests import tiny
from tests.models.test_stored import logits, saved


def drawn(start, seed):
    torch.manual_seed(seed)
    return thaw_start(start)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_new_head_is_drawn_by_each_trial_and_the_rest_is_as_stored(family, tmp_path):
    model = tiny.model(Labels(("yes", "no"), "single_label"), family=family)
    start, _ = load_start(saved(model, tmp_path), "student.initial", tiny.MULTI)
    one, same, other = drawn(start, 0), drawn(start, 0), drawn(start, 1)
    assert torch.equal(logits(one), logits(same))
    assert not torch.equal(logits(one), logits(other))
    for name, weights in model.state_dict().items():
        if name not in start.missing:
            assert torch.equal(one.state_dict()[name], weights), name


def test_a_head_that_is_there_is_kept(tmp_path):
    model = tiny.model()
    start, _ = load_start(saved(model, tmp_path), "student.initial", tiny.MULTI)
    assert torch.equal(logits(drawn(start, 0)), logits(model))


def test_starts_are_read_back_as_they_were_and_cannot_be_written_to(tmp_path):
    starts = {"hub/one": Start(freeze(tiny.model())), "/two": Start(freeze(tiny.model()), ("x.y",))}
    write_starts(tmp_path / "starts", starts)
    found = read_starts(tmp_path / "starts")
    assert found.keys() == starts.keys()
    assert found["/two"].missing == ("x.y",)
    assert torch.equal(logits(thaw_start(found["hub/one"])), logits(tiny.model()))
    with pytest.raises(ValueError, match="read-only"):
        next(iter(found["hub/one"].state.weights.values()))[...] = 0


def test_where_there_are_none_nothing_is_written(tmp_path):
    write_starts(tmp_path / "starts", {})
    assert not (tmp_path / "starts").exists()
    assert read_starts(tmp_path / "starts") == {}
