"""What every picture is made of: one template, marks and names, as plain plotly dicts."""
