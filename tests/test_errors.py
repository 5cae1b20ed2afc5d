import pickle

from kdray.errors import ConfigError, Problem


def test_an_error_survives_the_way_between_processes() -> None:
    error = ConfigError([Problem("a.b", "is wrong", 3), Problem("c", "is wrong")], "space.yaml")
    back = pickle.loads(pickle.dumps(error))
    assert str(back) == str(error)
    assert back.problems == error.problems


def test_an_error_lists_every_problem_with_its_line() -> None:
    error = ConfigError([Problem("a.b", "is wrong", 3), Problem("c", "is wrong")], "space.yaml")
    assert str(error) == ("space.yaml has 2 problems:\n  line 3: a.b: is wrong\n  c: is wrong")
    assert str(ConfigError([Problem("c", "is wrong")])) == "1 problem:\n  c: is wrong"
