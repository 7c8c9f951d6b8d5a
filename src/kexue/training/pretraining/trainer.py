"""The trainer of masked language models: batches from a corpus on disk, perplexity and accuracy on held-out text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedModel, TrainerCallback

from kexue.encoders.gau import IGNORED
from kexue.training.order import EpochOrder, Places
from kexue.training.pretraining.dataset import Batches
from kexue.training.pretraining.recipe import PretrainingRecipe
from kexue.training.resumable import ResumableTrainer


class PretrainingTrainer(ResumableTrainer):
    """Trains a masked language model, and keeps the weights that predict most held-out words."""

    ema_interval: ClassVar[int] = 10  # an update of every weight would cost some hundredths of a short step
    metric = "accuracy"

    def __init__(
        self,
        model: PreTrainedModel,
        train: Batches,
        dev: Batches,
        recipe: PretrainingRecipe,
        learning_rate: float,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.dev = dev
        super().__init__(
            model,
            recipe,
            Places(train.num_rows),
            EpochOrder(train.num_rows, recipe.batch_size, recipe.seed),
            learning_rate=learning_rate,
            callbacks=[_MeasureEvery(recipe.eval_steps), *callbacks],
            data_collator=train,
        )

    def measure(self) -> dict[str, float]:
        """Mean cross entropy, perplexity and accuracy at the hidden words of dev, in float32."""
        model: PreTrainedModel = self.accelerator.unwrap_model(self.model).eval()
        return measure_dev(model, self.dev, self.args.device)

    @cached_property
    def guess(self) -> dict[str, float]:
        """What frequency alone finds of the same words."""
        return guess_by_frequency(self.dev)

    def best_measure(self) -> dict[str, float]:
        """What `measure` found of the weights that are kept."""
        best = max((entry for entry in self.state.log_history if "eval_loss" in entry), key=itemgetter("eval_accuracy"))
        return {key.removeprefix("eval_"): value for key, value in best.items() if key.startswith("eval_")}


@torch.no_grad()
def measure_dev(model: PreTrainedModel, dev: Batches, device: torch.device) -> dict[str, float]:
    """Of a model on all rows of dev; the same words are hidden whenever it is called."""
    sums = torch.zeros(3, dtype=torch.float64)
    for batch in dev.in_order():
        logits, targets = predict(model, {name: value.to(device) for name, value in batch.items()})
        losses = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
        right = (logits.argmax(-1) == targets).sum()
        sums += torch.stack([losses.double(), right.double(), torch.tensor(len(targets)).double().to(device)]).cpu()
    loss, accuracy = (sums[:2] / sums[2].clamp(min=1)).tolist()
    return {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "accuracy": accuracy}


def predict(model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Logits float32[hidden, vocab] of the hidden tokens, and what they were, long[hidden]; all is done in float32."""
    hidden = batch["labels"] != IGNORED
    logits = type(model).forward(model, **batch).logits  # accelerate puts autocast into the model's own `forward`
    if logits.dim() == 3:  # a model that does not score the hidden tokens alone
        logits = logits[hidden]
    return logits, batch["labels"][hidden]


def guess_by_frequency(dev: Batches) -> dict[str, float]:
    """What a model would reach that only knows how frequent the tokens are: the measure to beat."""
    counts = torch.from_numpy(dev.corpus.counts).double()
    counts[torch.from_numpy(dev.masking.fixed)] = 0
    targets = torch.cat([batch["labels"][batch["labels"] != IGNORED] for batch in dev.in_order()])
    law = ((counts + 1) / (counts + 1).sum()).log()
    loss = -law[targets].mean().item()
    return {"loss": loss, "perplexity": math.exp(loss), "accuracy": (targets == counts.argmax()).double().mean().item()}


class _MeasureEvery(TrainerCallback):
    """Measures dev within long epochs too."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_evaluate = control.should_evaluate or state.global_step % self.steps == 0
