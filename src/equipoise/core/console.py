"""Tables as rich prints them on a terminal."""

from collections.abc import Collection

from rich.table import Table

__all__ = ["make_table"]


def make_table(*columns: str, right: Collection[str] = ()) -> Table:
    """An empty table without lines; long cells are folded, and the columns named in `right` are set to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left")
    return table
