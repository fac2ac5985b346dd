"""What is trained: a model, one loss a task, data in memory or from loaders, splits, masks, metrics."""
