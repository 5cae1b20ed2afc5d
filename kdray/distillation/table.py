"""The table of distillation methods. A new one is one file and one line here."""

from kdray.distillation.attention import Attention
from kdray.distillation.base import DistillationMethod
from kdray.distillation.hidden import Hidden
from kdray.distillation.logit import Logit
from kdray.distillation.multi_level import MultiLevel
from kdray.distillation.none import NoTeacher

DISTILLATION: dict[str, type[DistillationMethod]] = {
    "none": NoTeacher,
    "logit": Logit,
    "hidden": Hidden,
    "attention": Attention,
    "multi_level": MultiLevel,
}
