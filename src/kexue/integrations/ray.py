"""Work in pieces on Ray Data: the same call on one machine and, where RAY_ADDRESS names one, on a cluster.

    extract_folder(model, texts, output, options, engine=RayEngine(workers=8, gpus_per_worker=1))

The rows of the data set are the pieces, a few bytes each; a pool of actors, each of which holds the model, reads a
piece, writes its shard and answers with what became of it. So texts and results never pass through the driver or the
object store: an actor holds one chunk of documents, is given the next piece when it is done with one, and what nobody
works on stands on disk. Ray starts an actor again that was killed, and gives its piece to one that lives.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kexue.errors import KexueError, OptionError
from kexue.pipelines.sharded import MOST_TRIES, Done, Tries, Work, Worker

STORE = 128 * 2**20  # bytes for objects, of a Ray that is started here; rows are small


class WorkerError(Exception):
    """A worker came upon a bug; the message holds its traceback."""


@dataclass(frozen=True)
class RayEngine:
    """An engine of `kexue.pipelines.sharded.run_job`.

    Args:
        workers: processes that hold the model; as many as the GPUs, or else the CPUs, have room for where left out.
        cpus_per_worker: threads of a worker.
        gpus_per_worker: GPUs of a worker, or the part of one that it shares; 1 where there are GPUs if left out.

    Where RAY_ADDRESS is not set, a Ray of its own is started on this machine, and ended with the job.
    Raises `OptionError` if Ray is not installed, cannot be reached, or has no GPU where one is asked for.
    """

    workers: int | None = None
    cpus_per_worker: int = 1
    gpus_per_worker: float | None = None

    def __call__(self, work: Work, pieces: Sequence[Any]) -> Generator[Done]:
        """What became of each piece, as it comes; a piece whose workers all died is left out."""
        if not pieces:
            return
        ray = import_ray()
        with _connected(ray, self._cpus_wanted()), _settings(ray):
            gpus = self._gpus(ray.cluster_resources())
            workers = min(self._workers(ray.cluster_resources(), gpus), len(pieces))
            rows = [{"piece": pickle.dumps(piece)} for piece in pieces]
            results = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
                Actor,
                fn_constructor_args=(work, "cuda" if gpus else "cpu", self.cpus_per_worker),
                # The next piece waits beside the one that is worked on, not more: none waits for a slow worker.
                compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
                num_cpus=self.cpus_per_worker,
                num_gpus=gpus,
            )
            for row in results.iter_rows():
                done = _outcome(row["outcome"])
                if done is not None:
                    yield done

    def _cpus_wanted(self) -> int:
        return math.ceil((self.workers or 0) * self.cpus_per_worker)

    def _gpus(self, there: dict[str, float]) -> float:
        gpus = there.get("GPU", 0.0)
        if self.gpus_per_worker is None:
            return 1.0 if gpus else 0.0
        if self.gpus_per_worker and not gpus and not os.environ.get("RAY_ADDRESS"):
            raise OptionError("--gpus-per-worker: this machine has no GPU that Ray can see")
        return self.gpus_per_worker

    def _workers(self, there: dict[str, float], gpus: float) -> int:
        if self.workers is not None:
            return self.workers
        room = there.get("GPU", 0.0) / gpus if gpus else there.get("CPU", 1.0) / self.cpus_per_worker
        return max(1, int(room))


class Actor:
    """Holds a worker, its model loaded with the first piece, and answers for each piece with what became of it.

    Errors are answers too, and so arrive as they were. Ray tries a piece again without end that kills its worker, so
    tries are counted, in files, and nobody tries it a fifth time.
    """

    def __init__(self, work: Work, device: str, threads: int) -> None:
        self.work = work
        self.device = device
        self.worker: Worker | None = None
        self._limit_threads(threads)

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        """The outcome of a piece: a `Done`, None for one that killed all, or the error that the job ends with."""
        piece = pickle.loads(row["piece"])
        tries = Tries(self.work.shard(piece.index).parent)
        if tries.begin(piece.index) > MOST_TRIES:
            return {"outcome": pickle.dumps(None)}
        try:
            self.worker = self.worker or self.work.open(self.device)
            return {"outcome": pickle.dumps(self.worker(piece))}
        except KexueError as error:
            return {"outcome": pickle.dumps(error)}
        except Exception:
            return {"outcome": pickle.dumps(WorkerError(f"{piece}:\n{traceback.format_exc()}"))}

    @staticmethod
    def _limit_threads(threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # the tokenizers' threads
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"


def import_ray() -> Any:
    """Ray with Ray Data; raises `OptionError` if it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked to report anything
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise OptionError(f"--engine ray needs Ray ({error.name} is missing): pip install 'kexue[ray]'") from None
    return ray


@contextmanager
def _connected(ray: Any, cpus: int) -> Iterator[None]:
    """The Ray that is there, or one that lasts as long as this block."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_worker_niceness", "0")  # the workers are what somebody waits for, not the background
    own = {"num_cpus": max(cpus, _cores()), "object_store_memory": STORE, "include_dashboard": False}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if address else own))
    except Exception as error:  # Ray raises plain exceptions where it could not start
        where = f"reached at RAY_ADDRESS={address}" if address else "started on this machine"
        raise OptionError(f"Ray cannot be {where}: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _settings(ray: Any) -> Iterator[None]:
    """Ray Data's settings and its voice for one job: the command line has a bar of its own, and tells of errors."""
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = MOST_TRIES
    console = [handler for handler in logging.getLogger("ray.data").handlers if handler.name == "console"]
    levels = [handler.level for handler in console]
    for handler in console:
        handler.setLevel(logging.CRITICAL)  # all of it stands in Ray's log files
    try:
        with ray.data.DataContext.current(context):
            yield
    finally:
        for handler, level in zip(console, levels, strict=True):
            handler.setLevel(level)


def _outcome(answer: bytes) -> Done | None:
    outcome = pickle.loads(answer)
    if isinstance(outcome, Exception):
        raise outcome
    done: Done | None = outcome
    return done
