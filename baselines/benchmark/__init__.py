"""The benchmark: every method, regime and seed trained, predicted and scored by one command."""
