"""What stands inside a query's lambdas: names become columns, records dissolve into columns, shapes are checked.

A lambda's variable stands for the whole column (or record of columns) it runs over, and an operator inside acts on the
items of that column: this is how func_adl_uproot, whose answers we give, reads the language. How deep in its lists an
operator acts is told by the query's text alone: the dataset has depth 0, a lambda's variable one more than its source.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from delivery.engine.calls import Calls, module_constant
from delivery.engine.expressions import Argument, Expression, Expressions, Literal
from delivery.engine.four_vectors import PROPERTIES, is_vector
from delivery.engine.header import Header
from delivery.engine.lists import ListOperators
from delivery.engine.operators import UFUNCS, UNARY_UFUNCS, Operators
from delivery.engine.scope import Container, EventRecord, Scope, Term, Unknown, Value, greatest, least, written
from delivery.engine.shapes import ndim
from delivery.engine.values import ROWS, no_rows
from delivery.errors import DepthMismatch, QueryFault, UnknownName, UnsupportedNode, nearest
from queries.parser import parse
from queries.syntax import (
    Attribute,
    Binary,
    BoolOp,
    Call,
    Compare,
    Constant,
    Dict,
    If,
    Lambda,
    Linq,
    List,
    Name,
    Node,
    Subscript,
    Unary,
    walk,
)


class Terms:
    """Values of the expressions inside lambdas.

    `missing` collects the columns that the file lacks, with their first places in the text.
    """

    def __init__(self, text: str, header: Header, *, strict: bool) -> None:
        self._text, self._header = text, header
        self._names = frozenset(header.names())
        self.strict = strict
        self.expressions = Expressions()
        self.operators = Operators(self.expressions, self.fault, text, strict)
        self.missing: dict[str, tuple[int, int]] = {}
        self.lists = ListOperators(self)
        self._kinds: Mapping[type[Node], Callable[[Any, Scope], Term]] = {
            Name: self._name,
            Constant: self._constant,
            Attribute: self._attribute,
            Subscript: self._subscript,
            List: self._list,
            Dict: self._dict,
            If: self._if,
            Unary: self._unary,
            Binary: self._binary,
            Compare: self._binary,
            BoolOp: self._binary,
            Linq: self.lists.linq,
            Call: Calls(self).call,
        }

    def fault(
        self, kind: type[QueryFault], problem: str, node: Node, name: str = "", near: Sequence[str] = ()
    ) -> QueryFault:
        """An error at a node; of a name that is not known, with those that may have been meant."""
        return kind(problem, self._text, (node.span.start, node.span.end), name=name, near=near)

    def variables(self, node: Node) -> list[str]:
        """The variables of the lambdas around a node, as the query spells them."""
        around = [n for n in walk(parse(self._text)) if isinstance(n, Lambda) and n.span.start <= node.span.start]
        return [name for n in around if node.span.end <= n.span.end for name in n.params]

    def term(self, node: Node, scope: Scope) -> Term:
        """Value and depth of a node with these variables in scope."""
        if type(node) not in self._kinds:
            raise self.fault(UnsupportedNode, f"a {type(node).__name__.lower()} cannot stand here", node)
        return self._kinds[type(node)](node, scope)

    def column(self, name: str, node: Node, event: EventRecord) -> Expression | Unknown:
        """A branch of the tree."""
        if name not in self._names:
            self.missing.setdefault(name, (node.span.start, node.span.end))
            return Unknown()
        kind = self._header.column_type(name)
        if isinstance(kind, str):
            raise self.fault(
                UnsupportedNode, f"branch {name!r} of {self._header.file} has the unsupported type {kind}", node
            )
        column = self.expressions.column(name, kind.sample, kind.counter)
        for index in event.indices:
            if index.jagged and not column.jagged:
                problem = (
                    f"a Where before has one value per object, which cannot choose from {name}, with one per event"
                )
                raise self.fault(DepthMismatch, f"{problem}; reduce its predicate with Any, All or Count", node)
            column = self.operators.apply("index", node, column, index)
        return column

    def record(self, event: EventRecord, node: Node) -> Expression:
        """The whole event as records of all its columns that can be read."""
        names = [n for n in self._header.names() if not isinstance(self._header.column_type(n), str)]
        columns = [self.column(name, node, event) for name in names]
        known = [column for column in columns if isinstance(column, Expression)]
        return self.operators.apply("zip", node, *known, parameter=(tuple(names), 1))

    def array(self, value: Value, node: Node, what: str) -> Expression | Unknown:
        """The value as one that has columns; `what` needs it."""
        if isinstance(value, Expression | Unknown):
            return value
        if isinstance(value, EventRecord):
            return self.record(value, node)
        kind = "columns side by side; Zip makes a list of them" if isinstance(value, Container) else "a literal"
        raise self.fault(DepthMismatch, f"{what} needs a list, this is {kind}", node)

    def filled(self, literal: Literal, shape: Value, node: Node) -> Expression | Unknown:
        """A literal as a column: like the items of `shape`, and for an event like the first branch (as in the peer)."""
        if literal is None or isinstance(literal, str):
            raise self.fault(UnsupportedNode, f"the literal {literal!r} cannot be a column", node)
        if isinstance(shape, EventRecord):
            rows = self.expressions.column(ROWS, no_rows())
            first = next(n for n in self._header.names() if not isinstance(self._header.column_type(n), str))
            column: Expression | Unknown = rows if self.strict else self.column(first, node, shape)
        else:
            column = self.array(shape, node, "a literal")
        if isinstance(column, Unknown):
            return column
        while column.fields:
            column = self.operators.apply("field", node, column, parameter=column.fields[0])
        if isinstance(literal, bool):
            return self.operators.apply("full_like", node, column, parameter=(literal, "bool"))
        kind = "int64" if isinstance(literal, int) else "float64"
        return self.operators.apply("full_like", node, column, parameter=(literal, kind))

    def argument(self, value: Value, node: Node) -> Argument | Unknown:
        """The value as one that can be computed with."""
        if isinstance(value, Container | EventRecord):
            raise self.fault(DepthMismatch, "a record cannot be computed with; name one of its fields", node)
        return value

    def elementwise(self, name: str, node: Node, operands: tuple[Node, ...], scope: Scope) -> Term:
        """A NumPy function of operands, number by number."""
        terms = self.together([self.term(operand, scope) for operand in operands], node)
        arguments = [self.argument(term.value, o) for term, o in zip(terms, operands, strict=True)]
        depth = self.depth(term.depth for term in terms)
        known = [argument for argument in arguments if not isinstance(argument, Unknown)]
        if len(known) < len(arguments):
            return Term(Unknown(), depth)
        return Term(self.operators.elementwise(name, node, *known), depth)

    def depth(self, depths: Iterable[int | None]) -> int | None:
        """Depth of what is made of values of these depths: the peer's is the least; in strict that of the inmost."""
        return greatest(depths) if self.strict else least(depths)

    def together(self, terms: Sequence[Term], node: Node) -> list[Term]:
        """Strict semantics: values that are to meet, a list from outside a loop once for each item that it runs over.

        So in ``e.A.Select(lambda x: x + e.B)`` each x meets all of e.B, as the query says.
        """
        loops = [term for term in terms if isinstance(term.value, Expression) and term.depth is not None]
        inmost = max(loops, key=lambda term: term.depth or 0, default=None)
        if not self.strict or inmost is None:
            return list(terms)
        return [self._repeated(term, inmost, node) for term in terms]

    def _repeated(self, term: Term, inmost: Term, node: Node) -> Term:
        low, high = term.depth, inmost.depth
        if not isinstance(term.value, Expression) or low is None or high is None or low >= high:
            return term
        if ndim(term.value) <= low:  # one value, which meets all items as it is
            return term
        value = self.operators.apply("cross", node, inmost.value, term.value, parameter=(low, high))  # type: ignore[arg-type] # an Expression
        return Term(value, high)

    def _name(self, node: Name, scope: Scope) -> Term:
        if node.id not in scope.variables:
            known = ", ".join(self.variables(node)) or "nothing"
            raise self.fault(UnknownName, f"unknown name {node.id!r}; known here: {known}", node)
        return scope.variables[node.id]

    def _constant(self, node: Constant, _: Scope) -> Term:
        return Term(node.value, None)

    def _unary(self, node: Unary, scope: Scope) -> Term:
        return self.elementwise(UNARY_UFUNCS[node.op], node, (node.operand,), scope)

    def _binary(self, node: Binary | Compare | BoolOp, scope: Scope) -> Term:
        return self.elementwise(UFUNCS[node.op], node, (node.left, node.right), scope)

    def _if(self, node: If, scope: Scope) -> Term:
        test = self.term(node.test, scope)
        shape = self.argument(test.value, node.test)
        if isinstance(shape, Literal):
            raise self.fault(UnsupportedNode, "the condition is a literal, which chooses one side always", node.test)
        sides = [self._side(side, test._replace(value=shape), scope) for side in (node.body, node.orelse)]
        terms = self.together([test._replace(value=shape), *sides], node)
        depth = self.depth(term.depth for term in terms) if self.strict else test.depth
        known = [term.value for term in terms if isinstance(term.value, Expression | Literal)]
        if len(known) < len(terms):
            return Term(Unknown(), depth)
        return Term(self.operators.apply("where", node, *known), depth)

    def _side(self, node: Node, test: Term, scope: Scope) -> Term:
        """One side of a ternary: a literal is spread over the condition's shape, as 64-bit numbers."""
        value, depth = self.term(node, scope)
        if isinstance(test.value, Unknown):
            return test
        if isinstance(value, Literal) and isinstance(node, Constant):
            return Term(self.filled(value, test.value, node), test.depth)
        side = self.argument(value, node) if not isinstance(value, EventRecord) else self.record(value, node)
        return Term(side, depth)

    # ---- records

    def _attribute(self, node: Attribute, scope: Scope) -> Term:
        constant = module_constant(node, scope, self)
        if constant is not None:
            return Term(constant, None)
        return self._named(self.term(node.value, scope), node.name, node)

    def _named(self, source: Term, name: str, node: Node) -> Term:
        """A field, and its depth: its record's, but in strict semantics its own where a dict of the query has it."""
        inside = source.value.depths if self.strict and isinstance(source.value, Container) else {}
        return Term(self.field(source.value, name, node), inside.get(name, source.depth))

    def field(self, value: Value, name: str, node: Node) -> Value:
        """A field of a record, a branch of the event, or a property of a four-vector."""
        if isinstance(value, Unknown):
            return value
        if isinstance(value, EventRecord):
            return self.column(name, node, value)
        if isinstance(value, Container):
            return self._of_container(value, name, node)
        if not isinstance(value, Expression):
            raise self.fault(DepthMismatch, f"the literal {value!r} has no field {name!r}", node)
        if name in value.fields:
            return self.operators.apply("field", node, value, parameter=name)
        if name in PROPERTIES and is_vector(value.sample):
            return self.operators.apply("attribute", node, value, parameter=name)
        if not value.fields:
            raise self.fault(DepthMismatch, f"there is no field {name!r} in a column of {value.type}", node)
        known = value.fields + (sorted(PROPERTIES) if is_vector(value.sample) else [])
        raise self._no_field(name, known, node)

    def _of_container(self, value: Container, name: str, node: Node) -> Value:
        if name not in value.fields or not value.is_dict:
            raise self._no_field(name, list(value.fields), node)
        return value.fields[name]

    def _no_field(self, name: str, known: list[str], node: Node) -> QueryFault:
        near = nearest(name, known) or known[:20]
        return self.fault(UnknownName, f"the record has no field {name!r}", node, name, near)

    def _subscript(self, node: Subscript, scope: Scope) -> Term:
        source = self.term(node.value, scope)
        if isinstance(source.value, Unknown):
            return source
        match node.index:
            case Constant(value=str() as name):
                return self._named(source, name, node)
            case List(items=items) if items and all(isinstance(_word(item), str) for item in items):
                return Term(self._several(source.value, [str(_word(item)) for item in items], node), source.depth)
            case Call(func=Name(id="slice"), args=bounds):
                return self.lists.sliced(source, bounds, node)
        return self._indexed(source, self.term(node.index, scope), node)

    def _indexed(self, source: Term, place: Term, node: Subscript) -> Term:
        """Field by number, or items by a mask."""
        index = place.value
        if isinstance(index, int) and not isinstance(index, bool):
            return self._numbered(source, index, node)
        if isinstance(index, Unknown):
            return Term(index, source.depth)
        if isinstance(index, Expression):
            value = self.array(source.value, node.value, "[…]")
            source, place = self.together([source._replace(value=value), place], node)
            if isinstance(source.value, Expression) and isinstance(place.value, Expression):
                return source._replace(value=self.lists.chosen(source.value, place.value, node))
            return source._replace(value=value)
        raise self.fault(UnsupportedNode, "[…] takes the name or number of a field, a slice, or a mask", node)

    def _several(self, value: Value, names: list[str], node: Node) -> Value:
        if not isinstance(value, EventRecord) and not (isinstance(value, Expression) and value.fields):
            raise self.fault(DepthMismatch, "only records have fields", node)
        if isinstance(value, Expression):
            for name in names:
                self.field(value, name, node)
            return self.operators.apply("fields", node, value, parameter=tuple(names))
        columns = [self.column(name, node, value) for name in names]
        known = [column for column in columns if isinstance(column, Expression)]
        if len(known) < len(columns):
            return Unknown()
        return self.operators.apply("zip", node, *known, parameter=(tuple(names), 1))

    def _numbered(self, source: Term, number: int, node: Subscript) -> Term:
        """Field by number; in strict semantics, of a list its item."""
        value = source.value
        names = list(value.fields) if isinstance(value, Container | Expression) else []
        if isinstance(value, EventRecord):
            names = self._header.names()
        if names:
            if not -len(names) <= number < len(names):
                raise self.fault(UnknownName, f"there is no field {number} of {len(names)}", node)
            name = names[number]
            if isinstance(value, Container):
                return Term(value.fields[name], value.depths[name] if self.strict else source.depth)
            if isinstance(value, Expression):
                return Term(self.operators.apply("field", node, value, parameter=name), source.depth)
            return Term(self.field(value, name, node), source.depth)
        if self.strict and isinstance(value, Expression) and value.jagged:
            return self.lists.at(source, number, node)
        problem = "[…] picks a field of a record by name or number; for a list's item use First or ElementAt"
        raise self.fault(UnsupportedNode, problem, node)

    def _list(self, node: List, scope: Scope) -> Term:
        terms = [self.term(item, scope) for item in node.items]
        fields = {str(i): term.value for i, term in enumerate(terms)}
        depths = {str(i): term.depth for i, term in enumerate(terms)}
        depth = greatest(depths.values()) if self.strict else next(iter(depths.values()), None)
        return Term(Container(fields, is_dict=False, depths=depths), depth)

    def _dict(self, node: Dict, scope: Scope) -> Term:
        fields: dict[str, Value] = {}
        depths: dict[str, int | None] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if not isinstance(key, Constant) or not isinstance(key.value, str):
                raise self.fault(UnsupportedNode, "a column's name must be a string", key)
            fields[key.value], depths[key.value] = self.term(item, scope)
        return Term(Container(fields, is_dict=True, depths=depths), self.depth(depths.values()))

    def shaped(self, value: Value, limit: int, node: Node) -> Expression | EventRecord | Unknown:
        """What Select makes of its lambda's value: dicts and lists become records at most `limit` deep.

        A lone column of lists goes *inside* its lists, as in the peer; in strict semantics it stays beside them.
        """
        if isinstance(value, Expression | EventRecord | Unknown):
            return value
        if not isinstance(value, Container):
            raise self.fault(UnsupportedNode, f"the literal {value!r} cannot be a column here", node)
        if not value.fields:
            raise self.fault(UnsupportedNode, "a record needs at least one column", node)
        columns = [
            self._shaped_field(inner, name, value, limit, written(node, name)) for name, inner in value.fields.items()
        ]
        known = [column for column in columns if not isinstance(column, Unknown)]
        return self.zipped(known, value, limit, node) if len(known) == len(columns) else Unknown()

    def _shaped_field(self, value: Value, name: str, outer: Container, limit: int, node: Node) -> Expression | Unknown:
        if isinstance(value, Container):
            if not (value.is_dict and outer.is_dict) or not value.fields:
                problem = f"{name!r} nests a {'dict' if value.is_dict else 'tuple'} where only dicts in dicts can be"
                raise self.fault(UnsupportedNode, problem, node)
            if any(isinstance(inner, Container) for inner in value.fields.values()):
                raise self.fault(UnsupportedNode, f"{name!r} nests records more than one level deep", node)
            shaped = self.shaped(value, limit, node)
            return self.record(shaped, node) if isinstance(shaped, EventRecord) else shaped
        if isinstance(value, EventRecord):
            return self.record(value, node)
        if isinstance(value, Expression | Unknown):
            return value
        return self.filled(value, self.expressions.column(ROWS, no_rows()), node)

    def columns(self, value: Container, node: Node, what: str, limit: int | None) -> list[Expression | Unknown]:
        """The fields of a dict or list as columns that are to stand side by side; `what` needs them.

        Dicts in it become records at most `limit` deep; None allows no dicts.
        """
        fields = {
            name: self.shaped(inner, limit, node) if isinstance(inner, Container) and limit else inner
            for name, inner in value.fields.items()
        }
        terms = [Term(self.array(inner, node, what), value.depths.get(name)) for name, inner in fields.items()]
        return [self.array(term.value, node, what) for term in self.together(terms, node)]

    def zipped(self, columns: list[Expression], value: Container, limit: int | None, node: Node) -> Expression:
        """Columns as records; `limit` None: at the deepest level they share."""
        names = tuple(value.fields) if value.is_dict else None
        depth_limit = None if len(columns) == 1 and not self.strict else limit
        return self.operators.apply("zip", node, *columns, parameter=(names, depth_limit))


def _word(node: Node) -> Literal:
    return node.value if isinstance(node, Constant) else None
