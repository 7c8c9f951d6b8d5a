"""A recipe in the words of transformers' `TrainingArguments`."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from transformers import TrainingArguments

from kexue.errors import OptionError
from kexue.ops.device import choose_device
from kexue.training.processes import num_processes
from kexue.training.recipe import TrainingRecipe


def training_arguments(recipe: TrainingRecipe, num_examples: int, learning_rate: float) -> TrainingArguments:
    """Everything the Trainer is told; raises `OptionError` if a batch cannot be divided over the processes.

    A batch is the examples of one step, however many processes share them. What is evaluated and logged beside
    every `logging_steps` is decided by the trainer's own callback.
    """
    if recipe.batch_size % num_processes():
        raise OptionError(f"batch_size {recipe.batch_size} cannot be divided over {num_processes()} processes")
    device = choose_device(recipe.device)
    steps_per_epoch = max(1, num_examples // (recipe.batch_size * recipe.gradient_accumulation))
    arguments = TrainingArguments(
        output_dir=str(recipe.output / "training"),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        accelerator_config={"split_batches": True},
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=learning_rate,
        warmup_steps=recipe.warmup,
        lr_scheduler_type="linear",
        max_grad_norm=recipe.max_grad_norm,
        bf16=uses_bfloat16(recipe),
        use_cpu=device.type == "cpu",
        seed=recipe.seed,
        data_seed=recipe.seed,
        eval_strategy="no",
        save_strategy="steps",
        save_steps=recipe.save_steps or min(500, max(1, round(steps_per_epoch * recipe.epochs / 10))),
        logging_strategy="steps",
        logging_steps=max(1, min(50, steps_per_epoch // 4)),
        logging_nan_inf_filter=False,
        report_to=["tensorboard"] if find_spec("tensorboard") else [],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
        ddp_find_unused_parameters=False,
    )
    # With several GPUs and one process the Trainer would cut batches along their first dimension; ours are windows.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def uses_bfloat16(recipe: TrainingRecipe) -> bool:
    """Whether the network runs in bfloat16: as asked for, or where the hardware multiplies in it."""
    if recipe.precision != "auto":
        return recipe.precision == "bfloat16"
    if choose_device(recipe.device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # newer than the oldest torch we allow
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
