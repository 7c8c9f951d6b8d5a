"""`python -m kexue` and `torchrun -m kexue`: the command line as a module."""

from kexue.cli.main import main

main()
