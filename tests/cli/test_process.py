"""The command as a process: how fast it starts, what signals and broken pipes do to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.tiny import sentences

KEXUE = [sys.executable, "-m", "kexue"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; sys.argv = ['kexue', '--help']\n"
        "from kexue.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*{'torch', 'transformers', 'numpy'} & sys.modules.keys())"
    )
    began = time.process_time()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == ""
    assert time.process_time() - began < 1.0


ABSENT = [
    "train {here}/none.jsonl --output {here}/out",
    "train {here}/none.toml",
    "train {here}/gold.jsonl --dev {here}/none.jsonl --output {here}/out",
    "pretrain {here}/none.txt --output {here}/out",
    "evaluate {here}/none {here}/gold.jsonl",
    "evaluate {here} {here}/none.jsonl",
    "extract {here}/none {here}/gold.jsonl",
    "extract {here} {here}/none.txt",
    "export {here}/none {here}/out",
    "export {here} {here}/out --dev {here}/none.jsonl",
    "generate {here}/none",
    "info {here}/none",
    "serve {here}/none",
    "serve mine={here}/none",
    "suggest {here}/none {here}/gold.jsonl",
    "suggest {here} {here}/none.txt",
    "convert {here}/none.jsonl {here}/out.jsonl",
    "doctor {here}/none.jsonl",
]


def test_what_is_not_there_is_told_without_waiting_for_torch(tmp_path: Path):
    (tmp_path / "gold.jsonl").write_text('{"text": "a"}\n')
    code = (
        "import sys\n"
        "from kexue.cli.main import main\n"
        f"for line in {[line.format(here=tmp_path) for line in ABSENT]!r}:\n"
        "    sys.argv = ['kexue', *line.split()]\n"
        "    try: main()\n"
        "    except SystemExit as end: assert end.code == 2, line\n"
        "    assert not {'torch', 'transformers', 'numpy'} & sys.modules.keys(), line\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said = run.stderr.splitlines()
    assert len(said) == len(ABSENT)
    for line, complaint in zip(ABSENT, said, strict=True):
        (absent,) = [part for part in line.format(here=tmp_path).split() if "none" in part]
        assert complaint.startswith(f"error: {absent.removeprefix('mine=')}: ") and "no such" in complaint.lower()


def test_both_ways_to_start_the_command_are_one():
    shown = [
        subprocess.run([*start, "--version"], capture_output=True, text=True, check=True).stdout
        for start in (KEXUE, [str(Path(sys.executable).parent / "kexue")])
    ]
    assert shown[0] == shown[1]


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_command_quietly(fitted: Path, tmp_path: Path):
    text = "\n".join(item.text for item in sentences(10)) + "\n"
    (tmp_path / "in.txt").write_text(text * 40)
    command = [*KEXUE, "extract", str(fitted), str(tmp_path / "in.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout.readline().startswith(b'{"text"')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


INTERRUPTED = """
import os, signal
from kexue.cli import console, main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
say = console.err.print
def say_and_press_control_c(*arguments, **options):
    say(*arguments, **options)
    os.kill(os.getpid(), signal.SIGINT)
console.err.print = say_and_press_control_c
main.main()
"""


@pytest.mark.slow
def test_an_interrupt_says_no_traceback_and_the_job_goes_on_afterwards(fitted: Path, tmp_path: Path):
    text = "\n".join(item.text for item in sentences(10)) + "\n"
    (tmp_path / "in.txt").write_text(text * 250)
    arguments = ["extract", str(fitted), str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.jsonl")]
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *arguments], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert run.returncode == 130
    assert "documents" in run.stderr and "Traceback" not in run.stderr
    run = subprocess.run([*KEXUE, *arguments], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    counts = [int(line.split()[0]) for line in run.stderr.splitlines()]
    assert 2048 < counts[0] <= counts[-1] == 2500  # what was done before the interrupt is not done again
    assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 2500
