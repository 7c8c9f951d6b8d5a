"""An extractor in PyTorch, compiled, in onnxruntime, and there in int8: one text at a time, and F1 of each.

    python -m kexue.benchmarks.onnx [--model MODEL] [--test TEST] [--dev DEV] [--texts 100] [--threads 1] [--profile]

Exports the model twice into a folder that is removed. A call takes one text of TEST from characters to facts:
tokenising, encoder, head, decoding, confidences; "encoder" is its part alone, over the same windows. A round calls
every case with every one of the first --texts texts; the ratio to PyTorch is taken within a round. Every case has the
same number of threads. F1, strict, is measured on all of TEST, with the thresholds of the model, but for int8 with
--dev those chosen on DEV. --profile adds where onnxruntime's time goes in int8.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target
from kexue.benchmarks.measuring.timing import Run, interleaved
from kexue.benchmarks.real import add_model_options, shrink_model, trained_model
from kexue.data import demo_path
from kexue.encoders.exported import INPUTS, open_session
from kexue.encoders.windows import WindowBatch, collate
from kexue.extraction.checkpoint import ENCODER
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents
from kexue.pipelines.export import KINDS, Scores, export_extractor, f1_of
from kexue.pipelines.extractor import Extractor

TORCH, COMPILED, ONNX, INT8 = "PyTorch float32", "torch.compile", "ONNX float32", "ONNX int8"


def one_by_one(extractor: Extractor, texts: Sequence[str]) -> None:
    """Facts of every text, one call after the other."""
    for text in texts:
        extractor(text)


@torch.inference_mode()
def encode_one_by_one(extractor: Extractor, windows: Sequence[WindowBatch]) -> None:
    """Hidden states of every text, one call after the other."""
    for batch in windows:
        extractor.model.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask)


def windows_of(extractor: Extractor, texts: Sequence[str]) -> list[WindowBatch]:
    """What the encoder sees of each text."""
    config, tokenizer = extractor.model.config, extractor.tokenizer
    return [collate([tokens], tokenizer, window=config.window, overlap=config.overlap) for tokens in tokenizer(texts)]


def differing(ours: Sequence[Document], theirs: Sequence[Document]) -> int:
    """How many entities and relations only one of two models reports."""
    return sum(
        len(set(first.entities) ^ set(second.entities)) + len(set(first.relations) ^ set(second.relations))
        for first, second in zip(ours, theirs, strict=True)
    )


def where_time_goes(folder: Path, windows: Sequence[WindowBatch]) -> list[tuple[str, float, float]]:
    """The operators of an exported encoder by time: name, milliseconds a text, share."""
    with tempfile.TemporaryDirectory() as name:
        session = open_session(folder / ENCODER, profile=Path(name) / "profile")
        for batch in windows:
            session.run(None, {key: getattr(batch, key).numpy() for key in INPUTS})
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    spent: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    total = sum(spent.values())
    return [(name, micro / 1e3 / len(windows), micro / total) for name, micro in spent.most_common()]


def measure(report: Report, model: Path, options: Namespace, folder: Path) -> None:
    """Both exports, the times, F1, the targets."""
    gold = read_documents(options.test).documents
    dev = read_documents(options.dev).documents if options.dev else []
    files = {ONNX: folder / "float32", INT8: folder / "int8"}
    for name, place in files.items():
        done = export_extractor(model, place, int8=name == INT8, dev=dev if name == INT8 else ())
        report.line(f"{name}: {done.bytes / 2**20:.1f} MB, largest difference of a state {done.difference:.1g}")
        for kind, before in done.before.items():
            report.line(f"    dev {kind}: F1 {100 * before:.2f} in PyTorch, {100 * done.after[kind]:.2f} exported")
    extractors = {TORCH: Extractor.from_pretrained(model, device="cpu")}
    if not options.without_compile:
        extractors[COMPILED] = Extractor.from_pretrained(model, device="cpu", compile=True)
    extractors |= {name: Extractor.from_pretrained(place) for name, place in files.items()}
    texts = [document.text for document in gold[: options.texts]]
    windows = windows_of(extractors[TORCH], texts)
    report.line(f"\n{len(texts)} texts one by one, windows of {_mean_width(windows):.0f} tokens on average\n")
    calls: dict[str, Run] = {name: partial(one_by_one, each, texts) for name, each in extractors.items()}
    encoders: dict[str, Run] = {name: partial(encode_one_by_one, each, windows) for name, each in extractors.items()}
    times = interleaved(calls | {f"{name}, encoder": run for name, run in encoders.items()}, options.rounds)
    found = {name: each.extract([document.text for document in gold]) for name, each in extractors.items()}
    scores = {name: f1_of(gold, each, extractors[TORCH].schema) for name, each in found.items()}
    per_text = 1e3 / len(texts)
    report.table(
        ["one text at a time, wall / processor", "ms a text", "ratio", "encoder ms", "ratio"],
        [
            [
                name,
                times[name].each(per_text),
                str(times[name].ratio(times[TORCH])),
                times[f"{name}, encoder"].each(per_text),
                str(times[f"{name}, encoder"].ratio(times[f"{TORCH}, encoder"])),
            ]
            for name in extractors
        ],
    )
    kinds = [kind for kind in KINDS if kind in scores[TORCH]]
    report.table(
        [f"F1 on {len(gold)} texts", *kinds, "facts that PyTorch reports otherwise"],
        [
            [name, *(f"{100 * scores[name][kind]:.2f}" for kind in kinds), differing(found[name], found[TORCH])]
            for name in extractors
        ],
    )
    if options.profile:
        report.table(["operator of ONNX int8", "ms a text", "share"], _rounded(where_time_goes(files[INT8], windows)))
    for name, promised in ((ONNX, None), (INT8, 0.5)):
        title = f"{name} / {TORCH}, one text"
        report.compare(Comparison.of_times(title, times[name], times[TORCH], TORCH, promised=promised, at_most=True))
    report.target(Target("F1 lost in int8", _lost(scores), 0.5, at_most=True, unit=" points"))


def _lost(scores: dict[str, Scores]) -> float:
    """Points of the kind that lost most."""
    return max(100 * (before - scores[INT8][kind]) for kind, before in scores[TORCH].items())


def _mean_width(windows: Sequence[WindowBatch]) -> float:
    return sum(batch.input_ids.shape[1] for batch in windows) / len(windows)


def _rounded(rows: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, str]]:
    return [(name, milliseconds, f"{share:.1%}") for name, milliseconds, share in rows]


def main(arguments: list[str]) -> Report:
    """Export, time and score."""
    parser = make_parser("onnx", __doc__)
    add_model_options(parser)
    parser.add_argument("--test", type=Path, help="annotated text (default: the test part of PHEE)")
    parser.add_argument("--dev", type=Path, help="annotated text to choose the exported models' thresholds on")
    parser.add_argument("--texts", type=int, default=100, help="of TEST that are timed (default 100)")
    parser.add_argument("--profile", action="store_true", help="where the time of ONNX int8 goes")
    parser.add_argument("--without-compile", action="store_true", help="leave torch.compile out: it needs a compiler")
    options = parser.parse_args(arguments)
    report, _ = begin("onnx", options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.quick:
            shrink_model(options, folder)
            options.texts, options.rounds = 3, 1
        options.test = options.test or (options.data if options.quick else demo_path("phee", "test"))
        measure(report, trained_model(folder / "model", options), options, folder)
    return report


if __name__ == "__main__":
    main(sys.argv[1:])
