"""The trainer of extractors: batches of documents, dev measured as it will be extracted, two learning rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.windows import WindowBatch
from kexue.errors import OptionError
from kexue.extraction.checkpoint import load_checkpoint
from kexue.extraction.document import Document
from kexue.extraction.heads.head import PairScoring
from kexue.extraction.inference import Found, find_candidates
from kexue.extraction.judge import Judgement, judge
from kexue.extraction.model import ExtractionModel
from kexue.extraction.said import DIVERGENCES, SaidOfTexts
from kexue.training.extraction.dataset import Collator, ExtractionDataset, LengthGroupedSampler
from kexue.training.extraction.packing import Packing
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.regularizers import Inputs
from kexue.training.resumable import ResumableTrainer


class ExtractionTrainer(ResumableTrainer):
    """Trains an `ExtractionModel`, and keeps the weights with the best dev F1."""

    ema_interval: ClassVar[int] = 10  # an update of every weight would cost a tenth of a short step

    def __init__(
        self,
        model: ExtractionModel,
        tokenizer: TextTokenizer,
        train: ExtractionDataset,
        dev: Sequence[Document],
        recipe: ExtractionRecipe,
        encoder_lr: float,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.encoder_lr = encoder_lr
        self.text_tokenizer = tokenizer
        self.dev = dev
        self.metric = model.head.labels.metric
        self.patience = recipe.patience
        packing = Packing(train.lengths, share=recipe.packing, window=model.config.window, seed=recipe.seed)
        super().__init__(
            model,
            recipe,
            train,
            LengthGroupedSampler(train.lengths, packing, recipe.batch_size, recipe.seed),
            learning_rate=recipe.head_lr,
            callbacks=callbacks,
            data_collator=Collator(tokenizer, model.head.targets, model.config.window, model.config.overlap),
        )

    def learning_rate_of(self, name: str) -> float:
        """A learning rate for the encoder and one for the rest."""
        return self.encoder_lr if name.startswith("encoder.") else self.args.learning_rate

    # --- regularisers ---

    @property
    def divergences(self) -> Sequence[str]:
        """All, where the head's loss is made of scores of token pairs."""
        return tuple(DIVERGENCES) if isinstance(self.model.head, PairScoring) else ()

    @property
    def entrance(self) -> nn.Module:
        """The embedding of tokens."""
        return self.model.encoder.get_input_embeddings()

    def kept(self, inputs: Inputs) -> Tensor:
        """The tokens of the windows."""
        return inputs["attention_mask"][..., None]

    def doubled(self, inputs: Inputs) -> Inputs:
        """Windows, texts and labels of the second copy are counted on after those of the first."""
        texts = inputs["mask"].new_tensor([len(inputs["mask"]), 0, 0, 0], dtype=torch.long)
        moved = {"gather": inputs["input_ids"].numel()} | {
            name: texts for name in inputs if name.endswith("_positives")
        }
        return {
            name: torch.cat((value, value + moved[name] if name in moved else value)) for name, value in inputs.items()
        }

    def bring_teacher(self, folder: str) -> None:
        """Both models have to read the same tokens and to score the same labels."""
        teacher, model = load_checkpoint(folder), self.model
        reads_alike = teacher.tokenizer.get_vocab() == self.text_tokenizer.tokenizer.get_vocab()
        for alike, what in (
            (reads_alike, "reads other tokens (its vocabulary differs)"),
            (teacher.model.head.labels.names == model.head.labels.names, "has other entity types"),
            (teacher.schema.predicates == model.head.labels.schema.predicates, "has other relation types"),
            (type(teacher.model.head) is type(model.head), "has another head"),
            (
                (teacher.text_tokenizer.max_window or model.config.window) >= model.config.window,
                "reads shorter windows",
            ),
        ):
            if not alike:
                raise OptionError(f"regularizer 'distillation': teacher {folder} {what} than the model to be trained")
        self.teachers[folder] = teacher.model.to(self.args.device)

    @torch.no_grad()
    def taught(self, folder: str, inputs: Inputs) -> SaidOfTexts:
        """The scores of the model in a folder, without dropout."""
        teacher: ExtractionModel = self.teachers[folder]
        with self.accelerator.autocast():
            hidden = teacher.hidden_states(WindowBatch(*(inputs.get(name) for name in WindowBatch.__slots__)))
            return SaidOfTexts(teacher.head.scores(hidden), inputs["mask"])

    # --- dev ---

    def judge_dev(self, *, floor: float) -> Judgement:
        """The dev documents through the model as it is now."""
        return judge(self.dev, self.find_dev(floor=floor), self.accelerator.unwrap_model(self.model).head.labels)

    def find_dev(self, *, floor: float) -> Iterator[Found]:
        """The candidates of the dev documents, in float32 as they are extracted later."""
        model: ExtractionModel = self.accelerator.unwrap_model(self.model).eval()
        return find_candidates(model, self.text_tokenizer, [document.text for document in self.dev], floor=floor)

    def measure(self) -> dict[str, float]:
        """Precision, recall and F1 on dev."""
        return self.judge_dev(floor=0.0).f1()
