"""How good a model's images are: measures, statistics, comparison, report."""
