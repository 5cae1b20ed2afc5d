"""Schedulers: which trials are stopped early. Rules are pure; `early_stopping` is Ray's side."""
