"""The sweep: the only home of ray and optuna."""
