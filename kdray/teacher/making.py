"""A teacher: built from scratch or loaded, then fine-tuned on the labels if asked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from kdray.config.sections import Teacher
from kdray.data.base import Examples, Labels
from kdray.data.batches import Batch
from kdray.data.dataset import Dataset
from kdray.data.tokenizing import train_tokenizer
from kdray.evaluation.quality import quality
from kdray.models.building import load_classifier, new_classifier
from kdray.models.inference import predict_logits
from kdray.models.outputs import best_device, forward
from kdray.training.losses import class_weights, hard_loss
from kdray.training.loop import EpochTraining, train

OnEpoch = Callable[[int, int, Mapping[str, float]], None]


def untrained_teacher(
    teacher: Teacher, base: Path, labels: Labels, examples: Examples, max_length: int, seed: int
) -> tuple[Any, Any]:
    """Returns model and tokenizer before any fine-tuning.

    Args:
        teacher: The section of the file.
        base: The folder that a relative model folder starts from.
        labels: What is predicted.
        examples: The training texts, for a tokenizer of one's own.
        max_length: Tokens a text.
        seed: Of the random weights.

    Raises:
        ConfigError: If `teacher.model` cannot be loaded or does not fit the data.
    """
    if teacher.model is not None:
        folder = base / teacher.model
        name = str(folder) if folder.is_dir() else teacher.model
        return load_classifier(name, "teacher.model", labels, teacher.training is not None)
    texts = (text for row in examples.texts for text in row)
    tokenizer = train_tokenizer(texts, teacher.architecture.vocabulary_size, max_length)
    torch.manual_seed(seed)
    return new_classifier(teacher.architecture, tokenizer, labels, max_length), tokenizer


def fine_tune(
    model: Any,
    teacher: Teacher,
    labels: Labels,
    splits: Mapping[str, Dataset],
    on_epoch: OnEpoch,
) -> Any:
    """Trains a model on the labels and returns it with the weights of its best epoch.

    The best epoch is the one with the highest `teacher.verify.metric` on validation.
    """
    options = teacher.training
    assert options is not None, "a teacher without training is not fine-tuned"
    device = best_device()
    model = model.to(device)
    torch.manual_seed(options.seed)
    multi_label = labels.kind == "multi_label"
    targets = torch.from_numpy(splits["train"].targets)
    weights = class_weights(options.class_weights, targets, labels, device)
    best: dict[str, Any] = {"value": float("-inf")}

    def terms(batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        logits = forward(model, batch.inputs).logits
        return {"hard": hard_loss(logits, batch.targets, multi_label, weights)}

    def after_epoch(epoch: EpochTraining) -> None:
        logits = predict_logits(model, splits["validation"])
        metrics = quality(logits, splits["validation"].targets, labels)
        on_epoch(epoch.epoch, options.epochs, metrics)
        if metrics[teacher.verify.metric] > best["value"]:
            best["value"] = metrics[teacher.verify.metric]
            best["weights"] = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}

    train(model, splits["train"], terms, options, after_epoch)
    model.load_state_dict(best["weights"])
    return model.cpu().eval()
