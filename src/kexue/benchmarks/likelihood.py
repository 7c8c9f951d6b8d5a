"""The log-likelihood of a correlated Gaussian: its error, whether the error is known, and what it costs.

    python -m kexue.benchmarks.likelihood [--dim 192] [--points 32] [--threads 1]

The denoiser is exact, so every error is the method's. Neighbouring dimensions have the correlation 0.8, as one probe
of signs would be exact for independent ones. The peer is the scheme of score_sde: one probe, RK45 over all samples
as one equation, float32; at equal time it may average as many runs as fit into ours, which divides its error by the
root of their number.
"""

from __future__ import annotations

import math
import sys
from argparse import Namespace
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target
from kexue.benchmarks.measuring.timing import Run, Times, interleaved
from kexue.benchmarks.peers.score_sde import one_probe_log_likelihood
from kexue.diffusion.exact import GaussianData
from kexue.diffusion.likelihood import Likelihood, log_likelihood
from kexue.diffusion.schedules import LinearVP
from kexue.diffusion.trace import ExactTrace, Hutchinson, HutchPP, Trace

SCHEDULE = LinearVP()
STUDENT_95 = {2: 12.706, 4: 3.182, 8: 2.365, 16: 2.131}
"""Within how many standard errors, by the number of probes, 95% lie."""


@dataclass(frozen=True)
class Case:
    """The errors of one method in bits per dimension, what it says of them, and its time."""

    name: str
    error: Tensor
    standard_error: Tensor | None
    num_probes: int
    times: Times

    @property
    def rms(self) -> float:
        """The root of the mean square error of a point."""
        return float(self.error.square().mean().sqrt())

    @property
    def covered(self) -> float:
        """The share of points within the 95% interval."""
        if self.standard_error is None:
            return math.nan
        return float((self.error.abs() <= STUDENT_95[self.num_probes] * self.standard_error).double().mean())

    def smaller_at_equal_time(self, peer: Case) -> float:
        """How many times smaller the error is than the peer's, which averages for as long as this one takes."""
        runs = max(1.0, self.times.ratio(peer.times).sound)
        return peer.rms / math.sqrt(runs) / self.rms


def methods(options: Namespace) -> dict[str, tuple[Trace, torch.dtype]]:
    """Ours."""
    return {
        "exact": (ExactTrace(), torch.float64),
        "exact, float32": (ExactTrace(), torch.float32),
        f"Hutchinson, {options.probes} probes": (Hutchinson(options.probes), torch.float64),
        f"Hutch++, {options.probes} and {options.probes}": (HutchPP(options.probes, options.probes), torch.float64),
    }


def measure(options: Namespace) -> list[Case]:
    """All methods on the same points, in turn; the peer comes last."""
    generator = torch.Generator().manual_seed(options.seed)
    data = GaussianData.correlated(options.dim, seed=options.seed)
    denoise = data.denoiser(SCHEDULE)
    half = data.sample(options.points // 2, seed=options.seed + 1)
    x, nats = torch.cat((half, 2 * data.mean - half)), options.dim * math.log(2)  # and their mirror images
    found: dict[str, Likelihood] = {}
    log_prob: dict[str, Tensor] = {}

    def ours(name: str, trace: Trace, dtype: torch.dtype) -> None:
        found[name] = log_likelihood(denoise, SCHEDULE, x.to(dtype), trace=trace, generator=generator)
        log_prob[name] = found[name].log_prob

    def peer(name: str) -> None:
        log_prob[name] = one_probe_log_likelihood(denoise, SCHEDULE, x, generator)

    kinds = methods(options)
    cases: dict[str, Run] = {name: partial(ours, name, *kind) for name, kind in kinds.items()}
    times = interleaved({**cases, "score_sde": partial(peer, "score_sde")}, options.rounds)
    results = []
    for name, its_times in times.items():
        probes = kinds[name][0].columns if name in kinds else 1
        standard_error = found[name].bits_error if probes > 1 else None
        error = (data.log_prob(x) - log_prob[name]) / nats
        results.append(Case(name, error, standard_error, probes, its_times))
    return results


def main(arguments: list[str]) -> Report:
    """Print a table of all methods, and whether the promises hold."""
    options = _options(arguments)
    report, _ = begin("likelihood", options)
    *cases, peer = measure(options)
    report.line(
        f"{options.points} points of {options.dim} dimensions; errors in bits per dimension; s, wall / processor\n"
    )
    heading = ["method", "mean error", "rms error", "within 95%", "time", "peer's error at equal time / its own"]
    report.table(heading, [_row(case, peer) for case in (*cases, peer)])
    _targets(report, cases, peer)
    return report


def _row(case: Case, peer: Case) -> list[object]:
    mean = f"{float(case.error.mean()):.1e}"
    covered = "" if math.isnan(case.covered) else f"{case.covered:.0%}"
    return [case.name, mean, f"{case.rms:.1e}", covered, case.times.each(1), case.smaller_at_equal_time(peer)]


def _targets(report: Report, cases: list[Case], peer: Case) -> None:
    """Errors in millionths of a bit, as the report prints few decimals."""
    exact = cases[0]
    mean, rms = 1e6 * abs(float(exact.error.mean())), 1e6 * exact.rms
    report.target(Target("exact trace, mean error in 1e-6 bits/dim", mean, 10, at_most=True))
    report.target(Target("exact trace, rms error in 1e-6 bits/dim", rms, 100, at_most=True))
    for case in cases:
        at_equal_time = case.rms * case.smaller_at_equal_time(peer)
        report.compare(
            Comparison(
                f"error of score_sde at equal time / ours, {case.name}",
                "score_sde's scheme",
                case.rms,
                at_equal_time,
                at_equal_time / case.rms,
                case.times.ratio(peer.times).spread / 2,  # the error falls with the root of the time
                5.0 if case is exact else None,
                unit="bits/dim",
            )
        )


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("likelihood", __doc__)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--points", type=int, default=32, help="even (default 32)")
    parser.add_argument("--probes", type=int, choices=STUDENT_95, default=8)
    options = parser.parse_args(arguments)
    if options.quick:
        options.dim, options.points, options.probes, options.rounds = 6, 4, 4, 1
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
