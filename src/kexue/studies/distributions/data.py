"""The classification data: features and classes, split into train and test the same way for every seed.

digits          8 x 8 pictures of digits, 10 classes; part of scikit-learn
fashion-mnist   28 x 28 pictures of clothes, 10 classes; a folder with the four files of Xiao et al. 2017
webnlg          which relation holds between two entities of a sentence; a folder with train_triples.json
                and test_triples.json
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document, Relation
from kexue.extraction.formats import read_documents


@dataclass(frozen=True)
class Split:
    """Features float[examples, features] and classes long[examples], to learn from and to test on."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    num_classes: int

    @property
    def num_features(self) -> int:
        """Width of the input."""
        return self.train[0].shape[1]


def digits() -> Split:
    """1,297 pictures to learn from, 500 to test on, in the order of the source."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise OptionError("this study needs scikit-learn: pip install 'kexue[studies]'") from error
    pixels, classes = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(classes, dtype=torch.long)
    return Split((x[:-500], y[:-500]), (x[-500:], y[-500:]), 10)


def fashion_mnist(folder: Path, num_train: int = 10_000) -> Split:
    """The first `num_train` of the 60,000 pictures to learn from, all 10,000 of the test set."""
    x, y = _idx(folder / "train-images-idx3-ubyte.gz", 16), _idx(folder / "train-labels-idx1-ubyte.gz", 8)
    test_x, test_y = _idx(folder / "t10k-images-idx3-ubyte.gz", 16), _idx(folder / "t10k-labels-idx1-ubyte.gz", 8)
    return Split((_pixels(x)[:num_train], y.long()[:num_train]), (_pixels(test_x), test_y.long()), 10)


def webnlg(folder: Path) -> Split:
    """One example for each annotated triple: words of the sentence, of both entities and between them."""
    train, test = (_triples(folder / f"{part}_triples.json") for part in ("train", "test"))
    predicates = sorted({relation.predicate for _, relation in train})
    index = {predicate: number for number, predicate in enumerate(predicates)}
    known = [(document, relation) for document, relation in test if relation.predicate in index]
    counts = Counter(word for document, relation in train for word in _words(document, relation))
    words = {word: number for number, word in enumerate(sorted(word for word, count in counts.items() if count > 1))}

    def tensors(examples: list[tuple[Document, Relation]]) -> tuple[Tensor, Tensor]:
        x = torch.zeros(len(examples), len(words))
        for row, (document, relation) in enumerate(examples):
            x[row, [words[word] for word in _words(document, relation) if word in words]] = 1.0
        return x, torch.tensor([index[relation.predicate] for _, relation in examples])

    return Split(tensors(train), tensors(known), len(predicates))


FOLDERS: dict[str, Callable[[Path], Split]] = {"fashion-mnist": fashion_mnist, "webnlg": webnlg}
"""The data sets that a user has to bring."""


def _idx(path: Path, header: int) -> Tensor:
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"cannot be read: {error}", path=path) from error
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).copy())


def _pixels(values: Tensor) -> Tensor:
    return values.view(-1, 784).float() / 255


def _triples(path: Path) -> list[tuple[Document, Relation]]:
    documents = read_documents(path).documents
    return [(document, relation) for document in documents for relation in document.relations]


def _words(document: Document, relation: Relation) -> Iterable[str]:
    """Words with their place, so that the same word inside and between the entities is two features."""
    subject, object = relation.subject, relation.object
    between = document.text[min(subject.end, object.end) : max(subject.start, object.start)]
    places = {"": document.text, "s:": subject.surface(document.text), "o:": object.surface(document.text)}
    places["b:" if subject.start < object.start else "B:"] = between
    return {place + word.lower() for place, text in places.items() for word in text.split()}
