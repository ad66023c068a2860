"""What became of the inputs' parameters, as a table."""

from inference.combination.combine import Combination
from inference.tables import Table


def correlation_table(combination: Combination) -> Table:
    """One row for each parameter of the combination, one column for each input with the name that it has there."""
    inputs = list(dict.fromkeys(name for each in combination.parameters for name, _ in each.members))
    rows = tuple((each.name, *(dict(each.members).get(name) for name in inputs)) for each in combination.parameters)
    return Table("Parameters of the combination", ("parameter", *inputs), rows)
