"""Distillation: a small model learns what a large one says, not only what the annotators said.

    alpha T^2 D(s / T, t / T),      t: the teacher's scores, through which no gradient flows

A temperature T above 1 lets scores far from the threshold count, which say what the teacher thinks near; T^2 keeps
the gradient's size. Source: Hinton et al. 2015, arXiv 1503.02531; by a divergence of scores, Su, archives/9039 (2022).
"""

from __future__ import annotations

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from kexue.training.regularizers.divergence import Divergence, name_of
from kexue.training.regularizers.regularizer import Job, Regularizer, Step


@dataclass(frozen=True)
class Distillation(Regularizer):
    """alpha T^2 times the divergence from the model in the folder `teacher`."""

    teacher: str
    alpha: float = Field(1.0, gt=0)
    temperature: float = Field(1.0, gt=0)
    divergence: Divergence | None = None

    def penalty(self, step: Step) -> Tensor:
        """alpha T^2 D(s / T, t / T)."""
        teacher = step.job.taught(self.teacher, step.inputs)
        student, teacher = (said.scaled(1 / self.temperature) for said in (step.said, teacher))
        distance = student.divergence(teacher, name_of(self.divergence, step.job))
        return self.alpha * self.temperature**2 * distance

    def check(self, job: Job) -> None:
        """Whether the job knows the divergence and can use the teacher."""
        name_of(self.divergence, job)
        job.bring_teacher(self.teacher)
