"""The plain sections of a search-space file: no domains, except in `training` and `student`."""

import difflib
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from kdray.config.validation import Section

Direction = Literal["maximize", "minimize"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
NumberFormat = Literal["float32", "float16", "int8"]
ClassWeights = Literal["none", "balanced"] | list[Annotated[float, Field(gt=0)]]


class Architecture(Section):
    """Shape of an encoder that is built from scratch (BERT)."""

    layers: int = Field(4, ge=1, description="Transformer layers.")
    hidden_size: int = Field(128, ge=2, description="Width of the hidden states.")
    heads: int = Field(4, ge=1, description="Attention heads a layer.")
    intermediate_size: int = Field(512, ge=1, description="Units of the feed-forward part.")

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "Architecture":
        if self.hidden_size % self.heads:
            raise ValueError(
                f"hidden_size must be a multiple of heads, "
                f"but got hidden_size={self.hidden_size}, heads={self.heads}"
            )
        return self


class EarlyStopping(Section):
    """When a training ends before its last epoch.

    Of trainings that follow each other in a regime each ends by itself, and the next one begins;
    students that train side by side end together, by the best of them.
    """

    patience: int = Field(
        ge=1, description="Epochs without a better one, by the metric that selects the epoch."
    )


class Training(Section):
    """How a model is trained: AdamW, linear warm-up, then linear decay."""

    epochs: int = Field(4, ge=1, description="Passes over the training set.")
    batch_size: int = Field(32, ge=1, description="Examples a step.")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Peak of the schedule.")
    warmup_ratio: float = Field(0.1, ge=0, lt=1, description="Share of the steps that warm up.")
    weight_decay: float = Field(0.01, ge=0, description="Not on norms and biases.")
    gradient_clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    precision: Precision = Field("auto", description="Number format of the forward pass.")
    seed: int = Field(0, ge=0, description="Of initialisation, order and dropout.")
    gradient_accumulation: int = Field(
        1, ge=1, description="Batches a step: each step learns from so many times `batch_size`."
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute layers again instead of keeping them: less memory, more time."
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="{patience: n}: end after n epochs without a better one; null: never."
    )
    deterministic: bool = Field(
        False, description="Only algorithms that give the same on a GPU each time, also if slower."
    )


class Head(Section):
    """A classifier of two layers."""

    hidden_size: int = Field(ge=1, description="Units between the two.")


class Student(Section):
    """Where a student starts from."""

    initial: str = Field(
        "teacher_layers",
        description="teacher_layers (evenly spaced copies), scratch, or a hub id or folder.",
    )
    layers: int | None = Field(None, ge=1, description="Layers; null: all that `initial` has.")
    architecture: Architecture | None = Field(None, description="Shape, with `initial: scratch`.")
    embeddings: Literal["trained", "frozen"] = Field(
        "trained", description="frozen: the word embeddings stay as they are, which is faster."
    )
    pooling: Literal["cls", "mean"] | None = Field(
        None,
        description="What is classified: the first position, or the mean of all real ones; null: "
        "as its teacher does, and a hub id or folder as it is made.",
    )
    head: Literal["linear"] | Head = Field(
        "linear", description="linear: as the family has it; {hidden_size: n}: two layers."
    )
    weights: NumberFormat = Field(
        "float32",
        description="Number format of the stored weights; int8: matrices, with a scale a row. "
        "Loaded, a student computes in float32.",
    )

    @field_validator("initial")
    @classmethod
    def _is_no_misspelt_word(cls, value: str) -> str:
        words = ("teacher_layers", "scratch")
        close = difflib.get_close_matches(value, words, n=1, cutoff=0.8)
        if close and value not in words:
            raise ValueError(f"no such start: {value!r}; did you mean {close[0]!r}?")
        return value

    @model_validator(mode="after")
    def _scratch_fits(self) -> "Student":
        if (self.initial == "scratch") != (self.architecture is not None):
            raise ValueError("`architecture` goes with `initial: scratch`, and only with it")
        if self.architecture is not None and self.layers is not None:
            raise ValueError("`layers` is given twice; with scratch only `architecture.layers`")
        if self.architecture is not None and self.embeddings == "frozen":
            raise ValueError("`embeddings: frozen` would keep random ones with `initial: scratch`")
        return self


class Robustness(Section):
    """What a model has to stand besides clean texts."""

    noise: list[Annotated[float, Field(gt=0, le=0.5)]] = Field(
        default_factory=lambda: [0.05, 0.1],
        min_length=1,
        description="Shares of letters that are mistyped, in whole percent.",
    )

    @field_validator("noise")
    @classmethod
    def _is_in_whole_percent(cls, value: list[float]) -> list[float]:
        percents = [round(100 * share) for share in value]
        for share, percent in zip(value, percents, strict=True):
            if abs(100 * share - percent) > 1e-9:
                raise ValueError(f"must be in whole percent, such as 0.05, but got {share:g}")
            if percents.count(percent) > 1:
                raise ValueError(f"holds {share:g} twice")
        return value

    @property
    def percents(self) -> dict[int, float]:
        """The shares, by their number of percent."""
        return {round(100 * share): share for share in self.noise}


class Evaluation(Section):
    """How students are measured."""

    thresholds: Literal["fixed", "tuned"] = Field(
        "fixed", description="Multi-label decisions at 0.5, or tuned for each label on validation."
    )
    robustness: Robustness | None = Field(
        None, description="Quality under typing noise as well; null: it is not measured."
    )
    out_of_domain: str | None = Field(
        None, description="A file of other texts, labelled alike; measured once at the end."
    )
    baselines: bool = Field(
        True, description="Each student of the front once more without a teacher, for comparison."
    )

    @property
    def percents(self) -> dict[int, float]:
        """The shares of typing noise that are asked for, by their number of percent."""
        return {} if self.robustness is None else self.robustness.percents


class Bound(Section):
    """What a metric of a student must keep to."""

    minimum: float | None = Field(None, description="The least value that is good enough.")
    maximum: float | None = Field(None, description="The largest value that is good enough.")

    @model_validator(mode="after")
    def _there_is_one(self) -> "Bound":
        if self.minimum is None and self.maximum is None:
            raise ValueError("needs a `minimum` or a `maximum`")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        return self


class Resources(Section):
    """What one trial gets."""

    cpus_per_trial: Literal["auto"] | Annotated[float, Field(gt=0)] = Field(
        "auto", description="CPU cores; auto: one, or the cores shared out among the GPU slots."
    )
    gpus_per_trial: Literal["auto"] | Annotated[float, Field(ge=0)] = Field(
        "auto", description="GPUs; auto: one where there are GPUs."
    )
    max_concurrent_trials: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="Trials side by side; auto: as many as fit."
    )

    @field_validator("gpus_per_trial")
    @classmethod
    def _gpus_are_whole_from_one_on(cls, value: float | str) -> float | str:
        if isinstance(value, float) and value > 1 and not value.is_integer():
            raise ValueError(f"above 1 it must be a whole number of GPUs, but got {value:g}")
        return value


class Tracking(Section):
    """Where MLflow records the sweep."""

    uri: str | None = Field(None, description="null: a SQLite store beside the sweep's output.")
    experiment: str | None = Field(None, description="null: the sweep's name.")
