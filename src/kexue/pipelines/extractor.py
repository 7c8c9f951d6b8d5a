"""A trained model as a function from text to documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from kexue.encoders.graph import compile_encoder
from kexue.errors import OptionError
from kexue.extraction.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from kexue.extraction.decision import Decision
from kexue.extraction.decoding import Bounds
from kexue.extraction.document import Document
from kexue.extraction.inference import Found, find_candidates
from kexue.extraction.schema import Schema
from kexue.ops.device import check_dtype, choose_device
from kexue.pipelines.hub import local_folder

CHUNK = 2048  # texts that `pipe` sorts by length together

Input = str | Document
T = TypeVar("T")


class Extractor:
    """Finds entities and relations in text.

        extractor = Extractor.from_pretrained("runs/my-model")
        document = extractor("Marie Curie was born in Warsaw.")
        for relation in document.relations: ...

    Texts may have any length: long ones are encoded in overlapping windows, and relations may join two windows.
    The result for a text does not depend on the texts beside it.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str | None = None,
        dtype: Literal["float32", "bfloat16"] = "float32",
        compile: bool = False,
    ) -> None:
        check_dtype(dtype)
        self.exported = checkpoint.exported
        self.device = choose_device("cpu" if self.exported and device is None else device)
        self.dtype = dtype
        if self.exported:
            self._refuse_what_is_of_torch(compile=compile)
        self.model = checkpoint.model.to(self.device).eval()
        self.tokenizer = checkpoint.text_tokenizer
        self.decision = checkpoint.decision
        self.recipe = checkpoint.recipe
        self.metrics = checkpoint.metrics
        self.fingerprint = checkpoint.fingerprint
        self.provenance = checkpoint.provenance
        self.bounds = Bounds()
        self.compiled = compile
        if compile:
            compile_encoder(self.model.encoder, width=self.model.config.window, precision=self._autocast)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        device: str | None = None,
        dtype: Literal["float32", "bfloat16"] = "float32",
        compile: bool = False,
    ) -> Extractor:
        """Load a folder written by `kexue train` or `kexue export`, or download one by its hub id.

        `dtype="bfloat16"` runs the encoder faster on hardware that multiplies in it; scores then move a little, so a
        fact near its threshold may come or go. `compile` compiles the encoder while it is loaded, which takes about a
        minute, for windows of any number and width. Neither is for an exported model, which runs on the CPU in
        onnxruntime.

        Raises `CheckpointError` if the folder is missing, damaged, or from a newer kexue, `OptionError` where the
        hardware or the model does not allow what is asked for.
        """
        return cls(load_checkpoint(local_folder(name_or_folder)), device=device, dtype=dtype, compile=compile)

    @property
    def schema(self) -> Schema:
        """The labels that this model extracts, with their constraints."""
        return self.model.head.labels.schema

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model, with the thresholds and constraints it has now, as a folder for `from_pretrained`.

        Raises `OptionError` for an exported model.
        """
        save_checkpoint(self.checkpoint, folder)

    @property
    def checkpoint(self) -> Checkpoint:
        """Everything that this model consists of."""
        return Checkpoint(
            self.model,
            self.tokenizer.tokenizer,
            self.decision,
            self.recipe,
            self.metrics,
            self.fingerprint,
            self.provenance,
            self.exported,
        )

    def with_precision(self, precision: float) -> Extractor:
        """The same model with the thresholds that reached this precision on dev.

        Stored are 0.8, 0.85, 0.9, 0.95 and 0.99; any other raises `OptionError`.
        """
        stored = sorted(self.decision.wanted, key=float)
        match = [name for name in stored if abs(float(name) - precision) < 1e-9]
        if not match:
            raise OptionError(
                f"no thresholds for precision {precision} are stored; there are {', '.join(stored) or 'none'}"
            )
        return self._with(replace(self.decision, thresholds=self.decision.wanted[match[0]]))

    def with_threshold(self, threshold: float) -> Extractor:
        """The same model, reporting every entity and relation from this confidence on."""
        if not 0 <= threshold <= 1:
            raise OptionError(f"a threshold is a confidence between 0 and 1, got {threshold}")
        thresholds = dict.fromkeys(self.model.head.labels.predicates, threshold)
        return self._with(replace(self.decision, thresholds=thresholds, entity_threshold=threshold))

    def with_schema(self, constraints: dict[str, dict[str, Any]]) -> Extractor:
        """The same model with further constraints, e.g. `{"capital of": {"functional": True}}`."""
        other = self._with(self.decision)
        other.model = self.model.with_schema(self.schema.with_constraints(constraints))
        return other

    def _with(self, decision: Decision) -> Extractor:
        other = object.__new__(Extractor)
        other.__dict__.update(self.__dict__, decision=decision)
        return other

    def __call__(self, item: Input) -> Document:
        """Extract from one text."""
        return self.extract([item])[0]

    def extract(
        self, items: Sequence[Input], *, batch_tokens: int | None = None, batch_size: int | None = None
    ) -> list[Document]:
        """Extract from texts, or from documents, which keep their id and meta; in the order given."""
        if isinstance(items, str | Document):
            raise OptionError("extract takes a list of texts; for one text call the extractor itself: extractor(text)")
        results: list[Document | None] = [None] * len(items)
        for found in self.candidates(items, batch_tokens=batch_tokens, batch_size=batch_size):
            results[found.index] = self.document(items[found.index], found)
        return [document for document in results if document is not None]

    def pipe(
        self,
        items: Iterable[Input],
        *,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        chunk: int = CHUNK,
    ) -> Iterator[Document]:
        """Extract from a stream, in order; `chunk` texts at a time are sorted by length and batched."""
        if isinstance(items, str | Document):
            raise OptionError(
                "pipe takes an iterable of texts; for one text call the extractor itself: extractor(text)"
            )
        for part in in_chunks(items, chunk):
            yield from self.extract(part, batch_tokens=batch_tokens, batch_size=batch_size)

    def candidates(
        self, items: Sequence[Input], *, batch_tokens: int | None = None, batch_size: int | None = None
    ) -> Iterator[Found]:
        """What was found above the decision's floor, before confidences and thresholds; longest texts first."""
        texts = [_text(item) for item in items]
        stream = find_candidates(
            self.model,
            self.tokenizer,
            texts,
            floor=self.decision.floor,
            bounds=self.bounds,
            batch_tokens=batch_tokens,
            batch_size=batch_size,
        )
        while True:
            with self._autocast():  # entered anew for each text: the caller's own work is not to run in it
                found = next(stream, None)
            if found is None:
                return
            yield found

    def document(self, item: Input, found: Found) -> Document:
        """What is reported of the candidates of one text."""
        head = self.model.head
        document: Document = head.task.assemble(_text(item), found.tokens, found.candidates, head.labels, self.decision)
        if isinstance(item, Document):
            document.id = item.id
            document.meta = {key: value for key, value in item.meta.items() if key != "cut"} | document.meta
        return document

    def _refuse_what_is_of_torch(self, *, compile: bool) -> None:
        """An option that would do nothing is a mistake."""
        for given, what in (
            (self.device.type != "cpu", f"on {self.device.type}"),
            (self.dtype != "float32", f"in {self.dtype}"),
            (compile, "compiled"),
        ):
            if given:
                raise OptionError(
                    f"an exported model runs in onnxruntime on the CPU and not {what}; give the model it was made from"
                )

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.dtype == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def _text(item: Input) -> str:
    text = item.text if isinstance(item, Document) else item
    if not isinstance(text, str):
        raise OptionError(f"a text must be a string or a Document, got {type(text).__name__}")
    return text


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one of what is left."""
    stream = iter(items)
    while part := list(islice(stream, size)):
        yield part
