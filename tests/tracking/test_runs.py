from kdray.tracking.runs import trial_name


def test_a_run_is_named_so_that_a_person_can_read_it() -> None:
    drawn = {"student.layers": 2, "distillation.method": "logit", "distillation.alpha": 0.5}
    assert trial_name("0007", drawn) == "0007 2 layers logit"
