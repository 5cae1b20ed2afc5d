import math
from typing import Any

from kdray.tracking.news import News, measured, write_news


class Client:
    """Takes down what it is asked to write."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int, int]] = []

    def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        self.batches.append((len(metrics), len(params), len(tags)))


def test_parameters_metrics_and_tags_take_one_call() -> None:
    client = Client()
    news = News({"layers": 1}, measured({"loss": 1.0, "macro_f1": 0.5}, 1), {"status": "running"})
    write_news(client, "run", news)
    assert client.batches == [(2, 1, 1)]


def test_no_call_holds_more_than_mlflow_takes() -> None:
    client = Client()
    metrics = measured({f"m{index}": 0.5 for index in range(1200)}, 1)
    write_news(client, "run", News(dict.fromkeys(map(str, range(150)), 1), metrics))
    assert client.batches == [(500, 100, 0), (500, 50, 0), (200, 0, 0)]


def test_nothing_new_takes_no_call() -> None:
    client = Client()
    write_news(client, "run", News())
    assert client.batches == []


def test_later_news_add_metrics_and_win_over_tags() -> None:
    news = News({"layers": 1}, measured({"loss": 1.0}, 1), {"status": "running"}, begins=True)
    news.add(News(metrics=measured({"loss": 0.5}, 2), tags={"status": "failed"}, status="FAILED"))
    assert [(name, value, step) for name, value, _, step in news.metrics] == [
        ("loss", 1.0, 1),
        ("loss", 0.5, 2),
    ]
    assert (news.parameters, news.tags) == ({"layers": 1}, {"status": "failed"})
    assert (news.status, news.begins) == ("FAILED", True)


def test_what_is_not_finite_is_left_out_and_names_are_what_mlflow_takes() -> None:
    found = measured({"f1_a b(c)": 0.5, "loss": math.nan, "best": math.inf}, 3)
    assert [(name, value, step) for name, value, _, step in found] == [("f1_a b_c_", 0.5, 3)]
