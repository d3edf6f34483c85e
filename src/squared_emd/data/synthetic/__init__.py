"""Synthetic data, on which the recipes run without a data set."""
