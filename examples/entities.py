"""Find entities with GlobalPointer: every span of every type gets a score (kexue.fm/archives/8373).

python examples/entities.py [--quick] [--output runs/entities]
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
    """Train, measure, and mark the entities of a new sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny encoder and few sentences")
    parser.add_argument("--output", type=Path, default=Path("runs/entities"))
    options = parser.parse_args()

    parts = {name: read_documents(demo_path("phee", name)).documents for name in ("train", "dev", "test")}
    if options.quick:
        parts = {name: documents[:48] for name, documents in parts.items()}
    files = {name: options.output / f"{name}.jsonl" for name in parts}
    for name, documents in parts.items():
        write_documents(documents, files[name])

    recipe = ExtractionRecipe.from_values(
        {
            "train": files["train"],
            "dev": files["dev"],
            "output": options.output / "model",
            "head": "global_pointer",
            "encoder": "gau-tiny" if options.quick else "minilm",
            "epochs": 1 if options.quick else 5,
        }
    )
    extractor = Extractor.from_pretrained(train(recipe, overwrite=True))

    found = extractor.extract([document.text for document in parts["test"]])
    report = evaluate(parts["test"], found, bootstrap_samples=0).to_json()["entities"]
    print(f"test: P {report['precision']:.3f} R {report['recall']:.3f} F1 {report['f1']:.3f}")
    for label, scores in report["by_label"].items():
        print(f"    {label}: F1 {scores['f1']:.3f} of {scores['gold']}")

    document = extractor("Intravenous vancomycin for endocarditis was followed by neutropenia.")
    for span in document.entities:
        print(f"{span.surface(document.text)} | {span.label} | {span.score:.2f}")


if __name__ == "__main__":
    main()
