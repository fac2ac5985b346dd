"""What optimizers, and frameworks around them, do to a step: closures, windows of micro-batches, divisions."""
