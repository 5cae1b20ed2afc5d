"""Tracking: the only home of mlflow."""
