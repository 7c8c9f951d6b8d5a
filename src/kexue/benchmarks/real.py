"""Batches of real text: sentences of the demo data, their states from a pretrained encoder, long documents of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice

import torch
from transformers import PreTrainedModel

from kexue.benchmarks.synthetic import Batch
from kexue.data import demo_path
from kexue.encoders.tokenization import TextTokenizer, Tokens
from kexue.encoders.windows import collate, merge_windows
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents
from kexue.extraction.links import LinkEncoder
from kexue.extraction.schema import RelationType, Schema


def demo_sentences(number: int, split: str = "train") -> list[Document]:
    """So many annotated sentences of PHEE, from the beginning again where there are no more."""
    return list(islice(cycle(read_documents(demo_path("phee", split)).documents), number))


def schema_of(documents: Sequence[Document], num_predicates: int) -> Schema:
    """The labels of documents, filled up with predicates that never occur."""
    schema = Schema.from_documents(documents)
    missing = num_predicates - len(schema.predicates)
    return replace(
        schema, relation_types=schema.relation_types + tuple(RelationType(f"relation {n}") for n in range(missing))
    )


@torch.inference_mode()
def encode(
    encoder: PreTrainedModel, tokenizer: TextTokenizer, documents: Sequence[Document], schema: Schema
) -> Batch:
    """One batch of documents with the states that the encoder gives them as it is."""
    tokens = tokenizer([document.text for document in documents])
    windows = collate(tokens, tokenizer, window=254, overlap=64)
    states = encoder.eval()(input_ids=windows.input_ids, attention_mask=windows.attention_mask).last_hidden_state
    link = LinkEncoder(schema)
    links = [link(document, own) for document, own in zip(documents, tokens, strict=True)]
    return Batch(merge_windows(states, windows), windows.mask, links)


def long_document(tokenizer: TextTokenizer, num_tokens: int) -> Tokens:
    """Sentences of the test part, one after the other, cut after so many tokens."""
    sentences = tokenizer([document.text for document in demo_sentences(num_tokens // 4 + 1, "test")])
    ids = [number for tokens in sentences for number in tokens.ids][:num_tokens]
    return Tokens(ids, list(range(num_tokens)), list(range(1, num_tokens + 1)))
