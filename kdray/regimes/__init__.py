"""How teaching regimes run: one a file, one table of all. Options are in `distillation.regimes`."""
