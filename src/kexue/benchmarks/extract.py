"""`kexue extract` from file to file beside the encoder's own forward pass over the same batches.

    python -m kexue.benchmarks.extract [--model FOLDER] [--sentences 10000] [--threads 1] [--dtype float32]

The input is the test part of the demo data, repeated; the model, where none is given, is trained on the demo data
for --epochs before (not counted, nor is loading). Counted is everything from the input file to the output file:
reading, tokenising, sorting by length, windows, encoder, heads, decoding, confidences, JSON, writing and flushing.

The floor is the encoder itself (the ratio 1), whose own arithmetic at the measured rate is printed too. A last pass
takes the same steps one by one, to show where the time goes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.machine import Rates
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report
from kexue.benchmarks.measuring.timing import Elapsed, Run, Stopwatch, interleaved
from kexue.benchmarks.real import add_model_options, demo_sentences, shrink_model, trained_model
from kexue.encoders.tokenization import Tokens
from kexue.encoders.windows import WindowBatch, collate
from kexue.extraction.document import Document
from kexue.extraction.inference import BATCH_TOKENS, PADDING, Found, batches_of_like_length
from kexue.pipelines.bulk import extract_file
from kexue.pipelines.extractor import CHUNK, Extractor

Stages = dict[str, Elapsed]


def like_length(tokens: Sequence[Tokens]) -> Iterator[list[int]]:
    """The batches of an extraction on a CPU."""
    lengths = [len(own) for own in tokens]
    return batches_of_like_length(lengths, batch_tokens=BATCH_TOKENS["cpu"], padding=PADDING["cpu"])


def batches_of(extractor: Extractor, documents: Sequence[Document]) -> list[WindowBatch]:
    """The batches that the encoder sees, chunk by chunk, in the order of an extraction."""
    config, tokenizer, batches = extractor.model.config, extractor.tokenizer, []
    for first in range(0, len(documents), CHUNK):
        tokens = tokenizer([document.text for document in documents[first : first + CHUNK]])
        for chosen in like_length(tokens):
            own = [tokens[index] for index in chosen]
            batches.append(collate(own, tokenizer, window=config.window, overlap=config.overlap))
    return batches


@torch.inference_mode()
def encode_all(extractor: Extractor, batches: Sequence[WindowBatch]) -> None:
    """The encoder's own forward pass."""
    with _precision(extractor):
        for batch in batches:
            extractor.model.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask)


def extract_all(extractor: Extractor, source: Path, folder: Path) -> None:
    """What `kexue extract MODEL INPUT --output FILE` runs."""
    extract_file(extractor, source, folder / "facts.jsonl", overwrite=True)


@torch.inference_mode()
def staged(extractor: Extractor, documents: Sequence[Document]) -> Stages:
    """The seconds of each stage, when they are taken one by one."""
    stages: Stages = defaultdict(lambda: Elapsed(0.0, 0.0))
    model, config = extractor.model, extractor.model.config
    for first in range(0, len(documents), CHUNK):
        chunk = documents[first : first + CHUNK]
        with _stage(stages, "tokenising"):
            tokens = extractor.tokenizer([document.text for document in chunk])
        results: dict[int, Document] = {}
        for chosen in like_length(tokens):
            with _stage(stages, "windows"):
                own = [tokens[index] for index in chosen]
                batch = collate(own, extractor.tokenizer, window=config.window, overlap=config.overlap)
            with _stage(stages, "encoder"), _precision(extractor):
                hidden = model.hidden_states(batch)
            with _stage(stages, "heads and decoding"), _precision(extractor):
                found = model.head.decode(hidden, batch.mask, floor=extractor.decision.floor)
            with _stage(stages, "documents"):
                for index, candidates in zip(chosen, found, strict=True):
                    results[index] = extractor.document(chunk[index], Found(index, tokens[index], candidates))
        with _stage(stages, "JSON"):
            for index in range(len(chunk)):
                json.dumps(results[index].to_json(), ensure_ascii=False).encode()
    return dict(stages)


@contextmanager
def _stage(stages: Stages, name: str) -> Iterator[None]:
    watch = Stopwatch()
    yield
    stages[name] = Elapsed(*(before + now for before, now in zip(stages[name], watch.read(), strict=True)))


def _precision(extractor: Extractor) -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=extractor.dtype == "bfloat16")


def encoder_flops(extractor: Extractor, batches: Sequence[WindowBatch]) -> float:
    """Of its matrix products: twice the weights for every token, and twice two products of attention."""
    config, encoder = extractor.model.config, extractor.model.encoder
    weights = sum(m.weight.numel() for m in encoder.modules() if isinstance(m, torch.nn.Linear))
    layers, width = config.encoder["num_hidden_layers"], config.encoder["hidden_size"]
    return sum(
        batch.input_ids.numel() * (2.0 * weights + 4.0 * layers * width * batch.input_ids.shape[1]) for batch in batches
    )


def main(arguments: list[str]) -> Report:
    """Print the ratio, and where the time goes."""
    options = _options(arguments)
    report, rates = begin("extract", options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.quick:
            shrink_model(options, folder)
        model = trained_model(folder / "model", options)
        report.line(f"model: {options.model or f'trained for {options.epochs} epochs'}")
        watch = Stopwatch()
        extractor = Extractor.from_pretrained(model, device="cpu", dtype=options.dtype)
        report.line(f"loaded in {watch.read().wall:.1f} s, {options.dtype}")
        _measure(report, rates, extractor, folder, options)
    return report


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("extract", __doc__)
    add_model_options(parser)
    parser.add_argument("--sentences", type=int, default=10_000, help="of the input (default 10,000)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.set_defaults(rounds=3)
    options = parser.parse_args(arguments)
    if options.quick:
        options.sentences, options.rounds = 40, 1
    return options


def _measure(report: Report, rates: Rates, extractor: Extractor, folder: Path, options: Namespace) -> None:
    documents = [Document(document.text) for document in demo_sentences(options.sentences)]
    source = folder / "sentences.txt"
    source.write_text("".join(document.text.replace("\n", " ") + "\n" for document in documents), "utf-8")
    batches = batches_of(extractor, documents)
    encode_all(extractor, batches[:2])
    cases: dict[str, Run] = {
        "encoder": partial(encode_all, extractor, batches),
        "kexue extract": partial(extract_all, extractor, source, folder),
    }
    times = interleaved(cases, options.rounds, warm_up=False)
    stages = staged(extractor, documents)
    floor = rates.floor(encoder_flops(extractor, batches), 0)
    lines = (folder / "facts.jsonl").read_bytes().splitlines()
    found = sum(len(json.loads(line)["relations"]) for line in lines)
    report.line(f"{len(documents)} sentences, {len(batches)} batches, {found} relations found\n")
    report.table(
        ["", "wall s", "processor s", "sentences a second"],
        [[name, own.median_wall, own.median_cpu, len(documents) / own.median_wall] for name, own in times.items()]
        + [["the encoder's products at the measured float32 rate", floor, floor, len(documents) / floor]],
    )
    total = sum(elapsed.wall for elapsed in stages.values())
    report.table(
        ["stage", "wall s", "processor s", "share"],
        [[name, *elapsed, f"{elapsed.wall / total:.1%}"] for name, elapsed in stages.items()],
    )
    report.compare(
        Comparison.of_times(
            "kexue extract / encoder",
            times["kexue extract"],
            times["encoder"],
            "its encoder's forward pass",
            promised=1.2,
            at_most=True,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
