import math

import numpy as np
import pytest

from kdray.config.teachers import Cache
from kdray.models.building import freeze
from kdray.teacher.cache import Plan, content_key, plan_cache
from tests import tiny

MB = 1_000_000
SIZES = {
    "logits": 4 * MB,
    "hidden.1": 30 * MB,
    "hidden.2": 30 * MB,
    "attentions.1": 2 * MB,
    "attentions.2": 10 * MB,
}


def planned(where, budget_mb=1000, store_mb=math.inf, disk_mb=math.inf):
    cache = Cache(where=where, budget_mb=budget_mb)
    return plan_cache(SIZES, cache, store_mb * MB, disk_mb * MB)


def test_memory_keeps_everything_that_fits():
    assert set(planned("memory").memory) == SIZES.keys()


def test_the_logits_are_kept_first_and_then_the_smallest():
    assert planned("memory", budget_mb=4).memory == ("logits",)
    assert planned("memory", budget_mb=6).memory == ("logits", "attentions.1")
    plan = planned("memory", budget_mb=16)
    assert plan.memory == ("logits", "attentions.1", "attentions.2")
    assert plan.in_loop == ("hidden.1", "hidden.2")


def test_nothing_goes_to_disk_when_memory_is_asked_for():
    # 0.8 of 20 MB hold 16 MB.
    plan = planned("memory", store_mb=20)
    assert plan == Plan(("logits", "attentions.1", "attentions.2"), (), ("hidden.1", "hidden.2"))
    assert planned("memory", store_mb=19).memory == ("logits", "attentions.1")


def test_disk_keeps_everything_in_files_within_the_budget():
    plan = planned("disk", budget_mb=50, store_mb=0)
    assert plan.disk == ("logits", "attentions.1", "attentions.2", "hidden.1")
    assert plan.in_loop == ("hidden.2",)
    assert not plan.memory


def test_auto_fills_half_of_the_store_and_puts_the_rest_on_disk():
    plan = planned("auto", budget_mb=50, store_mb=32)
    assert plan == Plan(("logits", "attentions.1", "attentions.2"), ("hidden.1",), ("hidden.2",))
    assert set(planned("auto").memory) == SIZES.keys()


def test_a_full_disk_bounds_all_because_all_that_is_kept_has_a_file():
    for where in ("memory", "disk", "auto"):
        assert planned(where, disk_mb=6).kept == ("logits", "attentions.1")


def test_off_keeps_nothing_not_even_the_logits():
    assert planned("off") == Plan(in_loop=tuple(SIZES))


@pytest.mark.parametrize("where", ["memory", "disk", "auto", "off"])
@pytest.mark.parametrize("limit_mb", [0, 3, 5, 17, 46, 76, 100])
def test_every_output_comes_from_one_place_and_no_limit_is_passed(where, limit_mb):
    plan = planned(where, budget_mb=50, store_mb=limit_mb)
    assert sorted(plan.memory + plan.disk + plan.in_loop) == sorted(SIZES)
    assert sum(SIZES[name] for name in plan.kept) <= 50 * MB
    assert sum(SIZES[name] for name in plan.memory) <= limit_mb * MB


def test_what_is_lost_is_computed_in_the_loop():
    plan = Plan(("logits", "hidden.1"), ("hidden.2",), ("hidden.3",))
    assert plan.without({"hidden.2", "hidden.1"}) == Plan(
        ("logits",), (), ("hidden.3", "hidden.1", "hidden.2")
    )


def key(digest="d", tokenizer=None, lengths=(3, 7, 2), config=None, ids=None):
    dataset = tiny.dataset(lengths=lengths)
    if ids is not None:
        dataset.columns["input_ids"].values[0] = ids
    settings = freeze(tiny.model()).config if config is None else config
    return content_key(digest, settings, tokenizer or tiny.tokenizer(), dataset)


def test_the_same_teacher_and_texts_have_the_same_key():
    assert key() == key()
    assert len(key()) == 64


def test_whatever_changes_the_outputs_changes_the_key():
    from kdray.data.tokenizing import train_tokenizer

    other = train_tokenizer(["quite other words"], 40, 24)
    relu = {**freeze(tiny.model()).config, "hidden_act": "relu"}
    keys = [
        key(),
        key(digest="e"),
        key(tokenizer=other),
        key(lengths=(3, 7, 3)),
        key(lengths=(7, 3, 2)),
        key(ids=4),
        key(config=relu),
    ]
    assert len(set(keys)) == len(keys)


def test_where_a_teacher_comes_from_does_not_change_the_key(tmp_path):
    from kdray.models.stored import load_classifier

    model, tokenizer = tiny.model(), tiny.tokenizer()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, its_own = load_classifier(str(tmp_path), "teacher", tiny.MULTI, False)
    tokenizer(["texts"], truncation=True, max_length=4)
    assert key(config=freeze(loaded).config, tokenizer=its_own) == key(tokenizer=tokenizer)


def test_the_targets_do_not_change_the_key():
    one, other = tiny.dataset(tiny.MULTI), tiny.dataset(tiny.SINGLE)
    assert not np.array_equal(one.targets, other.targets)
    found = {content_key("d", {}, tiny.tokenizer(), dataset) for dataset in (one, other)}
    assert len(found) == 1
