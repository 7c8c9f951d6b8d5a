"""Measurements that anyone can rerun, with peers beside us in the same run: `python -m kexue.benchmarks`."""
