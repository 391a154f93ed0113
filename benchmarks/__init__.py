"""The benchmarks: millhand next to the limit, the plain way and other programs, in one run."""
