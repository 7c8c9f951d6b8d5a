"""Peak memory of a piece of work: every allocation of torch's CPU allocator, summed as it goes.

The profiler reports each block when it is taken and when it is given back, the temporaries inside an operation
too, which a look at the tensors from Python would miss. What was there before does not count, nor do buffers
that a BLAS takes for itself.
"""

from __future__ import annotations

import os
from itertools import accumulate

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read when the first profile starts; it logs to stderr otherwise

from torch.profiler import ProfilerActivity, profile

from kexue.benchmarks.measuring.timing import Run


def peak_bytes(run: Run) -> int:
    """The most bytes that were held at one moment, above those held at the start."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = (event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]")
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(changes), default=0)
