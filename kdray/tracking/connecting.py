"""The way to MLflow, and to what a sweep's folder says that it needs of it."""

import json
import logging
import os
import warnings
from typing import Any

from kdray.results.folder import SweepFolder
from kdray.results.sweep_file import read_sweep_file


def connect(uri: str) -> Any:
    """Returns MLflow's client, which says nothing on its own and tries everything once.

    Args:
        uri: Tracking URI of MLflow.
    """
    import mlflow

    # What fails is told at the end of the sweep, in a line.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
    # kdray tries again itself, and looks first whether the run was made all the same.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    # Else two lines for each trial, in the midst of the sweep's progress.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # A student needs kdray, and not what the project needs in whose folder the sweep was started.
    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"
    return mlflow.MlflowClient(uri)


def read_config(folder: SweepFolder) -> dict[str, Any]:
    """Returns the resolved search space in `sweep.yaml`; empty if there is none."""
    if not folder.sweep_yaml.is_file():
        return {}
    config: dict[str, Any] = read_sweep_file(folder)["config"]
    return config


def read_data_digest(folder: SweepFolder) -> str:
    """Returns the digest of the data; empty if the sweep has none."""
    if not folder.verification_json.is_file():
        return ""
    found = json.loads(folder.verification_json.read_text(encoding="utf-8"))
    return str(found.get("data_digest", ""))


def text_columns(config: dict[str, Any]) -> list[str]:
    """Returns the names of the text columns: one, or two for text pairs."""
    text = config.get("data", {}).get("text", "text")
    return [text] if isinstance(text, str) else list(text)
