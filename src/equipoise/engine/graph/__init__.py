"""Reading autograd's graph: leaves, hooks, layers, heads and trunk, ownership."""
