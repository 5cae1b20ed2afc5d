import pickle

import numpy as np
import pytest

from kdray.data.base import Examples
from kdray.data.texts import compact, compact_splits

ROWS = {
    "one": (("hello",), ("",), ("ভালো ☃",)),
    "pairs": (("a question", "its answer"), ("", "ভালো"), ("x", "")),
    "none": (),
}


@pytest.mark.parametrize("kind", ROWS)
def test_texts_come_back_as_they_were(kind: str) -> None:
    assert compact(ROWS[kind]).rows() == ROWS[kind]


def test_they_stand_end_to_end_in_bytes_by_hand() -> None:
    texts = compact((("ab", "é"), ("", "c")))
    assert texts.values.tobytes() == "abéc".encode()
    assert texts.offsets.tolist() == [0, 2, 4, 4, 5]
    assert texts.columns == 2


def test_they_travel_without_a_copy() -> None:
    buffers: list[pickle.PickleBuffer] = []
    texts = compact((("a long text " * 1000,),))
    small = pickle.dumps(texts, protocol=5, buffer_callback=buffers.append)
    assert len(small) < 1000
    assert sum(len(buffer.raw()) for buffer in buffers) == texts.values.nbytes + 16
    assert pickle.loads(small, buffers=buffers).rows() == texts.rows()


def test_every_split_is_there() -> None:
    parts = {name: Examples(ROWS["one"], np.zeros(3, np.int64)) for name in ("train", "test")}
    found = compact_splits(parts)
    assert {name: texts.rows() for name, texts in found.items()} == {
        "train": ROWS["one"],
        "test": ROWS["one"],
    }


@pytest.mark.parametrize("kind", ["one", "pairs"])
@pytest.mark.parametrize("rows", [[], [2], [0, 2], [0, 1, 2]])
def test_some_rows_come_back_alone(kind: str, rows: list[int]) -> None:
    found = compact(ROWS[kind]).chosen(np.array(rows, np.int64))
    assert found == tuple(ROWS[kind][row] for row in rows)
