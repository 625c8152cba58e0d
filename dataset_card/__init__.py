"""The dataset card: a template and what computes its tables."""
