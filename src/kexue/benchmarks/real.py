"""Real text: sentences of the demo data, a model trained on them, long documents made of them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from itertools import cycle, islice
from pathlib import Path

from rich.console import Console

from kexue.data import demo_path
from kexue.encoders.tokenization import TextTokenizer, Tokens
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents, write_documents
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train

FEW = 40
"""Sentences, for `--quick`."""


def demo_sentences(number: int, split: str = "test") -> list[Document]:
    """So many annotated sentences of PHEE, from the beginning again where there are no more."""
    return list(islice(cycle(read_documents(demo_path("phee", split)).documents), number))


def long_document(tokenizer: TextTokenizer, num_tokens: int) -> Tokens:
    """Sentences of the test part, one after the other, cut after so many tokens."""
    sentences = tokenizer([document.text for document in demo_sentences(num_tokens // 4 + 1)])
    ids = [number for tokens in sentences for number in tokens.ids][:num_tokens]
    return Tokens(ids, list(range(num_tokens)), list(range(1, num_tokens + 1)))


def add_model_options(parser: ArgumentParser) -> None:
    """Which model is measured."""
    parser.add_argument("--model", type=Path, help="a trained model (default: train one on the demo data first)")
    parser.add_argument("--encoder", default="minilm", help="of a model that is trained first (default minilm)")
    parser.add_argument("--epochs", type=float, default=3.0, help="of a model that is trained first (default 3)")
    parser.set_defaults(data=demo_path("phee", "train"))


def shrink_model(options: Namespace, folder: Path) -> None:
    """The smallest model there is, hardly trained, for `--quick`."""
    options.encoder, options.epochs, options.data = "gau-tiny", 0.2, few_sentences(folder)


def few_sentences(folder: Path) -> Path:
    """A file of a few annotated sentences."""
    path = folder / "few.jsonl"
    write_documents(demo_sentences(FEW), path)
    return path


def trained_model(folder: Path, options: Namespace) -> Path:
    """The model that was given, or one trained into the folder."""
    if options.model is not None:
        return Path(options.model)
    values = {"train": options.data, "output": folder, "encoder": options.encoder, "epochs": options.epochs}
    recipe = ExtractionRecipe.from_values(values | {"seed": options.seed, "device": "cpu"}, source="benchmark")
    return train(recipe, console=Console(quiet=True))
