"""The section `teacher` of a search-space file: one teacher, or an ensemble."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from kdray.config.sections import Architecture, ClassWeights, Training
from kdray.config.validation import Section


class TeacherArchitecture(Architecture):
    """Shape of a teacher that is built from scratch, with its tokenizer."""

    vocabulary_size: int = Field(4000, ge=100, description="WordPiece tokens, specials included.")


class TeacherTraining(Training):
    """How a teacher is fine-tuned."""

    epochs: int = Field(8, ge=1, description="Passes over the training set.")
    class_weights: ClassWeights = Field(
        "none", description="Weight of each label in the loss; balanced: from the training set."
    )


class Verification(Section):
    """When a teacher is good enough to teach."""

    metric: str = Field("macro_f1", description="A quality metric, on validation.")
    minimum: float = Field(0.4, ge=0, le=1, description="The least value that is good enough.")
    on_failure: Literal["stop", "warn"] = Field("stop", description="End the sweep, or go on.")


class Cache(Section):
    """Where the teacher's outputs on the training set are kept for all trials.

    Those of a former student (`regime: born_again`, `progressive`) are kept alike, for its trial
    alone: what is in memory comes out of one budget with all trials side by side on a machine.
    """

    where: Literal["auto", "memory", "disk", "off"] = Field(
        "auto",
        description="memory: Ray's object store; disk: mapped files; auto: memory for what fits, "
        "disk for the rest; off: every trial runs the teacher.",
    )
    budget_mb: float = Field(
        2000.0, gt=0, description="Most that is kept; the rest is computed in the loop."
    )


class Teacher(Section):
    """Who teaches."""

    model: str | list[str] | None = Field(
        None,
        description="Hub id or folder of a sequence classifier; a list: an ensemble, of which the "
        "first gives tokenizer, layers and hidden states; null: built from scratch.",
    )
    weights: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, description="Of an ensemble's members, in their order; null: all alike."
    )
    trust_remote_code: bool = Field(
        False, description="Whether Python code that comes with `model` may run; read it first."
    )
    architecture: TeacherArchitecture = Field(
        default_factory=TeacherArchitecture, description="Shape of a teacher from scratch."
    )
    pooling: Literal["cls", "mean"] = Field(
        "cls",
        description="What a teacher that is fine-tuned here classifies: the first position, as its "
        "family has it, or the mean of all real ones, as sentence encoders are made for.",
    )
    training: TeacherTraining | None = Field(
        default_factory=TeacherTraining, description="null: the model is fine-tuned already."
    )
    verify: Verification = Field(
        default_factory=Verification, description="When it is good enough."
    )
    cache: Cache = Field(default_factory=Cache, description="What is kept of its outputs.")

    @field_validator("model")
    @classmethod
    def _an_ensemble_has_members(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and len(value) < 2:
            raise ValueError(f"must be one model, or a list of at least two, but got {value!r}")
        return value

    @field_validator("weights")
    @classmethod
    def _each_member_has_a_weight(
        cls, value: list[float] | None, info: ValidationInfo
    ) -> list[float] | None:
        if value is None or "model" not in info.data:
            return value
        models = info.data["model"]
        if not isinstance(models, list):
            raise ValueError("is for an ensemble; give `model` a list, or leave it out")
        if len(value) != len(models):
            rule = f"must have {len(models)} weights, one a model"
            raise ValueError(f"{rule}, but got {len(value)}")
        return value

    @property
    def shares(self) -> tuple[float, ...]:
        """The weight of each member of an ensemble; their sum is 1. (1.0,) for one teacher."""
        count = len(self.model) if isinstance(self.model, list) else 1
        weights = self.weights or [1.0] * count
        return tuple(weight / sum(weights) for weight in weights)

    @model_validator(mode="after")
    def _members_differ(self) -> "Teacher":
        models = self.model if isinstance(self.model, list) else []
        twice = [name for index, name in enumerate(models) if name in models[:index]]
        if twice and self.training is None:
            raise ValueError(
                f"`model` names {twice[0]!r} twice, which without `training` says the same twice; "
                "give `weights`, or fine-tune it: each member has a seed of its own then"
            )
        return self

    @model_validator(mode="after")
    def _a_new_teacher_is_trained(self) -> "Teacher":
        if self.model is None and self.training is None:
            raise ValueError("a teacher without `model` must be trained; give one of the two")
        if self.pooling == "mean" and self.training is None:
            raise ValueError("`pooling: mean` is for a teacher that is fine-tuned (`training`)")
        return self
