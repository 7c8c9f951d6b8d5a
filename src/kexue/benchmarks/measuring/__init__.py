"""How things are measured: time in interleaved rounds, memory by the allocator, the machine's own speed."""
