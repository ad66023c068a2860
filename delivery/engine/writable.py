"""What of a plan an output format can hold."""

from dataclasses import replace

from delivery.engine.expressions import Expressions
from delivery.engine.forms import general
from delivery.engine.plan import Plan
from delivery.engine.writers import unwritable
from delivery.requests import OutputFormat

_SHOWN_NAMES = 3


def writable(plan: Plan, output_format: OutputFormat) -> Plan:
    """The plan, of whole events without the columns that the format cannot hold, which nobody has asked for by name.

    A warning names them. What a query does name stays, and the writer refuses it.
    """
    if not plan.whole or plan.tail is not None:
        return plan
    refused = dict.fromkeys(unwritable(output_format, general(plan.output.sample)))
    left = {n: c for n, c in zip(plan.output.fields, plan.output.arguments, strict=True) if n not in refused}
    if not refused or not left:
        return plan
    names = ", ".join(list(refused)[:_SHOWN_NAMES])
    more = f" and {len(refused) - _SHOWN_NAMES} more" if len(refused) > _SHOWN_NAMES else ""
    warning = f"left out, since {output_format} cannot hold them: {names}{more}; a query that names one is told why"
    output = Expressions().make("zip", *left.values(), parameter=(tuple(left), 1), span=plan.output.span or (0, 0))
    return replace(plan, output=output, warnings=(*plan.warnings, warning))
