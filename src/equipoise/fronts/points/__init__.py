"""One point of a front for each preference that is named."""
