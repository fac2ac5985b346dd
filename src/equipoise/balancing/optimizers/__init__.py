"""Interplay with optimizers and training frameworks: closures, windows of micro-batches, divisions."""
