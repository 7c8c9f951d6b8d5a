"""Three ways to estimate what is not known of x_0, and how far each is off from sample to sample.

Analytic-DPM   sigma^2 / alpha^2 (1 - E eps(x_t)^2)
Su             E (x_0 - m)^2 - E (x_0(x_t) - m)^2
ours           E (x_0 - x_0(x_t))^2
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kexue.diffusion import ArticleSchedule
from kexue.diffusion.exact import MixtureData
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.laws import uncertainty
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULE = ArticleSchedule()
DATA = MixtureData.three_modes()
TIMES = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
WAYS = ("Analytic-DPM", "Su", "ours")


def measure(lab: Lab) -> Any:
    """Truth and relative deviation of each way, by time."""
    num, repeats = lab.pick(200, 10_000), lab.pick(3, 20)
    rows = []
    for index, time in enumerate(TIMES):
        truth = uncertainty(DATA, SCHEDULE, time)
        found = torch.tensor([_estimates(lab.generator(1000 * index + k), time, num) for k in range(repeats)])
        off = ((found / truth - 1).square().mean(0)).sqrt()
        rows.append({"t": time, "truth": truth, "off": off.tolist()})
    return {"rows": rows, "num": num}


def _estimates(generator: torch.Generator, time: float, num: int) -> tuple[float, float, float]:
    x0 = DATA.sample(num, seed=int(torch.randint(2**31, (), generator=generator)))
    eps = torch.randn(num, 1, generator=generator, dtype=torch.float64)
    t = torch.full((num,), time, dtype=torch.float64)
    said = DATA.denoiser(SCHEDULE)(SCHEDULE.add_noise(x0, eps, t), t)
    noise = float((-SCHEDULE.log_snr(t[0])).exp())
    analytic = noise * (1 - float(said.eps.square().mean()))
    centre = float((DATA.weights * DATA.means[:, 0]).sum())
    su = float((x0 - centre).square().mean() - (said.x0 - centre).square().mean())
    return analytic, su, float((x0 - said.x0).square().mean())


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One row for each time."""
    page.heading("How to estimate what is not known of x_0")
    page.text(
        f"""Three modes, exact denoiser, {result["num"]:,} samples at a time: root of the mean square error over the
        truth (by quadrature). Analytic-DPM: (1 - E eps²) sigma² / alpha²; Su: E (x_0 - m)² less E (x_0(x_t) - m)²;
        ours: E (x_0 - x_0(x_t))²."""
    )
    page.table(
        ["t", "truth", *WAYS],
        [[f"{row['t']:g}", f"{row['truth']:.3g}", *(f"{off:.1%}" for off in row["off"])] for row in result["rows"]],
    )
    late = [row for row in result["rows"] if row["t"] >= 0.9]
    early = [row for row in result["rows"] if row["t"] <= 0.1]
    late_ratio = min(row["off"][0] / row["off"][1] for row in late)
    early_ratio = min(row["off"][1] / row["off"][0] for row in early)
    return [
        judge(
            "Su's estimate of what is not known of x_0 is the stable one amid the noise",
            late_ratio > 2,
            f"there the other is off {late_ratio:.0f} times as far or more; near the data it is Su's, "
            f"{early_ratio:.1f} times or more. The mean square of what is missed is off by "
            f"{max(row['off'][2] for row in result['rows']):.1%} at most at any time",
        )
    ]
