import numpy as np
import pytest
import torch

from kdray.pruning.calibration import calibrating, calibration_batches
from tests import tiny
from tests.pruning.by_hand import one_each, student


def rows_of(count, texts):
    lengths = np.arange(count) % 7 + 1
    train = one_each([(1.0, 1.0)] * count, [0] * count, lengths)
    return [batch.rows for batch in calibration_batches(student([[1.0, 1.0]], train), texts)]


def test_the_texts_are_different_ones_and_the_same_at_every_call():
    rows = np.concatenate(rows_of(500, 128))
    assert len(set(rows.tolist())) == 128
    torch.manual_seed(7)
    assert np.array_equal(rows, np.concatenate(rows_of(500, 128)))
    # From everywhere: of the 500 in five parts, some of each.
    assert (np.bincount(rows // 100) > 10).all()


@pytest.mark.parametrize(
    ("count", "texts", "sizes"), [(500, 40, [16, 16, 8]), (6, 128, [6]), (33, 33, [16, 16, 1])]
)
def test_batches_hold_sixteen_texts_and_there_are_no_more_texts_than_there_are(count, texts, sizes):
    assert [len(rows) for rows in rows_of(count, texts)] == sizes


def test_a_batch_is_of_texts_of_similar_length():
    lengths = [int(row) % 7 + 1 for rows in rows_of(500, 128) for row in rows]
    assert lengths == sorted(lengths)


def fail_within(model):
    with calibrating(model):
        assert not any(module.training for module in model.modules())
        raise RuntimeError("the calibration failed")


def test_every_module_is_in_its_own_mode_again_whatever_happens():
    model = tiny.model().train()
    model.bert.embeddings.eval()
    before = [module.training for module in model.modules()]
    with pytest.raises(RuntimeError, match="the calibration failed"):
        fail_within(model)
    assert [module.training for module in model.modules()] == before
