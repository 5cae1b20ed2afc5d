"""Evaluation: quality, calibration, efficiency."""
