"""The theorem's test: can weighted sums reach every Pareto-optimal model of a given width?"""
