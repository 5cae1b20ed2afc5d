"""The table of distillation methods. A new one is one file and one line here."""

from kdray.distillation.attention import Attention
from kdray.distillation.attention_transfer import AttentionTransfer
from kdray.distillation.base import DistillationMethod
from kdray.distillation.contrastive import Contrastive
from kdray.distillation.fitnet import FitNet
from kdray.distillation.hard import Hard
from kdray.distillation.hidden import Hidden
from kdray.distillation.logit import Logit
from kdray.distillation.logit_mse import LogitMse
from kdray.distillation.minilm import MiniLM
from kdray.distillation.multi_level import MultiLevel
from kdray.distillation.none import NoTeacher
from kdray.distillation.pkd import PatientKnowledge
from kdray.distillation.relation_graph import RelationGraph
from kdray.distillation.rkd import RelationalKnowledge
from kdray.distillation.similarity import Similarity

DISTILLATION: dict[str, type[DistillationMethod]] = {
    "none": NoTeacher,
    "logit": Logit,
    "logit_mse": LogitMse,
    "hard": Hard,
    "hidden": Hidden,
    "attention": Attention,
    "multi_level": MultiLevel,
    "fitnet": FitNet,
    "attention_transfer": AttentionTransfer,
    "pkd": PatientKnowledge,
    "minilm": MiniLM,
    "rkd": RelationalKnowledge,
    "similarity": Similarity,
    "relation_graph": RelationGraph,
    "contrastive": Contrastive,
}
