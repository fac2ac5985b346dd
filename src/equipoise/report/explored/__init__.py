"""The page of an exploration: its answer, pictures of the front, points and choices, a slider and brushes."""
