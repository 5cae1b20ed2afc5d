"""The training loop.

A loss is given as named terms, so that the loop can tell what each of them contributes.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdray.config.sections import Training
from kdray.data.batches import Batch, make_batch, shuffled_rows
from kdray.data.dataset import Dataset
from kdray.errors import DivergedError
from kdray.training.optimizer import make_optimizer, make_schedule
from kdray.training.precision import autocast, resolve_precision

CHECK_INTERVAL = 50
LossTerms = Mapping[str, Tensor]
ComputeTerms = Callable[[Batch, float], LossTerms]


@dataclass(frozen=True)
class EpochTraining:
    """What happened in one epoch.

    Attributes:
        epoch: From 1.
        loss: Mean of the sum of all terms.
        loss_share: Share of each term in the loss, by name.
        gradient_share: Share of each term in the sum of the terms' gradient norms, measured on
            the epoch's last batch: a term that does nothing shows a share near 0.
        learning_rate: At the end of the epoch.
        duration_s: Seconds, without what is done after the epoch.
    """

    epoch: int
    loss: float
    loss_share: Mapping[str, float]
    gradient_share: Mapping[str, float]
    learning_rate: float
    duration_s: float


def train(
    model: nn.Module,
    dataset: Dataset,
    compute_terms: ComputeTerms,
    options: Training,
    after_epoch: Callable[[EpochTraining], None],
    extra_modules: Iterable[nn.Module] = (),
    masks: Mapping[str, Tensor] | None = None,
) -> None:
    """Trains a model in place.

    Args:
        model: What is trained, on its device.
        dataset: The training set.
        compute_terms: From a batch and the progress in [0, 1) to the named terms of the loss.
        options: Epochs, batch size, optimizer, precision, seed.
        after_epoch: Called after each epoch; what it raises ends the training.
        extra_modules: Trained along, such as projections.
        masks: By parameter name, 0 where a weight is pruned: it stays exactly 0.

    Raises:
        DivergedError: If the loss is not finite.
    """
    device = next(model.parameters()).device
    modules = [model, *extra_modules]
    optimizer = make_optimizer(modules, options)
    steps_an_epoch = -(-len(dataset) // options.batch_size)
    steps = options.epochs * steps_an_epoch
    schedule = make_schedule(optimizer, options.warmup_ratio, steps)
    dtype = resolve_precision(options.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    cast = autocast(dtype, device)
    masked = masked_parameters(model, masks or {})
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for epoch in range(options.epochs):
        start = time.perf_counter()
        model.train()
        meter = _Meter()
        order = shuffled_rows(dataset, options.batch_size, options.seed, epoch)
        for index, rows in enumerate(order):
            with cast():
                progress = (epoch * steps_an_epoch + index) / steps
                terms = compute_terms(make_batch(dataset, rows, device), progress)
            if index == len(order) - 1:
                meter.gradient_norms = gradient_norms(terms, model)
            scaler.scale(torch.stack(list(terms.values())).sum()).backward()
            scaler.unscale_(optimizer)
            for parameter, mask in masked:
                if parameter.grad is not None:
                    parameter.grad.mul_(mask)
            nn.utils.clip_grad_norm_(parameters, options.gradient_clip)
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            meter.add(terms)
            if index % CHECK_INTERVAL == CHECK_INTERVAL - 1:
                meter.check()
        rate = schedule.get_last_lr()[0]
        after_epoch(meter.summary(epoch + 1, rate, time.perf_counter() - start))


def masked_parameters(
    model: nn.Module, masks: Mapping[str, Tensor]
) -> list[tuple[nn.Parameter, Tensor]]:
    """Returns each pruned parameter with its mask, and sets the pruned weights to 0.

    With the gradient masked from the first step, AdamW's moments at a pruned weight are 0 too, its
    update is 0 / (0 + ε), and decay keeps a 0 at 0.
    """
    parameters = dict(model.named_parameters())
    pairs = []
    for name, mask in masks.items():
        parameter = parameters[name]
        mask = mask.to(parameter.device, parameter.dtype)
        with torch.no_grad():
            parameter.mul_(mask)
        pairs.append((parameter, mask))
    return pairs


def gradient_norms(terms: LossTerms, model: nn.Module) -> dict[str, float]:
    """Returns the L2 norm of each term's own gradient over the model's parameters."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    norms = {}
    for name, term in terms.items():
        if not term.requires_grad:
            norms[name] = 0.0
            continue
        gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        squares = [g.float().pow(2).sum() for g in gradients if g is not None]
        norms[name] = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    return norms


class _Meter:
    """Sums of the terms on the device; read only now and then, because reading waits."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.steps = 0
        self.gradient_norms: dict[str, float] = {}

    def add(self, terms: LossTerms) -> None:
        for name, term in terms.items():
            value = term.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.steps += 1

    def check(self) -> dict[str, float]:
        means = {name: float(total) / self.steps for name, total in self.sums.items()}
        wrong = [name for name, mean in means.items() if not abs(mean) < float("inf")]
        if wrong:
            raise DivergedError(f"the loss is no finite number any more (term {wrong[0]})")
        return means

    def summary(self, epoch: int, learning_rate: float, duration_s: float) -> EpochTraining:
        means = self.check()
        return EpochTraining(
            epoch=epoch,
            loss=sum(means.values()),
            loss_share=_shares(means),
            gradient_share=_shares(self.gradient_norms),
            learning_rate=learning_rate,
            duration_s=duration_s,
        )


def _shares(values: Mapping[str, float]) -> dict[str, float]:
    total = sum(values.values())
    return {name: value / total if total else 0.0 for name, value in values.items()}
