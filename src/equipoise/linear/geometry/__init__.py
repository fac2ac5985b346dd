"""The boundary of the feasible region: its surfaces and the creases between them."""
