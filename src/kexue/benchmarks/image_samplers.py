"""How few network calls of a trained image model do for its best pictures: a table in the form of DDIM's Table 1.

    python -m kexue.benchmarks.image_samplers MODEL DATA [--num 10000] [--network FILE] [--output FILE.json]

Every sampler draws as many images, from the same noise, at each number of network calls, and FID and KID say how far
they are from the images of DATA. The feature network is the one of FID where its TorchScript file is given (see
`kexue.diffusion.metrics.features`), else the pixels themselves. Each number is written to the output as soon as it is
there, and the features of the real images beside it; the same command goes on where it was stopped. Source of the form:
Song, Meng, Ermon 2020, Table 1.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target, number
from kexue.diffusion.configuration import part_to_json
from kexue.diffusion.grids import GRIDS, TimeGrid
from kexue.diffusion.images import ImageSet, write_images
from kexue.diffusion.images.pixels import Pixels
from kexue.diffusion.metrics import Moments, extract_features, frechet_distance, kernel_distance
from kexue.diffusion.samplers import (
    DDIM,
    Adams,
    AnalyticDPM,
    EulerMaruyama,
    Heun,
    Multistep,
    PredictorCorrector,
    ReverseDiffusion,
    Sampler,
    SigmaHat,
    measure_uncertainty,
)
from kexue.errors import OptionError, unknown
from kexue.files import atomic_write, write_json
from kexue.ops.device import DTYPES
from kexue.pipelines.generator import Generator
from kexue.pipelines.image_evaluation import load_features, read_like

CALLS = (10, 15, 20, 50, 100, 1000)
FULL = 1000
"""The number of calls whose quality is to be reached with fewer."""
FEW = 15
NOISE_LEVELS = 50  # at which the uncertainty of the network is measured
PICTURES = 64


@dataclass(frozen=True)
class Line:
    """A sampler, its calls per step, and the calls that the last step does without."""

    title: str
    sampler: Sampler
    calls_per_step: int = 1
    saved: int = 0

    def steps(self, calls: int) -> int:
        """As many as need about so many calls."""
        return max(1, (calls + self.saved) // self.calls_per_step)

    def calls(self, steps: int) -> int:
        """Of so many steps."""
        return steps * self.calls_per_step - self.saved


LINES: dict[str, Line] = {
    "eta_0": Line("DDIM, eta 0", DDIM()),
    "eta_0.2": Line("DDIM, eta 0.2", DDIM(eta=0.2)),
    "eta_0.5": Line("DDIM, eta 0.5", DDIM(eta=0.5)),
    "eta_1": Line("DDPM, small variance (eta 1)", DDIM(eta=1.0)),
    "sigma_hat": Line("DDPM, large variance", SigmaHat()),
    "analytic": Line("DDPM, measured variance", AnalyticDPM()),
    "multistep": Line("Multistep (DPM-Solver++ 2M)", Multistep()),
    "multistep_eta_1": Line("Multistep, eta 1 (SDE-DPM-Solver++ 2M)", Multistep(eta=1.0)),
    "adams": Line("Adams", Adams()),
    "adams_eta_1": Line("Adams, eta 1", Adams(eta=1.0)),
    "heun": Line("Heun", Heun(), calls_per_step=2, saved=1),
    "euler_maruyama": Line("Euler-Maruyama", EulerMaruyama()),
    "reverse_diffusion": Line("reverse diffusion", ReverseDiffusion()),
    "predictor_corrector": Line("predictor-corrector", PredictorCorrector(), calls_per_step=2, saved=1),
}
ROWS = f"lines, or single numbers, which come first (default: all lines); of {', '.join(LINES)}"
TABLE_1 = ("eta_0", "eta_0.2", "eta_0.5", "eta_1", "sigma_hat")
"""Those that the paper compares."""


@dataclass(frozen=True)
class Quality:
    """What was measured of one sampler at one number of calls."""

    calls: int
    steps: int
    fid: float
    kid: float
    kid_error: float
    seconds: float


Qualities = dict[str, dict[int, Quality]]
"""By the name of a line, then by the calls asked for."""


class Judge:
    """The features of real images, and how far others are from them."""

    def __init__(self, real: ImageSet, options: Namespace, device: torch.device, memory: Memory) -> None:
        self.scale = real.scale
        self.batch_size = options.feature_batch
        self.device = device
        self.network = load_features(options.network, device)
        self.real = memory.real_features(lambda: self.features(real.pixels)).to(device)

    def features(self, pixels: Pixels) -> Tensor:
        """float64[n, dim], on the device."""
        found = extract_features(self.network, pixels, self.scale, batch_size=self.batch_size, device=self.device)
        return found.to(self.device)

    @cached_property
    def moments(self) -> Moments:
        """Of the real images."""
        return Moments.of(self.real)

    def __call__(self, pixels: Pixels) -> tuple[float, float, float]:
        """FID, KID, and the standard error of KID."""
        found = self.features(pixels)
        kernel = kernel_distance(found, self.real)
        return frechet_distance(self.moments, Moments.of(found)), kernel.value, kernel.standard_error


@dataclass(frozen=True, eq=False)
class Painter:
    """Draws images in batches of one size, from the same noise whatever the sampler."""

    generator: Generator
    num: int
    most: int
    seed: int

    @property
    def batches(self) -> int:
        """As few as `most` images at a time allow."""
        return -(-self.num // self.most)

    @property
    def batch(self) -> int:
        """Of equal size, so that a compiled network is compiled once."""
        return -(-self.num // self.batches)

    def draw(self, sampler: Sampler, steps: int, grid: TimeGrid | None) -> tuple[Pixels, float]:
        """uint8[num, h, w, c], and the seconds that they took."""
        self._wait()
        began = time.perf_counter()
        images = [self._batch(index, sampler, steps, grid) for index in range(self.batches)]
        self._wait()
        seconds = time.perf_counter() - began
        return np.concatenate([self.generator.scale.decode(part) for part in images])[: self.num], seconds

    def warm_up(self) -> None:
        """Compile, and let the device choose its kernels."""
        self._batch(0, DDIM(), 1, None)

    def uncertain(self, real: ImageSet) -> AnalyticDPM:
        """The sampler whose variance is measured on some real images."""
        some = np.random.default_rng(self.seed).choice(len(real), self.batch, replace=len(real) < self.batch)
        x0 = real.scale.encode(real.pixels[some]).to(self.generator.device)
        schedule = self.generator.schedule
        times = torch.linspace(schedule.t_min, 1, NOISE_LEVELS, dtype=torch.float64)
        denoise = self.generator.denoiser(num=self.batch)
        return AnalyticDPM(measure_uncertainty(denoise, schedule, x0, times, self._chance(0)))

    def _batch(self, index: int, sampler: Sampler, steps: int, grid: TimeGrid | None) -> Tensor:
        return self.generator.sample(
            self.batch,
            sampler=sampler,
            num_steps=steps,
            grid=grid,
            generator=self._chance(index),
            batch_size=self.batch,
        )

    def _chance(self, index: int) -> torch.Generator:
        """One stream per batch, made where the images are drawn."""
        return torch.Generator(self.generator.device).manual_seed(self.seed * 1_000_003 + index)

    def _wait(self) -> None:
        if self.generator.device.type == "cuda":
            torch.cuda.synchronize()


REAL = ("data", "reference", "seed", "features")
"""The conditions on which the features of the real images depend."""


class Memory:
    """What is measured, in a file that is whole after each number, and the features of the real images beside it."""

    def __init__(self, path: Path | None, conditions: dict[str, Any]) -> None:
        self.path = path
        self.conditions = conditions
        self.qualities: Qualities = {}
        if path is not None and path.exists():
            self._read(json.loads(path.read_text(encoding="utf-8")))

    def _read(self, content: dict[str, Any]) -> None:
        before = content["conditions"]
        other = [key for key, value in self.conditions.items() if before.get(key) != value]
        if other:
            raise OptionError(f"{self.path} was measured with another {', '.join(other)}: choose another --output")
        self.qualities = {
            name: {int(calls): Quality(**values) for calls, values in line.items()}
            for name, line in content["rows"].items()
        }

    def keep(self, name: str, calls: int, quality: Quality) -> None:
        """Write it down."""
        self.qualities.setdefault(name, {})[calls] = quality
        if self.path is not None:
            rows = {
                name: {str(calls): asdict(quality) for calls, quality in sorted(line.items())}
                for name, line in self.qualities.items()
            }
            write_json(self.path, {"conditions": self.conditions, "rows": rows})

    def real_features(self, measure: Callable[[], Tensor]) -> Tensor:
        """float64[n, dim], measured but once under the same conditions."""
        if self.path is None:
            return measure()
        beside, conditions = self.path.with_suffix(".real.npz"), json.dumps([self.conditions[key] for key in REAL])
        if beside.exists():
            with np.load(beside, allow_pickle=False) as kept:
                if str(kept["conditions"]) == conditions:
                    return torch.from_numpy(kept["features"])
        features = measure()
        with atomic_write(beside, binary=True) as file:
            np.savez(file, features=features.cpu().numpy(), conditions=conditions)
        return features


def main(arguments: list[str]) -> None:
    """Measure what is not measured yet, then print the tables."""
    options = _options(arguments)
    generator = Generator.from_pretrained(options.model, device=options.device, dtype=options.dtype)
    if options.channels_last:
        generator.network.to(memory_format=torch.channels_last)
    if options.compile:
        generator.network.compile(dynamic=False)
    real = read_like(generator, options.data)
    if options.reference is not None and options.reference < len(real):
        real = real.select(np.random.default_rng(options.seed).permutation(len(real))[: options.reference])
    memory = Memory(options.output, _conditions(options, generator, real))
    report, _ = begin("image_samplers", options)
    report.line(", ".join(f"{key} {value}" for key, value in memory.conditions.items()) + "\n")
    _measure(report, options, generator, real, memory)
    _print(report, memory.qualities)


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("image_samplers", __doc__)
    parser.add_argument("model", help="a folder written by kexue train or by diffusers")
    parser.add_argument("data", help="real images: whatever kexue train takes")
    parser.add_argument("--num", type=int, default=10_000, help="images of each sampler (default 10000)")
    parser.add_argument("--reference", type=int, help="real images, drawn at random (default: all)")
    parser.add_argument("--network", type=Path, help="TorchScript file of the network of FID (default: the pixels)")
    parser.add_argument("--output", type=Path, help="JSON file, which is also where a stopped run goes on from")
    parser.add_argument("--pictures", type=Path, help=f"folder for the first {PICTURES} images of each sampler")
    parser.add_argument("--rows", type=_row, nargs="+", metavar="NAME[:CALLS]", help=ROWS)
    parser.add_argument(
        "--calls", type=int, nargs="+", default=list(CALLS), help=f"default {' '.join(map(str, CALLS))}"
    )
    parser.add_argument("--grid", choices=GRIDS, help="of all samplers (default: each its own)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing more after so many")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the best there is")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="in which the network computes")
    parser.add_argument("--compile", action="store_true", help="the network, with torch.compile")
    parser.add_argument("--channels-last", action="store_true", help="weights in the order of the tensor cores")
    parser.add_argument("--batch", type=int, default=500, help="images drawn at a time (default 500)")
    parser.add_argument("--feature-batch", type=int, default=100, help="images judged at a time (default 100)")
    return parser.parse_args(arguments)


def _conditions(options: Namespace, generator: Generator, real: ImageSet) -> dict[str, Any]:
    """On what a number depends."""
    return {
        "model": generator.fingerprint[:12] or str(options.model),
        "data": Path(options.data).name,
        "reference": len(real),
        "num": options.num,
        "seed": options.seed,
        "features": "pixels" if options.network is None else options.network.name,
        "grid": options.grid or "own",
        "dtype": options.dtype,
        "device": generator.device.type,
        "parameterization": part_to_json(generator.parameterization)["name"],
        "schedule": part_to_json(generator.schedule)["name"],
    }


def _measure(report: Report, options: Namespace, generator: Generator, real: ImageSet, memory: Memory) -> None:
    began = time.monotonic()
    missing = _missing(options, memory.qualities)
    if not missing:
        return
    painter, judge = (
        Painter(generator, options.num, options.batch, options.seed),
        Judge(real, options, generator.device, memory),
    )
    painter.warm_up()
    samplers = {name: LINES[name].sampler for name, _ in missing}
    if "analytic" in samplers:
        samplers["analytic"] = painter.uncertain(real)
    for name, calls in missing:
        if time.monotonic() - began > options.seconds:
            report.line("time is up; the same command goes on")
            return
        steps = LINES[name].steps(calls)
        pixels, seconds = painter.draw(samplers[name], steps, GRIDS[options.grid]() if options.grid else None)
        quality = Quality(LINES[name].calls(steps), steps, *judge(pixels), seconds)
        memory.keep(name, calls, quality)
        report.line(f"{LINES[name].title}, {quality.calls} calls: {describe(quality)}, {seconds:.1f} s")
        if options.pictures is not None:
            shown = generator.pixels(generator.scale.encode(pixels[:PICTURES]))  # with 255 as white
            write_images(options.pictures / f"{name}-{calls}.png", shown)


def _row(text: str) -> tuple[str, int | None]:
    """A line, and the calls of a single number of it."""
    name, _, calls = text.partition(":")
    if name not in LINES:
        raise ArgumentTypeError(unknown("sampler", name, list(LINES)))
    return name, int(calls) if calls else None


def _missing(options: Namespace, known: Qualities) -> list[tuple[str, int]]:
    """Single numbers as they are named, then whole lines, the cheap numbers first."""
    rows = options.rows or [(name, None) for name in LINES]
    single = [(name, calls) for name, calls in rows if calls is not None]
    others = [(name, calls) for calls in sorted(options.calls) for name, all_calls in rows if all_calls is None]
    return [(name, calls) for name, calls in dict.fromkeys(single + others) if calls not in known.get(name, {})]


def describe(quality: Quality) -> str:
    """In one cell of a table; KID in thousandths, as is usual."""
    return f"{quality.fid:.2f} ({1000 * quality.kid:.2f} ± {1000 * quality.kid_error:.2f})"


def fewest_calls(qualities: Qualities, full: Quality) -> tuple[int, str]:
    """How many calls, and of which line, bring KID to at most one standard error above that of `full`."""
    least = full.kid + full.kid_error
    as_good = [(q.calls, name) for name, line in qualities.items() for q in line.values() if q.kid <= least]
    return min(as_good)


def _print(report: Report, qualities: Qualities) -> None:
    columns = sorted({calls for line in qualities.values() for calls in line})
    lines = [name for name in LINES if name in qualities]
    report.line("\nFID (1000 KID ± its standard error) by network calls\n")
    rows = [
        [LINES[name].title, *(describe(qualities[name][c]) if c in qualities[name] else "" for c in columns)]
        for name in lines
    ]
    report.table(["sampler", *map(str, columns)], rows)
    report.line("seconds\n")
    report.table(
        ["sampler", *map(str, columns)],
        [
            [LINES[name].title, *(number(q.seconds) if (q := qualities[name].get(c)) else "" for c in columns)]
            for name in lines
        ],
    )
    for calls in columns:
        among = sorted((qualities[name][calls].fid, name) for name in TABLE_1 if calls in qualities.get(name, {}))
        report.line(f"{calls} calls, from the best FID: {', '.join(name for _, name in among)}")
    _few(report, qualities)


def _few(report: Report, qualities: Qualities) -> None:
    """How many calls reach the quality of 1000."""
    for name in [name for name, line in qualities.items() if FULL in line]:
        calls, by = fewest_calls(qualities, qualities[name][FULL])
        text = f"calls to the KID of {LINES[name].title} at {FULL}, by {LINES[by].title}"
        report.target(Target(text, calls, FEW, at_most=True))


if __name__ == "__main__":
    main(sys.argv[1:])
