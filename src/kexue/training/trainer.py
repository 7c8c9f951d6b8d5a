"""The transformers Trainer set up for extraction: what is kept, how dev is measured, how a training resumes.

A checkpoint to resume from holds the raw weights, optimiser, schedule, random state, moving average and the best
weights so far. Batches depend on (seed, epoch) alone, dev is measured and the loss logged before a checkpoint of the
same step is written, so a resumed training has the same losses, scores and weights as an unbroken one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import AdamW
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from kexue.encoders.tokenization import TextTokenizer
from kexue.extraction.document import Document
from kexue.extraction.inference import find_candidates
from kexue.extraction.judge import Judgement, judge
from kexue.extraction.model import ExtractionModel
from kexue.training.arguments import training_arguments
from kexue.training.checkpoints import complete_checkpoint, newest_checkpoint
from kexue.training.dataset import Collator, ExtractionDataset, LengthGroupedSampler
from kexue.training.ema import ExponentialMovingAverage
from kexue.training.processes import from_first_process
from kexue.training.recipe import Recipe

EMA_FILE = "ema.safetensors"
EMA_INTERVAL = 10  # steps between updates: each passes over all weights, which would cost a tenth of a short step
BEST = "best.safetensors"


class ExtractionTrainer(Trainer):
    """Trains an `ExtractionModel`; after `train`, `load_best` puts the weights with the best dev F1 into the model."""

    def __init__(
        self,
        model: ExtractionModel,
        tokenizer: TextTokenizer,
        train: ExtractionDataset,
        dev: Sequence[Document],
        recipe: Recipe,
        encoder_lr: float,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.recipe = recipe
        self.encoder_lr = encoder_lr
        self.text_tokenizer = tokenizer
        self.dev = dev
        self.sampler = LengthGroupedSampler(train.lengths, recipe.batch_size, recipe.seed)
        super().__init__(
            model=model,
            args=training_arguments(recipe, len(train)),
            data_collator=Collator(tokenizer, model.head.targets, model.config.window, model.config.overlap),
            train_dataset=train,
            callbacks=[_Bookkeeping(self), *callbacks],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False  # the loss is a mean: Trainer divides it by the accumulation steps
        self.ema = ExponentialMovingAverage(model, recipe.ema**EMA_INTERVAL)
        self.metric = "eval_relations_f1" if model.head.labels.schema.predicates else "eval_entities_f1"

    # --- optimisation ---

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        return self.sampler

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with a learning rate for the encoder and one for the rest; only matrices of linear layers decay."""
        if self.optimizer is None:
            self.optimizer = AdamW(self._parameter_groups(), betas=(0.9, 0.999), eps=1e-8, fused=True)
        return self.optimizer

    def _parameter_groups(self) -> list[dict[str, Any]]:
        decaying = {id(module.weight) for module in self.model.modules() if isinstance(module, nn.Linear)}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            rate = self.encoder_lr if name.startswith("encoder.") else self.recipe.head_lr
            decay = self.recipe.weight_decay if id(parameter) in decaying else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
        return [
            {"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()
        ]

    # --- dev ---

    def judge_dev(self, *, floor: float) -> Judgement:
        """The dev documents through the model as it is now, in float32 as they are extracted later."""
        model: ExtractionModel = self.accelerator.unwrap_model(self.model).eval()
        found = find_candidates(model, self.text_tokenizer, [document.text for document in self.dev], floor=floor)
        return judge(self.dev, found, model.head.labels)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Dev precision, recall and F1 of the averaged weights; new best weights are kept."""
        if self.state.global_step % EMA_INTERVAL:
            self.ema.update()
        with self.ema.applied():
            scores = from_first_process(self.judge_dev(floor=0.0).f1() if self.is_world_process_zero() else {})
            metrics = {f"eval_{name}": value for name, value in scores.items()}
            if self.is_world_process_zero() and _is_gain(metrics[self.metric], self._history()):
                self._keep_best()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _history(self) -> list[float]:
        return [entry[self.metric] for entry in self.state.log_history if self.metric in entry]

    @property
    def out_of_patience(self) -> bool:
        """Whether too many evaluations have passed since the last gain."""
        history = self._history()
        gains = [index for index, score in enumerate(history) if _is_gain(score, history[:index])]
        return bool(gains) and len(history) - 1 - gains[-1] >= self.recipe.patience

    @property
    def _best(self) -> Path:
        return Path(self.args.output_dir) / BEST

    def _keep_best(self) -> None:
        weights = self.accelerator.unwrap_model(self.model).state_dict()
        partial = self._best.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in weights.items()}, partial)
        partial.replace(self._best)

    def load_best(self) -> None:
        """Put the weights with the best dev F1 into the model."""
        self.accelerator.unwrap_model(self.model).load_state_dict(load_file(self._best))

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


def _is_gain(score: float, before: Sequence[float]) -> bool:
    """Whether it is the best so far; where nothing right was ever found, the later weights are the better guess."""
    return score > max(before, default=0.0) or score == max(before, default=0.0) == 0.0


class _Bookkeeping(TrainerCallback):
    """Order of batches, moving average, when dev is measured, early stopping."""

    def __init__(self, trainer: ExtractionTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Choose the order: accelerate does not reach the sampler of a resumed epoch in several processes."""
        self.trainer.sampler.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure dev at the end of an epoch and of the training, as part of the last step."""
        if state.global_step % EMA_INTERVAL == 0:
            self.trainer.ema.update()
        control.should_evaluate = float(state.epoch).is_integer() or state.global_step >= state.max_steps
        if control.should_save:  # the logged loss is a mean since the last log, of which a checkpoint knows nothing
            control.should_log = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop when dev no longer gains."""
        control.should_training_stop = control.should_training_stop or self.trainer.out_of_patience
