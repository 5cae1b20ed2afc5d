"""Models: building teacher and student, one output type, students on disk."""
