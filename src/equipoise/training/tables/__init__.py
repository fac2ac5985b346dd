"""From a table with several targets to trained models: preparation, networks, baselines, predictions."""
