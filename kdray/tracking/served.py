"""A student as MLflow serves it: texts in, the probability of each label out.

A stored model names this module and this function, so both stay where they are.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

# Folder of the student inside of the model.
STUDENT = "student"
# Option of a model whose student brings Python code of its own, which the sweep's owner trusts.
TRUSTED = "trust_remote_code"


class Served:
    """What MLflow asks for predictions.

    Attributes:
        student: As `kdray.load_student` returns it.
    """

    def __init__(self, student: Any) -> None:
        self.student = student

    def predict(self, texts: "DataFrame") -> "DataFrame":
        """Returns the probability of each label for each text.

        Args:
            texts: One column of texts, or two for text pairs.

        Returns:
            A row a text and a column a label, each from 0 to 1.

        Raises:
            MlflowException: If a text is missing; its server answers with the row.
        """
        import pandas as pd
        from mlflow.exceptions import MlflowException

        missing = texts.isna().any(axis=1)
        if missing.any():
            row = int(missing.to_numpy().argmax())
            raise MlflowException.invalid_parameter_value(f"row {row} has no text")
        rows = list(texts.itertuples(index=False, name=None))
        columns = list(self.student.labels.names)
        return pd.DataFrame(self.student.probabilities(rows), columns=columns)


def _load_pyfunc(path: str, options: Mapping[str, Any] | None = None) -> Served:
    from kdray import load_student

    return Served(load_student(Path(path) / STUDENT, bool((options or {}).get(TRUSTED))))
