import math

import torch

from kdray.pruning.rows import lowest_of_rows

SCORES = torch.tensor([[1.0, 4.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0], [7.0, math.inf, 9.0, -math.inf]])


def test_the_lowest_of_each_row_go_by_hand():
    assert lowest_of_rows(SCORES, torch.tensor([2])).tolist() == [
        [0, 1, 0, 1],
        [0, 0, 1, 1],  # ties in order of place
        [0, 1, 1, 0],
    ]


def test_each_row_may_have_a_count_of_its_own_and_what_must_stay_does():
    assert lowest_of_rows(SCORES, torch.tensor([0, 4, 4])).tolist() == [
        [1, 1, 1, 1],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
    ]


def test_rows_without_columns_have_an_empty_mask():
    assert lowest_of_rows(torch.ones(3, 0), torch.tensor([0])).shape == (3, 0)
