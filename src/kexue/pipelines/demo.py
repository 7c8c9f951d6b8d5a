"""The demonstration: train on real sentences, measure on others, extract from new ones, show a page."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kexue.data import demo_path
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents
from kexue.extraction.metrics import evaluate, page
from kexue.files import atomic_write, write_json
from kexue.pipelines.evaluation import keep_evaluation, predict_and_judge
from kexue.pipelines.extractor import Extractor
from kexue.pipelines.facts_page import facts_page
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train

# Written for this demonstration; none of them is in the data.
NEW_SENTENCES = (
    "A 54-year-old man treated with amiodarone 200 mg daily for atrial fibrillation developed severe hypothyroidism.",
    "We report two cases of acute pancreatitis and hepatitis following oral valproic acid given for epilepsy.",
    "Rhabdomyolysis occurred after simvastatin and clarithromycin were taken together.",
    "The rash disappeared when lamotrigine was withdrawn.",
    "Intravenous vancomycin for endocarditis was followed by red man syndrome and neutropenia.",
    "No cardiac toxicity was seen with paclitaxel in this patient.",
)


def run_demo(folder: Path, *, epochs: float, seed: int, console: Console) -> None:
    """Train on PHEE (MIT), the annotated medical case reports inside the package, and write all results to `folder`."""
    console.rule("1. Training on 2,898 sentences of medical case reports (PHEE, MIT licence)")
    recipe = ExtractionRecipe.from_values(
        {
            "train": demo_path("phee", "train"),
            "dev": demo_path("phee", "dev"),
            "output": folder / "model",
            "encoder": "minilm",
            "epochs": epochs,
            "seed": seed,
        },
        source="demo",
    )
    began = time.monotonic()
    train(recipe, console=console, overwrite=True)
    console.print(f"trained in {time.monotonic() - began:.0f} s", highlight=False)

    console.rule("2. Measuring on 968 sentences it has not seen")
    extractor = Extractor.from_pretrained(folder / "model")
    gold = read_documents(demo_path("phee", "test")).documents
    predicted, calibration = predict_and_judge(extractor, gold)
    evaluation = evaluate(gold, predicted)
    write_json(folder / "report.json", evaluation.to_json() | calibration)
    keep_evaluation(folder / "model", demo_path("phee", "test"), evaluation.summary() | calibration)
    with atomic_write(folder / "errors.html") as file:
        file.write(page(evaluation, gold, predicted))
    console.print(_scores(evaluation.to_json()))

    console.rule("3. Facts from sentences written for this demonstration")
    found = extractor.extract(NEW_SENTENCES)
    for document in found:
        _show(document, console)
    with atomic_write(folder / "facts.html") as file:
        file.write(facts_page(found + predicted[:100], title="kexue demo: drug safety"))
    console.rule("Done")
    console.print(f"facts in their sentences: {folder / 'facts.html'}", highlight=False)
    console.print(f"errors in their sentences: {folder / 'errors.html'}", highlight=False)
    console.print(f"your own text: kexue extract {folder / 'model'} notes.txt --output facts.jsonl", highlight=False)
    console.print("your own data: kexue train train.jsonl --dev dev.jsonl --output runs/mine", highlight=False)


def _scores(report: dict) -> Table:
    table = Table("test", "precision", "recall", "F1", "95% interval of F1", "gold")
    rows = [("entities", report["entities"]), ("relations", report["relations"])]
    rows += [(f"  {name}", scores) for name, scores in report["relations"]["by_label"].items()]
    for name, scores in rows:
        interval = scores.get("interval")
        table.add_row(
            name,
            *(f"{scores[key]:.3f}" for key in ("precision", "recall", "f1")),
            f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "",
            str(scores["gold"]),
        )
    return table


def _show(document: Document, console: Console) -> None:
    console.print(document.text, highlight=False, markup=False)
    for fact in document.relations:
        console.print(
            f"    {fact.subject.surface(document.text)}  --{fact.predicate}-->  "
            f"{fact.object.surface(document.text)}   ({fact.score or 0:.2f})",
            highlight=False,
            markup=False,
        )
    if not document.relations:
        console.print("    no relation", style="dim")
