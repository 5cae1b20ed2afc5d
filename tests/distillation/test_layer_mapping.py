import pytest

from kdray.distillation.hidden import Hidden
from kdray.distillation.layer_mapping import mapped_layers


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        (6, 12, {1: 2, 2: 4, 3: 6, 4: 8, 5: 10, 6: 12}),
        (3, 12, {1: 4, 2: 8, 3: 12}),
        (4, 12, {1: 3, 2: 6, 3: 9, 4: 12}),
        (2, 3, {1: 2, 2: 3}),
        (3, 3, {1: 1, 2: 2, 3: 3}),
        (1, 5, {1: 5}),
    ],
)
def test_uniform_maps_layer_i_of_n_to_layer_im_over_n_rounded_up(student, teacher, expected):
    assert mapped_layers("uniform", student, teacher) == expected


def test_last_maps_to_the_last_layers():
    assert mapped_layers("last", 3, 12) == {1: 10, 2: 11, 3: 12}
    assert mapped_layers("last", 2, 2) == {1: 1, 2: 2}


def test_an_explicit_mapping_is_given_from_teacher_to_student():
    assert mapped_layers({12: 3, 5: 1}, 3, 12) == {3: 12, 1: 5}


def test_one_teacher_layer_may_be_learnt_from_only_once_in_a_mapping_of_teacher_layers():
    with pytest.raises(ValueError, match=r"\{2: 1, 4: 1\} must give each student layer one"):
        mapped_layers({2: 1, 4: 1}, 2, 4)


@pytest.mark.parametrize("mapping", ["uniform", "last"])
def test_a_student_deeper_than_its_teacher_is_refused(mapping):
    with pytest.raises(ValueError, match="at most the teacher's 2 layers, but it has 3"):
        mapped_layers(mapping, 3, 2)


@pytest.mark.parametrize("mapping", [{5: 1}, {4: 3}])
def test_a_layer_that_is_not_there_is_refused(mapping):
    with pytest.raises(ValueError, match="must lie within 4 teacher and 2 student layers"):
        mapped_layers(mapping, 2, 4)


@pytest.mark.parametrize("mapping", [{0: 1}, {1: 0}, {}, "first"], ids=str)
def test_layers_count_from_1_and_a_mapping_is_not_empty(mapping):
    with pytest.raises(ValueError, match="layer_mapping"):
        Hidden(layer_mapping=mapping)
