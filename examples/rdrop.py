"""R-Drop for GlobalPointer: the divergence that fits the loss, softmax's, and none (kexue.fm/archives/9039).

python examples/rdrop.py [--quick] [--output runs/rdrop]

`kexue study divergence` does the same with all regularisers, over seeds and with intervals.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from rich.console import Console

from kexue.data import demo_path
from kexue.extraction.formats import read_documents, write_documents
from kexue.ops.divergence import sigmoid_divergence, softmax_divergence
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train

REGULARIZERS = {
    "none": None,
    "R-Drop": {"name": "rdrop", "alpha": 4.0},
    "R-Drop, softmax": {"name": "rdrop", "alpha": 4.0, "divergence": "softmax"},
}


def main() -> None:
    """What the two divergences see, then what they are worth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny encoder and few sentences")
    parser.add_argument("--output", type=Path, default=Path("runs/rdrop"))
    options = parser.parse_args()

    scores = torch.tensor([2.0, -1.0, -9.0])
    for name, other in {"all shifted by 3": scores - 3, "a sure no, surer": torch.tensor([2.0, -1.0, -14.0])}.items():
        by_sigmoid, by_softmax = sigmoid_divergence(scores, other), softmax_divergence(scores, other)
        print(f"{name}: sigmoid {float(by_sigmoid):.4f}, softmax {float(by_softmax):.4f}")

    files = {name: options.output / f"{name}.jsonl" for name in ("train", "dev")}
    for name, path in files.items():
        documents = read_documents(demo_path("phee", name)).documents
        write_documents(documents[: 16 if options.quick else 500], path)  # few sentences: here it may help
    size = {"encoder": "gau-tiny", "epochs": 1} if options.quick else {"encoder": "minilm", "epochs": 10}
    for name, regularizer in REGULARIZERS.items():
        output = options.output / name.replace(", ", "-")
        values = {"train": files["train"], "dev": files["dev"], "output": output, "regularizer": regularizer}
        folder = train(ExtractionRecipe.from_values(values | size), console=Console(quiet=True), overwrite=True)
        dev = json.loads((folder / "kexue.json").read_text("utf-8"))["metrics"]["dev"]
        print(f"{name}: relations F1 {dev['relations_f1']:.3f}, entities F1 {dev['entities_f1']:.3f}")


if __name__ == "__main__":
    main()
