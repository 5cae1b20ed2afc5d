"""Distillation: one method a file, one table of all."""
