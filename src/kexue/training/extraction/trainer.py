"""The trainer of extractors: batches of documents, dev measured as it will be extracted, two learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from transformers import TrainerCallback

from kexue.encoders.tokenization import TextTokenizer
from kexue.extraction.document import Document
from kexue.extraction.inference import find_candidates
from kexue.extraction.judge import Judgement, judge
from kexue.extraction.model import ExtractionModel
from kexue.training.extraction.dataset import Collator, ExtractionDataset, LengthGroupedSampler
from kexue.training.extraction.packing import Packing
from kexue.training.extraction.recipe import ExtractionRecipe
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

    def judge_dev(self, *, floor: float) -> Judgement:
        """The dev documents through the model as it is now, in float32 as they are extracted later."""
        model: ExtractionModel = self.accelerator.unwrap_model(self.model).eval()
        found = find_candidates(model, self.text_tokenizer, [document.text for document in self.dev], floor=floor)
        return judge(self.dev, found, model.head.labels)

    def measure(self) -> dict[str, float]:
        """Precision, recall and F1 on dev."""
        return self.judge_dev(floor=0.0).f1()
