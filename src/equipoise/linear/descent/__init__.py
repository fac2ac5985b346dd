"""Where MGDA and MGDA-UB go on a linear model, and where they end."""
