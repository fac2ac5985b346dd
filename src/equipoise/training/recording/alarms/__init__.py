"""Sequential tests on what a recording sees: which task has stopped improving, which one the steps go against."""
