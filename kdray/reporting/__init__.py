"""Reads the files that a sweep left and makes its tables, its front, its figure and its report."""
