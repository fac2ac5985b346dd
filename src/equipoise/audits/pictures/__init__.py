"""The pictures of an audit, one a file: the record it keeps, how that is drawn, what is said of it.

To add one, write a subclass of `picture.Picture` in a file of its own and put it into the catalogue.
"""
