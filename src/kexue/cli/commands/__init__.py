"""One file per verb."""

from kexue.cli.commands import (
    convert,
    demo,
    doctor,
    evaluate,
    extract,
    generate,
    graph,
    info,
    pretrain,
    serve,
    study,
    train,
)

__all__ = [
    "convert",
    "demo",
    "doctor",
    "evaluate",
    "extract",
    "generate",
    "graph",
    "info",
    "pretrain",
    "serve",
    "study",
    "train",
]
