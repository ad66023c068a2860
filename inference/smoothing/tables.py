"""What was done to the templates, as a table."""

from inference.smoothing.workspace import Smoothed
from inference.tables import Table


def changes_table(result: Smoothed) -> Table:
    """One row for each step of each variation."""
    rows = tuple(
        (each.channel, each.sample, each.systematic, each.step, each.reason, each.size) for each in result.changes
    )
    columns = ("channel", "sample", "systematic", "step", "reason", "largest change")
    return Table("Changes of templates", columns, rows)
