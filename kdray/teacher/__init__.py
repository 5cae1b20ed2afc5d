"""The teacher: loaded or fine-tuned, verified, its outputs computed once a sweep."""
