"""Per-task gradients as blocks; each representation knows its inner products and its mixtures."""
