"""Extract relations with GPLinker, and trade recall for precision (kexue.fm/archives/8888).

python examples/relations.py [--quick] [--output runs/relations]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kexue import Extractor
from kexue.data import demo_path
from kexue.extraction.formats import read_documents, write_documents
from kexue.extraction.metrics import evaluate
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train


def main() -> None:
    """Train, measure at three thresholds, and write the facts of the test sentences as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny encoder and few sentences")
    parser.add_argument("--output", type=Path, default=Path("runs/relations"))
    options = parser.parse_args()

    parts = {name: read_documents(demo_path("phee", name)).documents for name in ("train", "dev", "test")}
    if options.quick:
        parts = {name: documents[:16] for name, documents in parts.items()}
    files = {name: options.output / f"{name}.jsonl" for name in parts}
    for name, documents in parts.items():
        write_documents(documents, files[name])

    recipe = ExtractionRecipe.from_values(
        {
            "train": files["train"],
            "dev": files["dev"],
            "output": options.output / "model",
            "encoder": "gau-tiny" if options.quick else "minilm",
            "epochs": 1 if options.quick else 5,
            "constraints": {"has route": {"functional": True}},
        }
    )
    extractor = Extractor.from_pretrained(train(recipe, overwrite=True))

    texts = [document.text for document in parts["test"]]
    for name, chosen in {
        "best F1 on dev": extractor,
        "confidence 0.3": extractor.with_threshold(0.3),
        "confidence 0.9": extractor.with_threshold(0.9),
    }.items():
        report = evaluate(parts["test"], chosen.extract(texts), bootstrap_samples=0).to_json()["relations"]
        print(f"{name}: P {report['precision']:.3f} R {report['recall']:.3f} F1 {report['f1']:.3f}")

    write_documents(list(extractor.pipe(texts, batch_size=32)), options.output / "facts.csv")
    print(options.output / "facts.csv")


if __name__ == "__main__":
    main()
