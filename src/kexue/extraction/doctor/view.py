"""A diagnosis as tables on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kexue.extraction.doctor.finding import Diagnosis, Distribution, Finding

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_BAR = 30
_LABELS = 40


def render(diagnosis: Diagnosis, console: Console) -> None:
    """Print sizes, findings with their examples, label counts and lengths."""
    console.print(_sizes(diagnosis))
    for finding in diagnosis.findings:
        _finding(finding, console)
    if not diagnosis.findings:
        console.print("[green]Nothing found: the data look sound.[/]")
    if diagnosis.labels:
        console.print(_labels(diagnosis))
    for distribution in diagnosis.distributions:
        quantiles = ", ".join(f"{name} {value:,}" for name, value in distribution.quantiles.items())
        console.print(f"{distribution.name}: {quantiles}")
        console.print(_histogram(distribution))


def _sizes(diagnosis: Diagnosis) -> Table:
    columns = list(next(iter(diagnosis.sizes.values()), {}))
    table = Table("split", title="What there is", title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for split, counts in diagnosis.sizes.items():
        table.add_row(escape(split), *(f"{counts[column]:,}" for column in columns))
    return table


def _finding(finding: Finding, console: Console) -> None:
    style = _STYLES[finding.severity]
    amount = f"{finding.count:,} of {finding.total:,} {finding.unit} ({finding.share:.1%})"
    console.print(f"[{style}]{finding.severity} {finding.kind}[/]  {amount}: {escape(finding.message)}")
    for example in finding.examples:
        identity = f" {example.id}" if example.id else ""
        console.print(f"    {escape(f'{example.split}:{example.record}{identity}  {example.excerpt}')}")
    console.print(f"    [dim]{escape(finding.remedy)}[/]")


def _labels(diagnosis: Diagnosis) -> Table:
    table = Table("kind", "label", title="Labels", title_justify="left")
    for split in diagnosis.sizes:
        table.add_column(escape(split), justify="right")
    for label in diagnosis.labels[:_LABELS]:
        table.add_row(label.kind, escape(label.label), *(f"{count:,}" for count in label.counts.values()))
    if len(diagnosis.labels) > _LABELS:
        table.add_row("…", f"and {len(diagnosis.labels) - _LABELS} more")
    return table


def _histogram(distribution: Distribution) -> Table:
    table = Table("up to", "count", "", box=None)
    most = max(count for _, count in distribution.bins)
    for limit, count in distribution.bins:
        table.add_row(f"{limit:,}", f"{count:,}", "█" * round(_BAR * count / most))
    return table
