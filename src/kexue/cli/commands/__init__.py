"""One file per verb."""

from kexue.cli.commands import (
    bench,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    extract,
    generate,
    graph,
    info,
    pretrain,
    serve,
    study,
    suggest,
    train,
)

__all__ = [
    "bench",
    "convert",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "extract",
    "generate",
    "graph",
    "info",
    "pretrain",
    "serve",
    "study",
    "suggest",
    "train",
]
