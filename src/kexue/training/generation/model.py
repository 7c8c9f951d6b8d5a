"""A network with its noise and its objective as one module, whose `forward` is the loss of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kexue.diffusion.denoisers import DenoisingNetwork
from kexue.diffusion.denoising import NetworkDenoiser
from kexue.diffusion.objectives import Objective, training_loss
from kexue.diffusion.prediction import Parameterization
from kexue.diffusion.schedules import Schedule
from kexue.training.generation.dataset import Draws, draw
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.generation.said import Overheard


class GenerationModel(nn.Module):
    """What is trained: a network and everything that its loss is made of."""

    def __init__(self, network: DenoisingNetwork, recipe: GenerationRecipe) -> None:
        super().__init__()
        self.network = network
        self.entrance = nn.Identity()  # where a regulariser can move what the network sees
        self.schedule: Schedule = recipe.make_schedule()
        self.parameterization: Parameterization = recipe.make_parameterization()
        self.objective: Objective = recipe.make_objective()
        self.seed = recipe.seed
        self.batch_size = recipe.batch_size
        self.label_dropout = recipe.label_dropout
        self.flip = recipe.flip

    def forward(self, x0: Tensor, place: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        """The loss of images [batch, ...] at `place` long[batch, 3]: their epoch, their batch, their row in it.

        And what the network `said` of them, as `SaidOfImages`.
        """
        draws = self._draws(x0, place)
        if self.flip:
            x0 = torch.where(draws.mirrored[:, None, None, None], x0.flip(-1), x0)
        if labels is not None:
            labels = torch.where(draws.labelled, labels, self.network.num_classes)
        denoise = Overheard(self.denoiser(labels))
        loss = training_loss(denoise, self.schedule, self.objective, x0, draws.t, draws.eps).mean()
        return {"loss": loss, "said": denoise.said}

    def losses(self, x0: Tensor, t: Tensor, eps: Tensor, labels: Tensor | None = None) -> Tensor:
        """The loss of each image at its time with its noise: [batch]."""
        return training_loss(self.denoiser(labels), self.schedule, self.objective, x0, t, eps)

    def denoiser(self, labels: Tensor | None = None) -> NetworkDenoiser:
        """The network as samplers use it."""

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            return self.network(self.entrance(x_t), t, labels=labels)

        return NetworkDenoiser(network, self.schedule, self.parameterization)

    def _draws(self, x0: Tensor, place: Tensor) -> Draws:
        """Those of the whole batch, whatever part of it this process has; all rows are of one batch."""
        epoch, batch = place[0, :2].tolist()
        whole = draw(self.seed, epoch, batch, (self.batch_size, *x0.shape[1:]), x0.device, self.label_dropout)
        return whole.rows(place[:, 2])
