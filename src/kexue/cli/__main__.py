"""`python -m kexue.cli` and `torchrun -m kexue.cli`: the command line as a module."""

from kexue.cli.main import main

main()
