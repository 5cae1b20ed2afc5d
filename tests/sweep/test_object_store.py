"""Places in object stores: what a URI names, and what is told of one that cannot be used."""

import pyarrow.fs
import pytest

from kdray.errors import ConfigError
from kdray.sweep import object_store
from kdray.sweep.object_store import check, child, insisting, last_name, mirror_root, place
from kdray.sweep.storage import begun_sweep, new_sweep


def test_a_bucket_that_is_not_there_is_told_before_any_work(server: str, store: str) -> None:
    uri = f"s3://nowhere/runs?endpoint_override={server}&scheme=http"
    for ask in (lambda: new_sweep(uri, "tiny"), lambda: begun_sweep(uri)):
        with pytest.raises(ConfigError, match=r"output: s3://nowhere/.* no such bucket; make it"):
            ask()


def test_a_store_that_nobody_answers_at_is_told(store: str) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot be reached; look at the endpoint .*127\.0\.0\.1"
    ):
        new_sweep("s3://bucket/runs?endpoint_override=127.0.0.1:9&scheme=http", "tiny")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("foo://bucket/runs", "Unrecognized filesystem type"),
        ("s3://", "must name a bucket: s3://BUCKET/PATH, or be a folder"),
        ("file:///runs", "must name a bucket: s3://BUCKET/PATH, or be a folder"),
        ("s3://bucket/runs?endpoint=x", "Unexpected query parameter in S3 URI: 'endpoint'"),
        ("s3://bucket/my runs?scheme=http", "Cannot parse URI"),
    ],
)
def test_a_uri_that_names_no_place_is_told(uri: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(uri)
    assert message in str(caught.value)


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"credentials.*AWS_ACCESS_KEY_ID") as caught:
        place("s3://AKIA:topsecret@bucket/runs?scheme=http")
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "way_out"),
    [
        ("ACCESS_DENIED", "AWS_ACCESS_KEY_ID"),
        ("NO_SUCH_BUCKET", "make it first"),
        ("NETWORK_CONNECTION", "look at the endpoint"),
    ],
)
def test_what_a_store_says_comes_with_the_way_out(code: str, way_out: str) -> None:
    told = object_store.reason(OSError(f"When writing: AWS Error {code} during PutObject: no"))
    assert way_out in told
    assert "PutObject" in told


def test_a_store_that_is_away_for_a_moment_costs_nothing_but_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(object_store, "_PAUSES", (0.0, 0.0))
    failures = iter([OSError("away"), OSError("away")])

    def act() -> str:
        if error := next(failures, None):
            raise error
        return "done"

    assert insisting(act) == "done"


def test_a_check_leaves_nothing_behind(store: str) -> None:
    check(store, writable=True)
    at = place(store)
    found = at.system.get_file_info(pyarrow.fs.FileSelector(at.path, allow_not_found=True))
    assert found == []


def test_names_are_kept_apart_and_come_back_from_their_uri(store: str) -> None:
    uri = child(store, "my sweep/ü")
    assert last_name(uri) == "my sweep/ü"
    assert place(uri).path == f"{place(store).path}/my sweep/ü"
    assert mirror_root(child(store, "a")).parent == mirror_root(child(store, "b")).parent
    other = store.replace("/team/", "/others/")
    assert mirror_root(child(store, "a")) != mirror_root(child(other, "a"))
