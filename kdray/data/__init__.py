"""Data: sources, checks, tokenising once, length-bucketed batches."""
