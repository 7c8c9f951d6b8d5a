"""A network with its noise and its objective as one module, whose `forward` is the loss of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kexue.diffusion.denoisers import DenoisingNetwork
from kexue.diffusion.denoising import NetworkDenoiser
from kexue.diffusion.objectives import Objective, training_loss
from kexue.diffusion.prediction import Parameterization
from kexue.diffusion.schedules import Schedule
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
        self.batch_size = recipe.batch_size
        # A function, so that the network has no second name; of one shape, so that it is compiled once.
        self._compiled = torch.compile(network.forward, dynamic=False) if recipe.compile else None

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        """The mean loss of images [batch, ...] at times t[batch] with noise eps like the images.

        And what the network `said` of them, as `SaidOfImages`.
        """
        denoise = Overheard(self.denoiser(labels, self._compiled))
        loss = training_loss(denoise, self.schedule, self.objective, x0, t, eps).mean()
        return {"loss": loss, "said": denoise.said}

    def losses(self, x0: Tensor, t: Tensor, eps: Tensor, labels: Tensor | None = None) -> Tensor:
        """The loss of each image at its time with its noise: [batch]."""
        return training_loss(self.denoiser(labels), self.schedule, self.objective, x0, t, eps)

    def denoiser(self, labels: Tensor | None = None, compiled: Callable[..., Tensor] | None = None) -> NetworkDenoiser:
        """The network as samplers use it, or its compiled twin."""
        run = compiled or self.network

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            return run(self.entrance(x_t), t, labels=labels)

        return NetworkDenoiser(network, self.schedule, self.parameterization)
