"""A transformers pipeline: `pipeline("relation-extraction", model=FOLDER)`, once this module is imported.

    import kexue.integrations.transformers
    from transformers import pipeline

    find = pipeline("relation-extraction", model="runs/mine")
    find("Aspirin caused a rash.")["relations"]

transformers knows the tasks that were registered in its process and no others, and a folder could bring its own only
as code that `trust_remote_code` runs. So the import is needed and `trust_remote_code` is not.

The network is transformers' to load and to place; batches, confidences and thresholds are the extractor's, so that
the answers are the same, however many texts are asked together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedTokenizerBase
from transformers.pipelines import PIPELINE_REGISTRY, Pipeline

from kexue.errors import OptionError, unknown
from kexue.extraction.checkpoint import Checkpoint, read_content
from kexue.extraction.decision import Decision
from kexue.extraction.document import Document
from kexue.extraction.model import ExtractionModel
from kexue.files import digest
from kexue.manifest import MANIFEST
from kexue.pipelines.extractor import CHUNK, Extractor, Input, in_chunks
from kexue.pipelines.hub import local_folder

TASK = "relation-extraction"
BATCH_SIZE = 32
"""Texts of a stream that are read before the first of them is answered."""

DTYPES: dict[torch.dtype, Literal["float32", "bfloat16"]] = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class RelationExtractionPipeline(Pipeline):
    """Texts to dictionaries of entities, relations and events, as `Document.to_json` writes them, without the text.

    Arguments of the pipeline or of a call: `threshold` reports everything from this confidence on, `precision` takes
    the thresholds that reached it on dev; `batch_size` texts at most go through the network at a time. `num_workers`
    has nothing to do. Strings and lists are answered at once, a generator or a `Dataset` one by one as it is read.
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def __init__(self, model: ExtractionModel, tokenizer: PreTrainedTokenizerBase, **options: Any) -> None:
        if not isinstance(model, ExtractionModel):
            raise OptionError(f"{TASK} takes a model that kexue trained, got {type(model).__name__}")
        asked = options.get("dtype")
        dtype = asked if isinstance(asked, torch.dtype) else model.dtype
        if dtype not in DTYPES:
            raise OptionError(f"{TASK} computes in float32 or bfloat16, got {dtype}")
        super().__init__(model, tokenizer, **options)
        stored = _stored(model.name_or_path)
        checkpoint = Checkpoint(self.model.float(), tokenizer, **stored)
        self.extractor = Extractor(checkpoint, device=str(self.device), dtype=DTYPES[dtype])

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """The answer to a text, a list of answers to a list, a stream of answers to a stream."""
        options["batch_size"] = options.get("batch_size") or self._batch_size or BATCH_SIZE
        if isinstance(inputs, list | tuple):
            return super().__call__(list(inputs), **options) if inputs else []
        return super().__call__(inputs, **options)

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
        """Write the model as `kexue train` does, without code."""
        self.extractor.save_pretrained(save_directory)

    # --- what the base class asks for ---

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for name in options:
            if name not in ("threshold", "precision"):
                raise OptionError(unknown("argument", name, ("threshold", "precision", "batch_size")))
        return {}, options, {}

    def preprocess(self, input_: Input, **options: Any) -> dict[str, Any]:
        """One text, as a batch of its own."""
        return {"texts": [input_], "batch_size": 1}

    def _forward(
        self, input_tensors: dict[str, Any], threshold: float | None = None, precision: float | None = None
    ) -> list[dict[str, Any]]:
        extractor = self.extractor
        if precision is not None:
            extractor = extractor.with_precision(precision)
        if threshold is not None:
            extractor = extractor.with_threshold(threshold)
        documents = extractor.extract(input_tensors["texts"], batch_size=input_tensors["batch_size"])
        return [_answer(document) for document in documents]

    def postprocess(self, model_outputs: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        """The only answer of a batch of one text."""
        (answer,) = model_outputs
        return answer

    def get_iterator(
        self,
        inputs: Any,
        num_workers: int,
        batch_size: int,
        preprocess_params: dict[str, Any],
        forward_params: dict[str, Any],
        postprocess_params: dict[str, Any],
    ) -> Iterator[dict[str, Any]]:
        """Answers in order. What has a length is sorted by the lengths of texts, a stream is taken as it comes."""
        known = isinstance(inputs, Sized)
        for part in in_chunks(_items(inputs), CHUNK if known else batch_size):
            yield from self.forward({"texts": part, "batch_size": batch_size}, **forward_params)


def _items(inputs: Any) -> Iterable[Input]:
    """The texts of a list, a generator or a data set, which may be one that only counts."""
    if isinstance(inputs, Sized) and not isinstance(inputs, Iterable):
        return (inputs[index] for index in range(len(inputs)))  # type: ignore[index]
    return inputs  # type: ignore[no-any-return]


def _answer(document: Document) -> dict[str, Any]:
    record = document.to_json()
    return {key: record[key] for key in ("entities", "relations", "events", "meta") if key in record}


def _stored(name_or_path: str) -> dict[str, Any]:
    """What a folder holds beside the network; the article's rule where the network comes from no folder."""
    if not name_or_path:
        return {}
    folder = local_folder(name_or_path)
    content = read_content(folder)
    return {
        "decision": Decision.from_json(content["decision"]),
        "recipe": content.get("recipe", {}),
        "metrics": content.get("metrics", {}),
        "fingerprint": digest(folder / MANIFEST),
        "provenance": content.get("provenance", {}),
    }


PIPELINE_REGISTRY.register_pipeline(
    TASK, pipeline_class=RelationExtractionPipeline, pt_model=ExtractionModel, type="text"
)
