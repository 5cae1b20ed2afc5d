"""The one training loop; fine-tuning a teacher and distilling a student both run in it."""
