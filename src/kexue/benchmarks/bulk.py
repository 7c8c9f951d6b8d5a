"""`kexue extract --engine ray` beside as many processes of the plain engine, and its memory over many documents.

    python -m kexue.benchmarks.bulk [--model FOLDER] [--sentences 20480] [--workers 2] [--rounds 3]
    python -m kexue.benchmarks.bulk --memory 100000

The input is the test part of the demo data, repeated; the model, where none is given, is trained on the demo data for
--epochs before (not counted). Both are measured as a user runs them, from the command to its end, with everything that
is loaded and started: the plain engine as --workers processes, each with its share of the documents in a file of its
own, Ray with as many actors and all files. Each process has one thread. Processor time is that of all processes, Ray's
own too. What starting costs is measured with two documents, so that a longer run can be foreseen.

With --memory so many documents, beginnings of sentences, go through Ray, where no model is given with the smallest one
there is, fitted to a few sentences, so that the machinery around a model has most to do; the memory of the driver, the
workers and Ray's own processes is read four times a second.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.processes import Watched, watch
from kexue.benchmarks.measuring.report import Report, Target
from kexue.benchmarks.measuring.timing import Elapsed, Run, Times, interleaved
from kexue.benchmarks.real import add_model_options, demo_sentences, shrink_model, trained_model

KEXUE = (sys.executable, "-m", "kexue")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
CHARACTERS = 60  # of a text of the run that watches memory, so that there can be many
EPOCHS = 60  # of its model on a few sentences; one that is hardly trained finds hundreds of facts in each
LASTING = 0.5  # of the whole time that a process is there, to be listed


def write_texts(folder: Path, number: int, files: int, characters: int | None = None) -> Path:
    """So many sentences, of at most so many characters, in so many files of equal size."""
    folder.mkdir()
    documents = iter(demo_sentences(number))
    for index in range(files):
        lines = [json.dumps({"text": item.text[:characters]}) + "\n" for item in islice(documents, number // files)]
        (folder / f"{index}.jsonl").write_text("".join(lines), "utf-8")
    return folder


def run_plain(model: Path, texts: Path, output: Path, options: Namespace) -> Watched:
    """A process of the plain engine for each file."""
    output.mkdir()
    return watch(
        [
            [*KEXUE, "extract", str(model), str(path), "--output", str(output / path.name), "--device", "cpu"]
            for path in sorted(texts.iterdir())
        ],
        ENVIRONMENT,
    )


def run_ray(model: Path, texts: Path, output: Path, options: Namespace) -> Watched:
    """Ray with as many actors, all files in one run."""
    command = [*KEXUE, "extract", str(model), str(texts), "--output", str(output), "--engine", "ray"]
    command += ["--workers", str(options.workers), "--shard-size", str(options.shard_size), "--gpus-per-worker", "0"]
    return watch([command], {})


def compare(report: Report, model: Path, folder: Path, options: Namespace) -> None:
    """Throughput of both, in turns."""
    texts = write_texts(folder / "texts", options.sentences, options.workers)
    few = write_texts(folder / "few", options.workers, options.workers)
    engines = {"plain": run_plain, "ray": run_ray}

    def case(engine: str, given: Path) -> Run:
        def run() -> Elapsed:
            output = folder / f"{engine}-{given.name}"
            shutil.rmtree(output, ignore_errors=True)
            seen = engines[engine](model, given, output, options)
            report.line(f"{engine}, {given.name}: {seen.wall:.1f} s, {seen.cpu:.1f} s of processors")
            return Elapsed(seen.wall, seen.cpu)

        return run

    cases = {f"{engine}, {given.name}": case(engine, given) for engine in engines for given in (few, texts)}
    times = interleaved(cases, options.rounds, warm_up=False)
    _check_same(folder / "plain-texts", folder / "ray-texts")
    report.table(
        ["", "wall s", "processor s", "documents a second", "of which starting, wall / processor"],
        [
            [
                f"{engine}, {options.workers} workers",
                times[f"{engine}, texts"].median_wall,
                times[f"{engine}, texts"].median_cpu,
                options.sentences / times[f"{engine}, texts"].median_wall,
                times[f"{engine}, few"].each(1.0),
            ]
            for engine in engines
        ],
    )
    for name, plain, ray in (
        ("throughput of ray / plain", times["plain, texts"], times["ray, texts"]),
        ("throughput of ray / plain, after starting", _without_start(times, "plain"), _without_start(times, "ray")),
    ):
        report.compare(Comparison.of_times(name, ray, plain, "the plain engine", promised=0.9, on_wall=True))


def _without_start(times: dict[str, Times], engine: str) -> Times:
    whole, start = times[f"{engine}, texts"], times[f"{engine}, few"]
    wall, cpu = (
        [long - short for long, short in zip(mine, its, strict=True)]
        for mine, its in ((whole.wall, start.wall), (whole.cpu, start.cpu))
    )
    return Times(tuple(wall), tuple(cpu))


def _check_same(plain: Path, ray: Path) -> None:
    """Both found the same in every text; the places, which the plain engine does not note, left out."""
    found = [
        sorted(
            json.dumps({key: value for key, value in json.loads(line).items() if key != "meta"})
            for path in folder.glob("*.jsonl")
            for line in path.read_text("utf-8").splitlines()
        )
        for folder in (plain, ray)
    ]
    if found[0] != found[1]:
        raise AssertionError("the two engines found different facts")


def watch_memory(report: Report, model: Path, folder: Path, options: Namespace) -> None:
    """Memory of every process that is there for most of the time, quarter by quarter."""
    texts = write_texts(folder / "many", options.memory, options.workers, CHARACTERS)
    seen = run_ray(model, texts, folder / "facts", options)
    rows = []
    for process, samples in sorted(seen.memory.items(), key=lambda each: seen.names[each[0]]):
        if samples[-1][0] - samples[0][0] > LASTING * seen.wall:
            name = "driver" if process in seen.roots else seen.names[process]
            rows.append((name, *seen.quarters(process), max(megabytes for _, megabytes in samples)))
    report.line(f"{options.memory} documents in {seen.wall:.0f} s, {options.memory / seen.wall:.0f} a second")
    report.table(["process", "MB, 1st quarter", "2nd", "3rd", "4th", "most"], rows)
    for row in rows:
        if row[0] == "driver" or "MapWorker" in row[0]:
            report.target(Target(f"memory of {row[0]}, 4th quarter / 2nd", row[4] / row[2], 1.05, at_most=True))


def _options(arguments: Sequence[str]) -> Namespace:
    parser = make_parser("bulk", __doc__)
    add_model_options(parser)
    parser.add_argument("--sentences", type=int, default=20_480, help="of the input (default 20,480)")
    parser.add_argument("--workers", type=int, default=2, help="actors, and plain processes (default 2)")
    parser.add_argument("--shard-size", type=int, default=2048, help="documents of a shard (default 2,048)")
    parser.add_argument("--memory", type=int, default=0, help="documents of the run that watches memory instead")
    parser.set_defaults(rounds=3)
    options = parser.parse_args(arguments)
    if options.quick:
        options.sentences, options.rounds, options.memory = 40, 1, options.memory and 40
    return options


def main(arguments: list[str]) -> Report:
    """Measure, and print what holds."""
    options = _options(arguments)
    report, _ = begin("bulk", options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.quick or (options.memory and options.model is None):
            shrink_model(options, folder)
            options.epochs = options.epochs if options.quick else EPOCHS
        model = trained_model(folder / "model", options)
        (watch_memory if options.memory else compare)(report, model, folder, options)
    return report


if __name__ == "__main__":
    main(sys.argv[1:])
