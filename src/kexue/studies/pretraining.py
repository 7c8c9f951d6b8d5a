"""What does pre-training a small encoder on the text at hand bring, against none?

Writes pretraining.md, pretraining.jsonl with the outcome of every training as it comes, and the encoders beside them.
The text of a language is that of the train sentences of all sets that were given, and of all files in the folders
`english` and `chinese` where they were given; no text that dev or test of a set has is among it.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from kexue.encoders.loading import quiet_transformers
from kexue.extraction.formats import read_documents
from kexue.extraction.links import close_gold
from kexue.extraction.metrics import evaluate
from kexue.files import atomic_write
from kexue.manifest import MANIFEST
from kexue.ops.device import choose_device
from kexue.studies import annotated
from kexue.studies.claims import Claim, add_verdicts, judge
from kexue.studies.frame import ask, begin, repeat
from kexue.studies.machine import describe_machine
from kexue.studies.options import StudyOptions
from kexue.studies.outcomes import Key, TrainingOutcome, outcomes_of
from kexue.studies.page import Page
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.pretraining.recipe import PretrainingRecipe
from kexue.training.pretraining.run import pretrain
from kexue.training.pretraining.texts import Texts

LANGUAGES = {"minilm": "english", "m3e": "chinese"}
"""Of the sets, by the encoder that reads them elsewhere."""
SCRATCH, PRETRAINED = "from scratch", "pre-trained"
PRESET = "gau-tiny"
SHORTEST = 16
"""Characters of a text that is dev's or test's wherever it stands; a shorter one only as a whole text."""


@dataclass(frozen=True)
class Sizes:
    """Seeds, epochs and batch of a training by set, sentences of each split at most, and how long is pre-trained."""

    num_seeds: int
    trainings: Mapping[str, tuple[int, int]]
    most: int | None
    pretraining: Mapping[str, Any]


TRAININGS = {"webnlg": (20, 32), "conll04": (40, 32), "duie": (20, 64), "phee": (10, 32)}
FULL = Sizes(1, TRAININGS, None, {"minutes": 60.0, "batch_size": 16})
LONG = Sizes(1, TRAININGS, None, {"minutes": 3.5, "batch_size": 64})
"""For a GPU, which does in these minutes more than a processor in an hour."""
QUICK = Sizes(1, dict.fromkeys(TRAININGS, (1, 8)), 24, {"epochs": 1, "batch_size": 1, "vocab_size": 400})


def run(options: StudyOptions) -> Path:
    """Pre-train, train, measure, write the page anew after every training, and return its path.

    A stopped study goes on where it was. Raises for a data set that is not known or not there.
    """
    options.check_data((*annotated.DATA, *LANGUAGES.values()))
    sizes = options.pick(QUICK, FULL, LONG)
    sets = {name: annotated.read(name, options, sizes.most) for name in annotated.given(options)}
    files = {name: annotated.write(splits, options.output / "sentences", name) for name, splits in sets.items()}
    encoders = {language: _encoder(language, files, options, sizes) for language in {_language(name) for name in sets}}
    trainings = [
        Training(name, start, seed, files[name], encoders[_language(name)], sizes, options)
        for seed in range(options.seed, options.seed + sizes.num_seeds)
        for name in sets
        for start in (SCRATCH, PRETRAINED)
    ]
    path = options.output / "pretraining.md"
    for outcomes in outcomes_of(trainings, Outcome, options.output / "pretraining.jsonl", options):
        write(list(outcomes.values()), encoders, options, sizes).write(path)
    return path


def _language(name: str) -> str:
    return LANGUAGES[annotated.SETS[name].encoder]


def _encoder(language: str, files: Mapping[str, Mapping[str, Path]], options: StudyOptions, sizes: Sizes) -> Path:
    """The folder of the encoder, which is made where it is not there."""
    output, texts = options.output / language, options.output / "sentences" / f"{language}.jsonl"
    if not (output / MANIFEST).exists():
        own = {name: splits for name, splits in files.items() if _language(name) == language}
        more = [options.data[language]] if language in options.data else []
        kept = without([*(splits["train"] for splits in own.values()), *more], own)
        with atomic_write(texts) as file:
            file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in kept)
        options.say(f"pre-training on {len(kept):,} texts ({language})")
        recipe = {"texts": [texts], "output": output, "encoder": PRESET, "max_length": 256, "seed": options.seed}
        recipe |= {"device": choose_device(options.device).type} | dict(sizes.pretraining)
        with quiet_transformers():
            pretrain(PretrainingRecipe.from_values(recipe, source="study"), console=Console(quiet=True))
    return output


def without(sources: Sequence[Path], files: Mapping[str, Mapping[str, Path]]) -> list[str]:
    """The texts of files and folders, each once, without those that a dev or test text of a set is part of."""
    held_out = {
        bare
        for splits in files.values()
        for split in ("dev", "test")
        for document in read_documents(splits[split], "native").documents
        if (bare := _bare(document.text))
    }
    texts = {bare: text for text in Texts(sources) if (bare := _bare(text)) and bare not in held_out}
    everything = "\n".join(texts)
    inside = [bare for bare in held_out if len(bare) >= SHORTEST and bare in everything]
    return [text for bare, text in texts.items() if not any(part in bare for part in inside)]


def _bare(text: str) -> str:
    """Letters and digits alone, in lower case: spaces and signs make no other text."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).lower()))


@dataclass(frozen=True)
class Outcome(TrainingOutcome):
    """Of one training: F1 of relations on test, strict with its interval and by strings, and what it took where."""

    data: str
    start: str
    seed: int
    strict: float
    interval: list[float]
    strings: float
    seconds: float
    steps: int
    machine: str

    @property
    def key(self) -> Key:
        """What the training is known by."""
        return self.data, self.start, self.seed

    def __str__(self) -> str:
        return f"{self.data}, {self.start}, seed {self.seed}: {100 * self.strict:.1f} in {self.seconds:.0f} s"


@dataclass(frozen=True)
class Training:
    """One training to be made, from scratch or from the encoder in a folder."""

    data: str
    start: str
    seed: int
    files: Mapping[str, Path]
    encoder: Path
    sizes: Sizes
    options: StudyOptions

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.data, self.start, self.seed

    def run(self) -> Outcome:
        """Train, and measure the model on the test sentences; the model is removed."""
        output = self.options.output / "models" / "-".join(map(str, self.key)).replace(" ", "_")
        epochs, batch_size = self.sizes.trainings[self.data]
        device = choose_device(self.options.device).type
        recipe = ExtractionRecipe.from_values(
            {
                "train": self.files["train"],
                "dev": self.files["dev"],
                "output": output,
                "encoder": PRESET if self.start == SCRATCH else str(self.encoder),
                "epochs": epochs,
                "patience": epochs,
                "batch_size": batch_size,
                "seed": self.seed,
                "device": device,
            },
            source="study",
        )
        with annotated.trained(recipe) as extractor:
            gold = close_gold(read_documents(self.files["test"], "native").documents, extractor.schema)
            found = evaluate(gold, extractor.extract(gold)).relations
        return Outcome(
            *(self.data, self.start, self.seed),
            strict=found.headline.counts.f1,
            interval=list(found.headline.interval or (0.0, 0.0)),
            strings=found.matchings["string"].counts.f1,
            seconds=extractor.metrics["training_seconds"],
            steps=extractor.metrics["steps"],
            machine=describe_machine(device),
        )


def write(outcomes: Sequence[Outcome], encoders: Mapping[str, Path], options: StudyOptions, sizes: Sizes) -> Page:
    """The page."""
    page = begin("What does pre-training on the text at hand bring?", options)
    ask(
        page,
        f"""An encoder from scratch knows nothing but the annotated sentences. What do the sentences themselves, and
        whatever other text is at hand, teach it before, in minutes, without annotation? The encoder is {PRESET}.""",
        """BERT (Devlin et al. 2019) and GAU-alpha ([archives/9052](https://kexue.fm/archives/9052)) were pre-trained
        for days on billions of words; Gururangan et al. 2020 (arXiv 2004.10964) found that going on with the text of
        the task pays for large encoders too.""",
        claims="What is known",
    )
    page.heading("Pre-training")
    page.table(
        ["language", "minutes", "steps", "hidden tokens right", "by frequency alone", "perplexity"],
        [_pretrained(language, folder) for language, folder in sorted(encoders.items())],
    )
    page.heading("Relations")
    page.text(
        """GPLinker; F1 of relations on the test sentences, in percent: strict with its 95% bootstrap interval, and by
        strings. The epoch and the thresholds are chosen on dev."""
    )
    page.table(
        ["data", "epochs, batch", "begun", "seed", "strict", "interval", "strings"],
        [
            [
                run.data,
                "{}, {}".format(*sizes.trainings[run.data]),
                run.start,
                str(run.seed),
                f"{100 * run.strict:.1f}",
                "{:.1f} to {:.1f}".format(*(100 * end for end in run.interval)),
                f"{100 * run.strings:.1f}",
            ]
            for run in outcomes
        ],
    )
    add_verdicts(page, list(judged(outcomes)))
    machines = "; ".join(dict.fromkeys(run.machine for run in outcomes))
    rest = f"Trainings on {machines or 'none yet'}. The study wrote this page from pretraining.jsonl beside it."
    device = choose_device(options.device).type
    repeat(page, "pretraining", options, device, sorted({run.seed for run in outcomes}) or [options.seed], rest)
    return page


def judged(outcomes: Sequence[Outcome]) -> Iterator[Claim]:
    """Our question, set by set: decided where with every seed the intervals lie apart, on the same side."""
    known = {run.key: run for run in outcomes}
    for data in dict.fromkeys(run.data for run in outcomes):
        pairs = [
            (scratch, run)
            for run in outcomes
            if (run.data, run.start) == (data, PRETRAINED) and (scratch := known.get((data, SCRATCH, run.seed)))
        ]
        if not pairs:
            continue
        sides = [_side(scratch, run) for scratch, run in pairs]
        gains = [
            f"{100 * (run.strict - scratch.strict):+.1f} points with seed {run.seed}, the intervals "
            f"{'do not overlap' if side else 'overlap'}"
            for (scratch, run), side in zip(pairs, sides, strict=True)
        ]
        yield judge(
            "Pre-training a small encoder on the text at hand raises F1 (our question)",
            sides[0] > 0,
            f"{data}: {'; '.join(gains)}",
            decides=sides[0] != 0 and len(set(sides)) == 1,
        )


def _side(one: Outcome, other: Outcome) -> int:
    """1 where the interval of the other lies above that of the one, -1 where it lies below, 0 where they overlap."""
    return (other.interval[0] > one.interval[1]) - (other.interval[1] < one.interval[0])


def _pretrained(language: str, folder: Path) -> list[str]:
    content = json.loads((folder / MANIFEST).read_text("utf-8"))
    metrics, minutes = content["metrics"], content["metrics"]["training_seconds"] / 60
    return [
        language,
        f"{minutes:.1f}",
        f"{metrics['steps']:,}",
        f"{metrics['dev']['accuracy']:.1%}",
        f"{metrics['guess']['accuracy']:.1%}",
        f"{metrics['dev']['perplexity']:.0f}",
    ]


__all__ = ["run"]
