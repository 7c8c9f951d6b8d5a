"""`kexue serve`: models over HTTP, with a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kexue.cli.console import err, quiet
from kexue.cli.inputs import look_for_model


def serve(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", help="Folders of trained models or hub ids; NAME=FOLDER gives a name."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; the best there is where left out.")] = None,
    dtype: Annotated[
        str, typer.Option(help="float32, or bfloat16 where the hardware has it (faster), for text.")
    ] = "float32",
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the encoders of extractors first, for about a minute each.")
    ] = False,
    latency: Annotated[
        float, typer.Option(min=0.01, help="Seconds in which a request is to be begun; beyond that the answer is 503.")
    ] = 1.0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which an answer is given up.")] = 30.0,
    api_keys: Annotated[
        Path | None, typer.Option(help="File of the keys that may ask, one a line; everybody may where left out.")
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Site whose pages may ask from a browser.")
    ] = None,
    label_studio: Annotated[
        bool, typer.Option("--label-studio", help="Answer Label Studio too, at /label-studio/MODEL.")
    ] = False,
) -> None:
    """Serve models over HTTP, and a page to try them on.

    Example: `kexue serve demo/model --port 8000`
    """
    from kexue.errors import OptionError
    from kexue.pipelines.hub import named_model

    for argument in models:
        look_for_model(named_model(argument)[1])
    quiet()
    try:
        from kexue.server.app import create_app
        from kexue.server.hosts import load_hosts
        from kexue.server.run import reserve, run
        from kexue.server.settings import Settings
    except ModuleNotFoundError as error:
        raise OptionError(f"{error.name} is missing: pip install 'kexue[serve]'") from None
    keys = read_keys(api_keys) if api_keys else ()
    settings = Settings(
        latency=latency, timeout=timeout, api_keys=keys, origins=tuple(cors or ()), label_studio=label_studio
    )
    with reserve(host, port) as held:
        hosts = load_hosts(models, latency=latency, device=device, dtype=dtype, compile=compile)
        names = ", ".join(hosts)
        run(
            create_app(hosts, settings),
            held,
            timeout=timeout,
            announce=lambda address: err.print(f"serving {names} on {address}", highlight=False, markup=False),
        )


def read_keys(path: Path) -> tuple[str, ...]:
    """The keys of a file, one a line; raises `OptionError` where it holds none."""
    from kexue.errors import OptionError

    try:
        keys = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: cannot be read: {error}") from None
    if not keys:
        raise OptionError(f"{path}: holds no key; write one a line")
    return keys
