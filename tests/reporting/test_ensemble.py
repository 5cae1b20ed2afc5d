"""What is told of a sweep whose teacher is an ensemble."""

import json

from kdray.reporting.report import report_context
from kdray.reporting.summary import write_tables

from .conftest import MakeSweep, completed, verification

MEMBERS = [
    {"model": "one", "weight": 0.75, "digest": "abc", "metrics": {"macro_f1": 0.7}},
    {"model": "other", "weight": 0.25, "digest": "def", "metrics": {"macro_f1": 0.6}},
]


def test_the_members_are_in_the_summary_and_the_report_says_what_the_teacher_is(
    make_sweep: MakeSweep,
):
    folder = make_sweep(completed("0001", 0.7, 2))
    assert "teacher_members" not in write_tables(folder, duration_s=1.0, busy_s=1.0)
    found = verification(members=MEMBERS, forward_examples=6000)
    folder.verification_json.write_text(json.dumps(found), encoding="utf-8")
    summary = write_tables(folder, duration_s=1.0, busy_s=1.0)
    assert summary["teacher_members"] == [
        {"model": "one", "weight": 0.75, "metrics": {"macro_f1": 0.7}},
        {"model": "other", "weight": 0.25, "metrics": {"macro_f1": 0.6}},
    ]
    assert report_context(folder)["notes"].endswith(
        "The teacher is an ensemble of 2: its quality is that of their mean probability, its size, "
        "time and parameters are the sum of theirs. Together they read 6,000 examples, once for "
        "all trials."
    )
