"""Iterates kept during training, and their mean as the model that is used in the end."""
