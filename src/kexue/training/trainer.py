"""The transformers Trainer set up for extraction: what is kept, how dev is measured, how a training resumes.

A checkpoint to resume from holds the raw weights, optimiser, schedule, random state and moving average, and a file
`complete` that is written last; one without it (the process was killed while writing) is not used. Batches depend on
(seed, epoch) alone, so a resumed training has the same losses as an unbroken one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.optim import AdamW
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from kexue.encoders.tokenization import TextTokenizer
from kexue.extraction.document import Document
from kexue.extraction.inference import find_candidates
from kexue.extraction.judge import Judgement, judge
from kexue.extraction.model import ExtractionModel
from kexue.files import atomic_folder
from kexue.training.dataset import Collator, ExtractionDataset, LengthGroupedSampler
from kexue.training.ema import ExponentialMovingAverage
from kexue.training.recipe import Recipe

EMA_FILE = "ema.safetensors"
COMPLETE = "complete"
BEST = "best"
NO_DECAY = ("bias", "norm", "LayerNorm", "embeddings")


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
            eval_dataset=list(dev),
            callbacks=[_Bookkeeping(self), *callbacks],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False  # the loss is a mean: Trainer divides it by the accumulation steps
        self.ema = ExponentialMovingAverage(model, recipe.ema)
        self.metric = "eval_relations_f1" if model.head.labels.schema.predicates else "eval_entities_f1"

    # --- optimisation ---

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        return self.sampler

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with a learning rate for the encoder and one for the rest; no decay on biases and norms."""
        if self.optimizer is None:
            self.optimizer = AdamW(self._parameter_groups(), betas=(0.9, 0.999), eps=1e-8)
        return self.optimizer

    def _parameter_groups(self) -> list[dict[str, Any]]:
        groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            rate = self.encoder_lr if name.startswith("encoder.") else self.recipe.head_lr
            decay = 0.0 if any(part in name for part in NO_DECAY) else self.recipe.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
        return [
            {"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()
        ]

    # --- dev ---

    def judge_dev(self, *, floor: float) -> Judgement:
        """The dev documents through the model as it is now."""
        model: ExtractionModel = self.accelerator.unwrap_model(self.model)
        model.eval()
        found = find_candidates(model, self.text_tokenizer, [document.text for document in self.dev], floor=floor)
        with self.compute_loss_context_manager():
            return judge(self.dev, found, model.head.labels)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Dev precision, recall and F1 of the averaged weights; new best weights are kept."""
        with self.ema.applied():
            scores = self.judge_dev(floor=0.0).f1() if self.is_world_process_zero() else {}
            scores = _from_first_process(scores)
            metrics = {f"eval_{name}": value for name, value in scores.items()}
            if metrics[self.metric] > max(self._history(), default=-1.0):
                self._keep_best()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _history(self) -> list[float]:
        return [entry[self.metric] for entry in self.state.log_history if self.metric in entry]

    @property
    def evaluations_without_gain(self) -> int:
        """How many evaluations have passed since the best one."""
        history = self._history()
        return len(history) - 1 - history.index(max(history)) if history else 0

    def _keep_best(self) -> None:
        if self.is_world_process_zero():
            with atomic_folder(Path(self.args.output_dir) / BEST) as folder:
                weights = self.accelerator.unwrap_model(self.model).state_dict()
                save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")

    def load_best(self) -> None:
        """Put the weights with the best dev F1 into the model."""
        weights = load_file(Path(self.args.output_dir) / BEST / "model.safetensors")
        self.accelerator.unwrap_model(self.model).load_state_dict(weights)

    # --- checkpoints ---

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.is_world_process_zero():
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            self.ema.save(folder / EMA_FILE)
            os.sync()
            (folder / COMPLETE).touch()

    def train_or_resume(self) -> None:
        """Train from the newest complete checkpoint in the output folder, or from the start."""
        checkpoint = newest_checkpoint(Path(self.args.output_dir))
        if checkpoint is not None:
            self.ema.load(checkpoint / EMA_FILE)
        self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


class _Bookkeeping(TrainerCallback):
    """Order of batches, moving average, early stopping."""

    def __init__(self, trainer: ExtractionTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.sampler.set_epoch(int((state.epoch or 0) + 1e-6))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.ema.update()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.trainer.evaluations_without_gain >= self.trainer.recipe.patience:
            control.should_training_stop = True


def training_arguments(recipe: Recipe, num_examples: int) -> TrainingArguments:
    """The recipe in the Trainer's words."""
    steps_per_epoch = max(1, num_examples // (recipe.batch_size * recipe.gradient_accumulation))
    return TrainingArguments(
        output_dir=str(recipe.output / "training"),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.head_lr,
        warmup_steps=recipe.warmup,
        lr_scheduler_type="linear",
        max_grad_norm=recipe.max_grad_norm,
        bf16=uses_bfloat16(recipe),
        use_cpu=device_of(recipe).type == "cpu",
        gradient_checkpointing=recipe.gradient_checkpointing,
        seed=recipe.seed,
        data_seed=recipe.seed,
        eval_strategy="epoch",
        save_strategy="steps",
        save_steps=recipe.save_steps,
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=max(1, min(50, steps_per_epoch // 4)),
        logging_nan_inf_filter=False,
        report_to=["tensorboard"] if _has_tensorboard() else [],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device_of(recipe).type == "cuda",
        ddp_find_unused_parameters=False,
    )


def device_of(recipe: Recipe) -> torch.device:
    """The device asked for, or the best there is."""
    return torch.device(recipe.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def uses_bfloat16(recipe: Recipe) -> bool:
    """Whether the encoder runs in bfloat16: as asked for, or where the hardware multiplies in it."""
    if recipe.precision != "auto":
        return recipe.precision == "bfloat16"
    if device_of(recipe).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # newer than the oldest torch we allow
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def newest_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint; what a killed process left unfinished after it is removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    complete = [path for path in found if (path / COMPLETE).exists()]
    for path in set(found) - set(complete):
        shutil.rmtree(path)
    return complete[-1] if complete else None


def _from_first_process(values: dict[str, float]) -> dict[str, float]:
    if dist.is_available() and dist.is_initialized():
        box = [values]
        dist.broadcast_object_list(box, src=0)
        return box[0]
    return values


def _has_tensorboard() -> bool:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        return False
    return True
