"""x_0 from x_t is a rough look ahead, of which a small step is taken: how rough, by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kexue.diffusion import DDIM, ArticleSchedule, Progress, UniformTime, sample
from kexue.diffusion.exact import MixtureData
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.laws import levels, wasserstein
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULE = ArticleSchedule()
DATA = MixtureData.three_modes()


def measure(lab: Lab) -> Any:
    """W2 of x_0(x_t) to the data along one run of DDPM, its spread, and how far it is from where the run ends."""
    num, steps = lab.pick(500, 5000), lab.pick(10, 200)
    generator = lab.generator()
    noise = torch.special.ndtri(levels(num))[torch.randperm(num, generator=generator), None]
    seen: list[tuple[float, torch.Tensor]] = []
    times = UniformTime().times(SCHEDULE, steps).tolist()

    def look(progress: Progress) -> None:
        seen.append((times[progress.index], progress.preview))

    end = sample(
        DATA.denoiser(SCHEDULE), SCHEDULE, noise, DDIM(eta=1.0), steps, generator, grid=UniformTime(), callback=look
    )
    rows = [
        {
            "t": t,
            "w2": wasserstein(x0, DATA)[1],
            "spread": float(x0.var() / end.var()),
            "missed": float((x0 - end).square().mean().sqrt() / end.std()),
        }
        for t, x0 in seen
    ]
    return {"rows": rows, "end": wasserstein(end, DATA)[1]}


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """A picture and its ends."""
    page.heading("A rough look ahead")
    rows = result["rows"]
    page.text(
        f"""Along one run of DDPM on three modes: what x_0 is believed to be at time t. At t = 1 one jump gives the
        mean of the data for all (variance {rows[0]["spread"]:.4f} of the right one, W2 {rows[0]["w2"]:.2f}); the
        steps end at W2 {result["end"]:.3f}."""
    )

    def plot(figure: Any) -> None:
        panel = figure.subplots()
        times = [row["t"] for row in rows]
        for key, name in (
            ("missed", "rms distance to where the run ends / std of the data"),
            ("spread", "variance of x_0(x_t) / of the end"),
            ("w2", "W2 of x_0(x_t) to the data (units of the data)"),
        ):
            panel.plot(times, [row[key] for row in rows], label=name)
        panel.set(xlabel="time t (0 data, 1 noise)", ylabel="see the legend")
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3)

    pictures.draw(page, "lookahead", "What x_0 is believed to be, along a run", plot)
    return [
        judge(
            "x_0 from x_t is only a rough look ahead, which small steps refine",
            rows[0]["w2"] > 5 * result["end"] and rows[-1]["missed"] < rows[0]["missed"] / 5,
            f"W2 {rows[0]['w2']:.2f} by one jump, {result['end']:.3f} by {len(rows)} steps; what is missed falls from "
            f"{rows[0]['missed']:.2f} to {rows[-1]['missed']:.3f} standard deviations",
        )
    ]
