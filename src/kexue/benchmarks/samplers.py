"""What a sampler adds to the network's time, and how near it comes to the data, beside diffusers.

    python -m kexue.benchmarks.samplers [--batch 64] [--calls 10 20 50] [--points 2000] [--threads 1]

Overhead: the network is a stub that returns a tensor made before, so all time is the sampler's. Bare is the fused
arithmetic c x + e y (and z drawn and added, for eta = 1), with nothing around it; ours is the whole step with the
tensor of times; the peer is `step` of DDIMScheduler, with the timestep as its pipeline passes it.

Accuracy: one-dimensional data whose score is exact. Quantiles of the start become quantiles of what is sampled, so
nothing is random but what a stochastic scheduler draws. W1 and W2 are distances to the data's quantiles, from a start
of N(0, 1), as everybody samples, and from the exact law of x_1, where only the sampler errs. The peer is the best of
all schedulers of diffusers and of the combinations of their options, chosen anew for each number.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report
from kexue.benchmarks.measuring.timing import Run, Times, interleaved
from kexue.benchmarks.peers import schedulers
from kexue.diffusion.exact import MixtureData, f64
from kexue.diffusion.prediction import Denoiser, Prediction
from kexue.diffusion.samplers import DDIM, Adams, Heun, Multistep, Sampler, State
from kexue.diffusion.sampling import sample
from kexue.diffusion.schedules import DiscreteBetas

SHAPE = (3, 32, 32)
NUM_STEPS = 50
SCHEDULE = DiscreteBetas()
OURS: dict[str, tuple[Sampler, int]] = {
    "adams": (Adams(), 1),
    "multistep": (Multistep(), 1),
    "heun": (Heun(), 2),
    "ddim": (DDIM(), 1),
}
"""With the calls of a step."""


DATA = {
    "three modes": MixtureData.three_modes(),
    "normal(0.3, 0.25)": MixtureData(f64([1.0]), f64([[0.3]]), f64([0.5])),
}


@dataclass(frozen=True)
class Contest:
    """Data, a start and a number of calls; distances of all that take part."""

    data: MixtureData
    exact_start: bool
    num_calls: int
    num_points: int

    @cached_property
    def levels(self) -> Tensor:
        """Of the quantiles."""
        return (torch.arange(self.num_points, dtype=torch.float64) + 0.5) / self.num_points

    @cached_property
    def target(self) -> Tensor:
        """The data's quantiles."""
        return self.data.quantiles(self.levels)

    @cached_property
    def start(self) -> Tensor:
        """x_1: [points, 1]."""
        if self.exact_start:
            return self.data.at(SCHEDULE, 1.0).quantiles(self.levels)[:, None]
        return torch.special.ndtri(self.levels)[:, None]

    @cached_property
    def denoise(self) -> Denoiser:
        """Exact."""
        return self.data.denoiser(SCHEDULE)

    def eps(self, x: Tensor, timestep: float) -> Tensor:
        """As diffusers asks for it."""
        return self.denoise(x, torch.full((len(x),), (timestep + 1) / 1000, dtype=torch.float64)).eps

    def distances(self, x: Tensor) -> tuple[float, float]:
        """W1 and W2."""
        away = x.double().flatten().sort().values - self.target
        return float(away.abs().mean()), float(away.square().mean().sqrt())

    def ours(self, sampler: Sampler, calls_per_step: int) -> tuple[float, float]:
        """With the sampler's own grid."""
        num_steps = (self.num_calls + calls_per_step - 1) // calls_per_step
        noise = self.start / SCHEDULE.prior_std if self.exact_start else self.start
        return self.distances(sample(self.denoise, SCHEDULE, noise, sampler, num_steps))

    def peers(self) -> Iterator[tuple[str, tuple[float, float]]]:
        """Every scheduler, by name and options."""
        for name, options in schedulers.configurations():
            x = schedulers.run(name, options, self.eps, self.start, self.num_calls)
            if x is not None and bool(x.isfinite().all()):
                chosen = ", ".join(f"{value}" if isinstance(value, str) else key for key, value in options.items())
                yield f"{name} ({chosen})", self.distances(x)


def main(arguments: list[str]) -> Report:
    """Print a table for the overhead and one for the accuracy."""
    options = _options(arguments)
    report, _ = begin("samplers", options)
    _overhead(report, options)
    _accuracy(report, options)
    return report


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("samplers", __doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--calls", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--points", type=int, default=2000)
    options = parser.parse_args(arguments)
    if options.quick:
        options.batch, options.calls, options.points, options.rounds = 2, [10], 20, 1
    return options


def _overhead(report: Report, options: Namespace) -> None:
    report.line(f"overhead of a step, batch {options.batch} x 3 x 32 x 32, float32; us, wall / processor\n")
    rows = []
    for name, eta, most in (("DDIM", 0.0, 1.2), ("DDPM (eta = 1)", 1.0, 1.1)):
        times = _times(eta, options)
        to_bare, to_ours = times["ours"].ratio(times["bare"]), times["diffusers"].ratio(times["ours"])
        rows.append([name, *(times[case].each(1e6 / NUM_STEPS) for case in times), to_bare, to_ours])
        report.compare(
            Comparison.of_times(
                f"{name}, ours / bare", times["ours"], times["bare"], "bare arithmetic", promised=most, at_most=True
            )
        )
        report.compare(
            Comparison.of_times(
                f"{name}, diffusers / ours",
                times["ours"],
                times["diffusers"],
                "diffusers",
                promised=4 if eta == 0 else None,
            )
        )
    report.line()
    report.table(["sampler", "bare", "ours", "diffusers", "ours / bare", "diffusers / ours"], rows)


def _times(eta: float, options: Namespace) -> dict[str, Times]:
    """Of a walk of 50 steps."""
    generator = torch.Generator().manual_seed(options.seed)
    x, eps = (torch.randn(options.batch, *SHAPE, generator=generator) for _ in range(2))
    cases: dict[str, Run] = {
        "bare": partial(_bare, x, eps, eta),
        "ours": _our_walk(x, eps, eta),
        "diffusers": _their_walk(x, eps, eta),
    }
    return interleaved(cases, options.rounds, repeats=dict.fromkeys(cases, 1 if options.quick else 20))


def _bare(x: Tensor, eps: Tensor, eta: float) -> Tensor:
    for _ in range(NUM_STEPS):
        x = 0.99 * x + 0.01 * eps
        if eta:
            x = x + 0.01 * torch.randn(x.shape)
    return x


def _our_walk(x: Tensor, eps: Tensor, eta: float) -> Callable[[], State]:
    sampler = DDIM(eta=eta)
    steps = sampler.plan(SCHEDULE, sampler.grid.times(SCHEDULE, NUM_STEPS), last_noise=True)

    def stub(x_t: Tensor, t: Tensor) -> Prediction:
        return Prediction.from_eps(eps, x_t, 0.8, 0.6)

    def walk() -> State:
        state = State(x)
        for step in steps:
            state = sampler.step(stub, state, step, _draw)
        return state

    return walk


def _draw(x: Tensor) -> Tensor:
    return torch.randn(x.shape)


def _their_walk(x: Tensor, eps: Tensor, eta: float) -> Callable[[], Tensor]:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(**schedulers.CHAIN, clip_sample=False)
    scheduler.set_timesteps(NUM_STEPS)

    def walk() -> Tensor:
        there = x
        for t in scheduler.timesteps:
            there = scheduler.step(eps, t, there, eta=eta).prev_sample
        return there

    return walk


def _accuracy(report: Report, options: Namespace) -> None:
    report.line("accuracy; W1 / W2 in units of the data\n")
    for data in DATA:
        for exact_start in (False, True):
            start = "the exact law of x_1" if exact_start else "N(0, 1)"
            report.line(f"{data}, from {start}\n")
            contests = [Contest(DATA[data], exact_start, calls, options.points) for calls in options.calls]
            _contest_table(report, data, start, contests)


def _contest_table(report: Report, data: str, start: str, contests: list[Contest]) -> None:
    heading = ["calls", *OURS, "best of diffusers by W1", "its W1", "least W2"]
    rows = []
    for contest in contests:
        ours = {name: contest.ours(*sampler) for name, sampler in OURS.items()}
        peers = list(contest.peers())
        best, (least_w1, _) = min(peers, key=lambda peer: peer[1][0])
        least_w2 = min(w2 for _, (_, w2) in peers)
        shown = [f"{w1:.2g} / {w2:.2g}" for w1, w2 in ours.values()]
        rows.append([contest.num_calls, *shown, best, f"{least_w1:.2g}", f"{least_w2:.2g}"])
        for kind, mine, its in (("W1", ours["adams"][0], least_w1), ("W2", ours["adams"][1], least_w2)):
            report.compare(
                Comparison.of_numbers(
                    f"{data} from {start}, {contest.num_calls} calls, {kind} of the best peer / adams",
                    mine,
                    its,
                    "diffusers",
                    unit="data",
                    promised=1,
                )
            )
    report.line()
    report.table(heading, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
