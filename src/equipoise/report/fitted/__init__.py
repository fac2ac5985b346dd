"""The report of a fit: is one model for all targets better than separate ones here?"""
