"""What the benchmarks share: the machine, results as files, questions to the index."""
