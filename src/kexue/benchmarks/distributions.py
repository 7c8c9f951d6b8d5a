"""Probabilities of argmax(loc + noise), forward and backward: time and memory beside softmax and Monte Carlo.

    python -m kexue.benchmarks.distributions [--shapes 1x50000 64x1000] [--threads 1]

Standard normal locations in float32, one target per row. Softmax is torch's cross entropy of the same tensor; ours
is -log p of the target from `perturbed_argmax_log_probs` (cross entropy), and 1 - p of it from
`perturbed_argmax_probs` (expected error). Monte Carlo is what perturbed-optimiser packages do: 1,000 draws, their
frequencies, and the score-function gradient. Errors are against float64 at the square of the tolerance.
Then laws with kinks or power tails over distinct locations, nearly tied to far apart.

The floor is the arithmetic alone, at the measured rate of this machine for one operation on a tensor in the cache and
for one log cdf: two times the polynomials of each class, two sums over classes and three back, and a log cdf and four
operations for each point and node, forward and backward.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.memory import peak_bytes
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target, number
from kexue.benchmarks.measuring.timing import Times, interleaved
from kexue.distributions.accuracy import Accuracy
from kexue.distributions.chebyshev import factors
from kexue.distributions.noise import (
    Cauchy,
    Exponential,
    Laplace,
    NegatedExponential,
    Noise,
    Normal,
    StudentT,
    Triangular,
    Uniform,
)
from kexue.distributions.probabilities import algorithm_for, perturbed_argmax_log_probs, perturbed_argmax_probs

LAWS: dict[str, Noise] = {
    "normal": Normal(),
    "exponential": Exponential(),
    "negated exponential": NegatedExponential(),
}
KINKED_AND_HEAVY: dict[str, Noise] = {
    "uniform": Uniform(),
    "triangular": Triangular(),
    "laplace": Laplace(),
    "student t": StudentT(),
    "cauchy": Cauchy(),
}
SPREADS = (0.01, 1.0, 100.0)
"""Standard deviations of the distinct locations for these, in units of the noise."""
PROMISES = {
    ("normal", 50_000): 60.0,
    ("normal", 1_000): 90.0,
    ("exponential", 50_000): 15.0,
    ("negated exponential", 50_000): 15.0,
}
"""Of the time over that of softmax, by law and number of classes."""
NUM_SAMPLES = 1000
SAMPLES_AT_ONCE = 8
REPEATS = 20
"""Softmax in every round: it is short."""
IN_CACHE = 2**13
"""Numbers in the tensors whose operations are timed for the floor."""


@dataclass(frozen=True)
class Cell:
    """What was measured for one law and shape."""

    times: dict[str, Times]
    error: float
    sampled_error: float
    floor: float

    def over_softmax(self, case: str) -> float:
        """How many times longer than softmax."""
        return self.times[case].ratio(self.times["softmax"]).sound


def measure(noise: Noise, shape: tuple[int, int], rounds: int, seed: int) -> Cell:
    """Time the four cases in turn; errors once."""
    generator = torch.Generator().manual_seed(seed)
    loc = torch.randn(shape, generator=generator)
    target = torch.randint(shape[1], shape[:1], generator=generator)

    def backward(loss: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        return lambda: loss(loc.detach().requires_grad_()).mean().backward()

    def chosen(values: Tensor) -> Tensor:
        return values.gather(-1, target[:, None])

    times = interleaved(
        {
            "softmax": backward(lambda loc: cross_entropy(loc, target)),
            "cross entropy": backward(lambda loc: -chosen(perturbed_argmax_log_probs(loc, noise))),
            "expected error": backward(lambda loc: 1 - chosen(perturbed_argmax_probs(loc, noise))),
            "Monte Carlo": lambda: sampled(loc, noise, target),
        },
        rounds,
        repeats={"softmax": REPEATS},
    )
    exact = perturbed_argmax_probs(loc.double(), noise, tolerance=1e-15)
    return Cell(
        times=times,
        error=float((perturbed_argmax_probs(loc, noise) - exact).abs().max()),
        sampled_error=float((sampled(loc, noise, target)[0] - exact).abs().max()),
        floor=floor(noise, loc),
    )


def measure_spread(noise: Noise, num_classes: int, spread: float, rounds: int, seed: int) -> list[object]:
    """Milliseconds of forward and backward, p and log p; how many classes can win; errors of float32."""
    loc = spread * torch.randn(num_classes, generator=torch.Generator().manual_seed(seed))
    row: list[object] = []
    for function in (perturbed_argmax_probs, perturbed_argmax_log_probs):

        def step(function: Callable[[Tensor, Noise], Tensor] = function) -> None:
            function(loc.detach().requires_grad_(), noise).amax().backward()

        row.append(interleaved({"step": step}, rounds)["step"].each(1e3))
    exact = perturbed_argmax_log_probs(loc.double(), noise)
    off = (perturbed_argmax_log_probs(loc, noise).double() - exact).abs() / exact.abs().clamp(min=1)
    probs = perturbed_argmax_probs(loc, noise)
    return [*row, int((probs > 0).sum()), *(f"{float(own):.1e}" for own in _errors(probs, exact, off))]


def _errors(probs: Tensor, exact: Tensor, off: Tensor) -> tuple[Tensor, Tensor]:
    """Of p, absolute, and of log p above -700, relative to it or to 1."""
    return (probs.double() - exact.exp()).abs().max(), off[exact > -700].max()


def sampled(loc: Tensor, noise: Noise, target: Tensor) -> tuple[Tensor, Tensor]:
    """Frequencies of 1,000 draws, and the gradient of that of the target as a score-function estimate."""
    counts, gradient = torch.zeros_like(loc), torch.zeros_like(loc)
    for _ in range(NUM_SAMPLES // SAMPLES_AT_ONCE):
        eps = noise.sample((SAMPLES_AT_ONCE, *loc.shape))
        winner = (loc + eps).argmax(-1)
        counts.scatter_add_(-1, winner.T, torch.ones_like(winner.T, dtype=loc.dtype))
        hits = (winner == target).to(loc.dtype)
        gradient += (hits[..., None] * eps).sum(0)
    return counts / NUM_SAMPLES, gradient / NUM_SAMPLES


def floor(noise: Noise, loc: Tensor) -> float:
    """Seconds of the arithmetic of forward and backward alone; of the sums over classes for the sorted form."""
    state = algorithm_for(noise).log_probs(loc, Accuracy.of_log_probs(None, loc.dtype))[1]
    a = torch.rand(IN_CACHE)
    rate = _seconds(lambda: torch.mul(a, a, out=a)) / IN_CACHE
    if isinstance(noise, NegatedExponential):
        return rate * 10 * loc.numel()
    points, _, _, level, _ = state[-5:]
    inner, outer = factors(points.shape[1])
    per_class = 2 * 2 * (inner + outer) + 5 * (inner * outer / 4 + outer)
    pair = _seconds(lambda: noise.log_cdf_standard(a)) / IN_CACHE + 4 * rate
    return rate * per_class * loc.numel() + 2 * pair * points.numel() * level.shape[1]


def _seconds(run: Callable[[], object]) -> float:
    """The fastest of many."""
    return min(interleaved({"run": run}, 50)["run"].cpu)


def peak(noise: Noise, shape: tuple[int, int], seed: int) -> float:
    """Bytes at the peak of forward and backward, gradient included, over those of the input."""
    loc = torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    def step() -> None:
        perturbed_argmax_log_probs(loc.detach().requires_grad_(), noise)[:, 0].sum().backward()

    step()
    return peak_bytes(step) / (loc.numel() * loc.element_size())


def main(arguments: list[str]) -> Report:
    """Print a table of times and errors, then memory."""
    options = _options(arguments)
    report, _ = begin("distributions", options)
    cells = {
        (name, shape): measure(noise, shape, options.rounds, options.seed)
        for name, noise in LAWS.items()
        for shape in options.shapes
    }
    report.table(
        [
            "law",
            "shape",
            "softmax, ms",
            "cross entropy",
            "expected error",
            "Monte Carlo",
            "floor",
            "error",
            "its error",
        ],
        [_row(name, shape, cell) for (name, shape), cell in cells.items()],
    )
    report.line("Cases in multiples of softmax by processor time; the last two columns are absolute errors of p.\n")
    for (name, shape), cell in cells.items():
        _targets(report, name, shape, cell)
    report.line("\nKinked and heavy laws, distinct locations; float32, milliseconds, wall / processor.\n")
    report.table(
        ["law", "spread", "p", "log p", "p > 0", "error of p", "error of log p"],
        [
            [name, spread, *measure_spread(noise, options.shapes[0][1], spread, options.rounds, options.seed)]
            for name, noise in KINKED_AND_HEAVY.items()
            for spread in SPREADS
        ],
    )
    for name, noise in LAWS.items():
        report.target(
            Target(f"{name}, peak memory / input", peak(noise, options.memory, options.seed), 6, at_most=True)
        )
    return report


def _row(name: str, shape: tuple[int, int], cell: Cell) -> list[object]:
    softmax = cell.times["softmax"]
    cases = [cell.over_softmax(case) for case in ("cross entropy", "expected error", "Monte Carlo")]
    errors = [f"{cell.error:.1e}", f"{cell.sampled_error:.1e}"]
    return [name, "x".join(map(str, shape)), softmax.each(1e3), *cases, cell.floor / softmax.median_cpu, *errors]


def _targets(report: Report, name: str, shape: tuple[int, int], cell: Cell) -> None:
    what = f"{name}, {'x'.join(map(str, shape))}"
    times = cell.times
    for case in ("cross entropy", "expected error"):
        report.compare(
            Comparison.of_times(
                f"{what}, {case} / softmax",
                times[case],
                times["softmax"],
                "torch's softmax cross entropy",
                promised=PROMISES.get((name, shape[1])),
                at_most=True,
            )
        )
    report.compare(
        Comparison.of_times(
            f"{what}, time of Monte Carlo / ours",
            times["expected error"],
            times["Monte Carlo"],
            "Monte Carlo",
            promised=10,
        )
    )
    report.line(f"{what}: error of Monte Carlo / ours: {number(cell.sampled_error / max(cell.error, 1e-12))}")


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("distributions", __doc__)
    parser.add_argument("--shapes", type=_shape, nargs="+", default=[(1, 50_000), (64, 1_000)], help="rows x classes")
    options = parser.parse_args(arguments)
    options.memory = (64, 50_000)
    if options.quick:
        options.shapes, options.memory, options.rounds = [(2, 300)], (4, 2_000), 1
    return options


def _shape(text: str) -> tuple[int, int]:
    rows, classes = text.split("x")
    return int(rows), int(classes)


if __name__ == "__main__":
    main(sys.argv[1:])
