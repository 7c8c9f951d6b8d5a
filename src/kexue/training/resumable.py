"""The transformers Trainer set up for both jobs: what is averaged, what is kept, how a training resumes.

A checkpoint to resume from holds the raw weights, optimiser, schedule, random state, moving average and the best
weights so far. The order of batches depends on (seed, epoch) alone, dev is measured and the loss logged before a
checkpoint of the same step is written, so a resumed training has the same losses, scores and weights as an unbroken
one.
"""

from __future__ import annotations

import math
import shutil
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.optim import AdamW
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from kexue.errors import TrainingError
from kexue.training.arguments import training_arguments
from kexue.training.checkpoints import complete_checkpoint, newest_checkpoint
from kexue.training.ema import ExponentialMovingAverage
from kexue.training.processes import from_first_process
from kexue.training.recipe import TrainingRecipe
from kexue.training.regularizers import Inputs, make_regularizers, regularized_loss

EMA_FILE = "ema.safetensors"
BEST = "best.safetensors"


class EpochSampler(Protocol):
    """An order of the training data that depends on (seed, epoch) alone."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""

    def __len__(self) -> int:
        """How many examples an epoch has."""
        ...


class ResumableTrainer(Trainer):
    """Trains a model whose `forward` returns its loss; after `train_or_resume`, `load_best` puts the kept weights in.

    A job says how dev is measured (`measure`), which measure chooses the weights that are kept (`metric`, larger is
    better; the last ones where it is None), after how many evaluations without gain to stop (`patience`), and the
    learning rate of each parameter.
    """

    ema_interval: ClassVar[int]  # steps between updates of the average: each passes over all weights
    metric: str | None = None
    patience: int | None = None

    def __init__(
        self,
        model: nn.Module,
        recipe: TrainingRecipe,
        train: Any,
        sampler: EpochSampler,
        learning_rate: float,
        callbacks: Sequence[TrainerCallback] = (),
        **options: Any,
    ) -> None:
        self.recipe = recipe
        self.sampler = sampler
        super().__init__(
            model=model,
            args=training_arguments(recipe, len(sampler), learning_rate),
            train_dataset=train,
            callbacks=[_Bookkeeping(self), *callbacks],
            **options,
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False  # the loss is a mean: Trainer divides it by the accumulation steps
        self.ema = ExponentialMovingAverage(model, recipe.ema**self.ema_interval)
        self.teachers: dict[str, Any] = {}
        self.regularizers = make_regularizers(recipe.regularizer)
        for regularizer in self.regularizers:
            regularizer.check(self)

    # --- what a job defines ---

    @abstractmethod
    def measure(self) -> dict[str, float]:
        """Measures of the model as it is now on dev, by name; called in the first process only."""

    def learning_rate_of(self, name: str) -> float:
        """The learning rate of a parameter; one for all where a job says nothing."""
        return self.args.learning_rate

    @property
    @abstractmethod
    def divergences(self) -> Sequence[str]:
        """By which divergences two passes can be compared; see `regularizers.Job` for this and the next ones."""

    @property
    @abstractmethod
    def entrance(self) -> nn.Module:
        """The module whose output is the input as numbers."""

    @abstractmethod
    def kept(self, inputs: Inputs) -> Tensor | None:
        """What of that output is no padding."""

    @abstractmethod
    def doubled(self, inputs: Inputs) -> Inputs:
        """A batch twice, one after the other."""

    @abstractmethod
    def bring_teacher(self, folder: str) -> None:
        """Load the model in a folder into `teachers`; raises `OptionError` if it cannot teach this one."""

    @abstractmethod
    def taught(self, folder: str, inputs: Inputs) -> Any:
        """What a teacher says of a batch."""

    # --- optimisation ---

    def compute_loss(self, model: nn.Module, inputs: Inputs, *args: Any, **kwargs: Any) -> Tensor:
        """The loss of the batch, with the penalties of the recipe's regularisers."""
        if not self.regularizers:
            return model(**inputs)["loss"]
        return regularized_loss(self, self.regularizers, model, inputs)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self.sampler

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with the learning rates of the job; only the matrices of linear and convolution layers decay."""
        if self.optimizer is None:
            self.optimizer = AdamW(self._parameter_groups(), betas=(0.9, 0.999), eps=1e-8, fused=True)
        return self.optimizer

    def _parameter_groups(self) -> list[dict[str, Any]]:
        kinds = (nn.Linear, nn.Conv2d)
        decaying = {id(module.weight) for module in self.model.modules() if isinstance(module, kinds)}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            decay = self.recipe.weight_decay if id(parameter) in decaying else 0.0
            groups.setdefault((self.learning_rate_of(name), decay), []).append(parameter)
        return [
            {"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()
        ]

    # --- dev ---

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measures of the averaged weights on dev; new best weights are kept."""
        if self.state.global_step % self.ema_interval:
            self.ema.update()
        with self.ema.applied():
            measured = from_first_process(self.measure() if self.is_world_process_zero() else {})
            metrics = {f"eval_{name}": value for name, value in measured.items()}
            if self.is_world_process_zero() and self._is_gain(metrics):
                self._keep_best()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _is_gain(self, metrics: dict[str, float]) -> bool:
        return self.metric is None or is_gain(metrics[f"eval_{self.metric}"], self._history())

    def _history(self) -> list[float]:
        key = f"eval_{self.metric}"
        return [entry[key] for entry in self.state.log_history if key in entry]

    @property
    def out_of_patience(self) -> bool:
        """Whether too many evaluations have passed since the last gain."""
        if self.patience is None:
            return False
        history = self._history()
        gains = [index for index, score in enumerate(history) if is_gain(score, history[:index])]
        return bool(gains) and len(history) - 1 - gains[-1] >= self.patience

    @property
    def _best(self) -> Path:
        return Path(self.args.output_dir) / BEST

    def _keep_best(self) -> None:
        partial = self._best.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        save_model(self.accelerator.unwrap_model(self.model), str(partial))  # knows weights with two names
        partial.replace(self._best)

    def load_best(self) -> None:
        """Put the weights that were kept into the model."""
        load_model(self.accelerator.unwrap_model(self.model), self._best)

    # --- checkpoints ---

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process writes its own random state
        if self.is_world_process_zero():
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            self.ema.save(folder / EMA_FILE)
            if self._best.exists():
                shutil.copyfile(self._best, folder / BEST)
            complete_checkpoint(folder)

    def train_or_resume(self) -> None:
        """Train from the newest complete checkpoint in the output folder, or from the start."""
        checkpoint = from_first_process(self._begin() if self.is_world_process_zero() else None)
        if checkpoint is None:
            self.train()
            return
        self.ema.load(checkpoint / EMA_FILE)
        self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        if self.state.global_step < self.state.max_steps and not self.out_of_patience:
            self.train(resume_from_checkpoint=str(checkpoint))

    def _begin(self) -> Path | None:
        """The checkpoint to go on from; the best weights become those that were best when it was written."""
        checkpoint = newest_checkpoint(Path(self.args.output_dir))
        self._best.unlink(missing_ok=True)
        if checkpoint is not None and (checkpoint / BEST).exists():
            shutil.copyfile(checkpoint / BEST, self._best)
        return checkpoint


def is_gain(score: float, before: Sequence[float]) -> bool:
    """Whether it is the best so far; where nothing right was ever found, the later weights are the better guess."""
    best = max(before, default=float("-inf"))
    return score > best or score == best == 0.0


class _Bookkeeping(TrainerCallback):
    """Order of batches, moving average, when dev is measured, early stopping."""

    def __init__(self, trainer: ResumableTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Choose the order: accelerate does not reach the sampler of a resumed epoch in several processes."""
        self.trainer.sampler.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure dev at the end of an epoch and of the training, as part of the last step."""
        if state.global_step % self.trainer.ema_interval == 0:
            self.trainer.ema.update()
        control.should_evaluate = float(state.epoch).is_integer() or state.global_step >= state.max_steps
        if control.should_save:  # the logged loss is a mean since the last log, of which a checkpoint knows nothing
            control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Refuse to go on with weights that hold no number."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {state.global_step}: nothing after it can be used. Lower the learning "
                "rates, or train with --set precision=float32; the last good checkpoint is kept"
            )

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop when dev no longer gains."""
        control.should_training_stop = control.should_training_stop or self.trainer.out_of_patience
