"""Ray does what the plain engine does, to the byte, while its workers, its machines and its driver are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from kexue.cli.main import main
from kexue.errors import DataError, OptionError
from kexue.integrations.ray import RayEngine, WorkerError
from kexue.pipelines.bulk_extraction import ExtractionOptions, extract_folder
from kexue.pipelines.sharded import Done, OneByOne, Total, Work
from tests.integrations.work import Deadly, Piece, Telling, told
from tests.pipelines.test_generator import make
from tests.training.tiny import ROOT, sentences

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")

GOLD = sentences(10)
SIZE = 8
ENGINE = RayEngine(workers=2, gpus_per_worker=0)
ALONE = RayEngine(workers=1, gpus_per_worker=0)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty documents in two files, one of them broken, in eight pieces."""
    folder = tmp_path_factory.mktemp("texts")
    lines = [json.dumps({"text": GOLD[number % 10].text, "id": f"n{number}"}) + "\n" for number in range(60)]
    lines[20] = "{\n"
    (folder / "a.jsonl").write_text("".join(lines[:30]), "utf-8")
    (folder / "b.jsonl").write_text("".join(lines[30:]), "utf-8")
    return folder


def extract(model: Path, texts: Path, output: Path, engine: Any = ENGINE, **more: Any) -> Total:
    return extract_folder(str(model), texts, output, ExtractionOptions(), shard_size=SIZE, engine=engine, **more)


def files(output: Path) -> dict[str, bytes]:
    """Shards and quarantine."""
    paths = [*output.glob("*"), *output.glob("_quarantine/*")]
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(paths) if path.is_file()}


@pytest.fixture(scope="module")
def expected(fitted: Path, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of the texts."""
    output = tmp_path_factory.mktemp("expected") / "out"
    assert extract_folder(
        str(fitted), texts, output, ExtractionOptions(), shard_size=SIZE, engine=OneByOne("cpu")
    ) == Total(done=8, pieces=8, items=59, rejected=1)
    assert len(files(output)) == 9
    return files(output)


def notes(output: Path) -> list[int]:
    """Numbers of the pieces in the log of a job."""
    log = output / "_job" / "done.jsonl"
    return [json.loads(line)["index"] for line in log.read_bytes().splitlines()] if log.exists() else []


# --- in the same Ray ---


@pytest.mark.long
def test_ray_writes_the_shards_that_one_process_writes(
    ray: Any, fitted: Path, texts: Path, expected: dict[str, bytes], tmp_path: Path
):
    seen: list[int] = []
    total = extract(fitted, texts, tmp_path / "out", report=lambda total: seen.append(total.done))
    assert total == Total(done=8, pieces=8, items=59, rejected=1)
    assert files(tmp_path / "out") == expected
    assert seen == list(range(9))
    assert extract(fitted, texts, tmp_path / "out") == total


def deadly(marks: Path, inner: Any = ENGINE, **when: Any) -> Any:
    marks.mkdir()

    def engine(work: Work, pieces: Sequence[Any]) -> Generator[Done]:
        yield from inner(Deadly(work, marks, **when), pieces)

    return engine


@pytest.mark.slow
@pytest.mark.parametrize("index", [5, pytest.param(0, marks=pytest.mark.long)])
def test_workers_that_are_killed_lose_and_double_nothing(
    index: int, ray: Any, fitted: Path, texts: Path, expected: dict[str, bytes], tmp_path: Path
):
    """One half way through a shard, one when its shard is in its place."""
    half_way, afterwards = tmp_path / "half way", tmp_path / "afterwards"
    engine = deadly(half_way, deadly(afterwards, index=2, after=True), index=index)
    seen: list[int] = []
    total = extract(fitted, texts, tmp_path / "out", engine, report=lambda total: seen.append(total.done))
    assert total == Total(done=8, pieces=8, items=59, rejected=1)
    assert seen == list(range(9))
    assert len(list(half_way.iterdir())) == len(list(afterwards.iterdir())) == 1
    assert files(tmp_path / "out") == expected
    assert sorted(notes(tmp_path / "out")) == list(range(8))
    assert extract(fitted, texts, tmp_path / "out") == total


@pytest.mark.long
def test_a_piece_that_kills_every_worker_does_not_keep_the_others_from_being_done(
    ray: Any, fitted: Path, texts: Path, expected: dict[str, bytes], tmp_path: Path
):
    engine = deadly(tmp_path / "marks", index=5, times=100)
    with pytest.raises(DataError, match=r"b\.jsonl:9: the documents from here to line 16 ended every worker"):
        extract(fitted, texts, tmp_path / "out", engine)
    assert len(list((tmp_path / "marks").iterdir())) == 4
    assert files(tmp_path / "out") == {name: expected[name] for name in expected if name != "part-00005.jsonl"}
    assert extract(fitted, texts, tmp_path / "out").items == 59
    assert files(tmp_path / "out") == expected


@pytest.mark.parametrize(
    ("mistake", "error", "said"),
    [(True, DataError, r"^a\.txt:3: is wrong$"), (False, WorkerError, r"(?s)Piece\(index=2\).*in tell.*a bug")],
)
def test_an_error_in_a_worker_ends_the_job_and_arrives_as_it_was(
    mistake: bool, error: type[Exception], said: str, ray: Any, tmp_path: Path
):
    with pytest.raises(error, match=said):
        list(ALONE(Telling(tmp_path, wrong=2, mistake=mistake), [Piece(index) for index in range(4)]))


@pytest.mark.slow
def test_workers_have_the_threads_and_the_part_of_a_gpu_that_they_are_given(ray: Any, tmp_path: Path):
    pieces = [Piece(index) for index in range(6)]
    list(RayEngine(workers=2, gpus_per_worker=0.5)(Telling(tmp_path, together=2), pieces))
    work = Telling(tmp_path)
    found = told(work, range(6))
    assert {tuple(words[2:]) for words in found} == {("cuda", "gpus=0", "threads=1")}
    assert len({words[0] for words in found}) == 2
    list(RayEngine(cpus_per_worker=2)(work, pieces))
    found = told(work, range(6))
    assert {tuple(words[2:]) for words in found} == {("cuda", "gpus=0", "threads=2")}
    assert len({words[0] for words in found}) == 1  # as many as the one GPU has room for
    list(ALONE(work, pieces))
    assert {tuple(words[2:]) for words in told(work, range(6))} == {("cpu", "gpus=", "threads=1")}


def test_nothing_to_do_starts_nothing(tmp_path: Path):
    assert list(ENGINE(Telling(tmp_path), [])) == []


# --- the command line ---


def kexue(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "kexue", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def bulk(model: Path, texts: Path, output: Path) -> list[object]:
    options = ["--engine", "ray", "--workers", "2", "--gpus-per-worker", "0", "--shard-size"]
    return ["extract", model, texts, "--output", output, *options, SIZE]


@pytest.mark.slow
def test_the_same_command_runs_on_the_cluster_that_ray_address_names(
    ray: Any, fitted: Path, texts: Path, expected: dict[str, bytes], tmp_path: Path
):
    address = ray.get_runtime_context().gcs_address
    with kexue(*bulk(fitted, texts, tmp_path / "out"), RAY_ADDRESS=address) as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert files(tmp_path / "out") == expected
    lines = [line for line in said.splitlines() if "core_worker.cc" not in line]  # Ray's warning of Ray Data's actors
    assert lines[0] == "0 documents, 0 of 8 shards" and lines[-3].endswith("8 of 8 shards")
    assert lines[-2].startswith("1 could not be read as documents: ") and "_quarantine" in lines[-2]
    assert lines[-1] == f"59 documents in 8 shards -> {tmp_path / 'out'}"
    assert len(lines) == 11, said  # one for each shard, and nothing else that Ray says


def test_images_of_ray_are_those_of_one_process(ray: Any, tmp_path: Path):
    model = make(tmp_path / "model")
    command = ["generate", model, "--num", 11, "--steps", 2, "--seed", 4, "--label", "ant", "--label", "bee"]
    command += ["--set", "eta=1.0", "--batch-size", 2, "--shard-size", 4]
    for name, options in (("plain", ["--device", "cpu"]), ("ray", ["--engine", "ray", "--gpus-per-worker", 0])):
        run(*command, "--output", tmp_path / name, *options)
    assert len(files(tmp_path / "ray")) == 3
    assert _images(tmp_path / "ray") == _images(tmp_path / "plain")


def run(*arguments: object) -> None:
    """The command in this process, and in its Ray."""
    before = sys.argv
    sys.argv = ["kexue", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
    finally:
        sys.argv = before


def _images(folder: Path) -> list[Any]:
    import numpy as np

    return [[np.load(path)[key].tolist() for key in ("images", "labels")] for path in sorted(folder.glob("*.npz"))]


# --- what does not go ---


def test_without_ray_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    place = str(tmp_path)  # it stands for the model and the texts, which are not looked into
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(sys, "argv", ["kexue", "extract", place, place, "--output", "out", "--engine", "ray"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "--engine ray needs Ray (ray is missing): pip install 'kexue[ray]'" in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_missed_and_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(OptionError, match="this machine has no GPU that Ray can see"):
        RayEngine(gpus_per_worker=1)._gpus({"CPU": 2.0})
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:6379")  # where more may come
    assert RayEngine(gpus_per_worker=1)._gpus({"CPU": 2.0}) == 1


@pytest.mark.parametrize(
    ("engine", "there", "workers"),
    [
        (RayEngine(), {"CPU": 8.0}, 8),
        (RayEngine(cpus_per_worker=3), {"CPU": 8.0}, 2),
        (RayEngine(cpus_per_worker=9), {"CPU": 8.0}, 1),
        (RayEngine(), {"CPU": 8.0, "GPU": 4.0}, 4),
        (RayEngine(gpus_per_worker=0.5), {"CPU": 8.0, "GPU": 4.0}, 8),
        (RayEngine(gpus_per_worker=0), {"CPU": 8.0, "GPU": 4.0}, 8),
        (RayEngine(workers=3), {"CPU": 8.0}, 3),
    ],
)
def test_as_many_workers_as_fit(engine: RayEngine, there: dict[str, float], workers: int):
    assert engine._workers(there, engine._gpus(there)) == workers


# --- a Ray of their own ---


@pytest.mark.slow
def test_a_driver_that_is_killed_loses_and_doubles_nothing_and_the_same_command_goes_on(
    fitted: Path, texts: Path, expected: dict[str, bytes], tmp_path: Path
):
    output = tmp_path / "out"
    command = bulk(fitted, texts, output)
    with kexue(*command) as process:
        deadline = time.monotonic() + 120
        while not notes(output) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        family = psutil.Process(process.pid).children(recursive=True)
        workers = [each for each in family if each.name().startswith("ray::MapWorker")]
        os.kill(process.pid, signal.SIGKILL)
    done = notes(output)
    assert 1 <= len(done) < 8
    with kexue(*command) as process:
        _, left = psutil.wait_procs(workers, timeout=60)
        assert len(workers) == 2 and not left, "workers end with their driver"
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert f", {len(done)} of 8 shards" in said
    assert files(output) == expected
    assert sorted(notes(output)) == list(range(8))


@pytest.fixture
def two_machines() -> Iterator[Any]:
    """A cluster of two nodes with one CPU each, and the address of the first."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    yield cluster, second
    cluster.shutdown()


SCRIPT = """
import sys
from pathlib import Path
from kexue.integrations.ray import RayEngine
from tests.integrations.work import Piece, Telling
pieces = [Piece(index) for index in range(40)]
for done in RayEngine(workers=2, gpus_per_worker=0)(Telling(Path(sys.argv[1]), seconds=0.25), pieces):
    print(done.index, flush=True)
"""


@pytest.mark.long
def test_a_machine_of_a_cluster_that_is_lost_loses_nothing(two_machines: Any, tmp_path: Path):
    cluster, second = two_machines
    environment = {"RAY_ADDRESS": cluster.address, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    work, seen = Telling(tmp_path), []
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tmp_path], env=os.environ | environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            if not line.strip().isdigit():
                continue  # Ray tells of the machine that it lost
            seen.append(int(line))
            nodes = {words[1] for words in told(work, range(40)) if words} if len(seen) == 20 else set()
            if len(seen) == 20:
                assert len(nodes) == 2, "both machines work"
                cluster.remove_node(second, allow_graceful=False)
    assert process.returncode == 0
    assert sorted(seen) == list(range(40))
