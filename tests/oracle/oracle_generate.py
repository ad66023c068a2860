"""Queries made by a seeded generator: typed random expressions over every branch of `oracle_inputs`.

`Maker` draws from any ``random.Random``, so hypothesis can drive it too (``strategies.randoms``).
"""

import random

from oracle_queries import EVERY, Query, qastle_text

NUMBER = 520
SEED = 20_26
LONGEST = 900  # characters of qastle
FILES = ("types", "types", "types", "no_empty", "no_empty", "baskets", "equal")
KINDS = ("scalar", "list", "columns", "columns", "zip", "many", "tuple", "steps")
SHAPES = ("Jet", "Jet", "Muon", "Electron", "v", "v", "w")
COLLECTIONS = {
    "Jet": ("pt", "eta", "phi", "mass", "id", "btag"),
    "Muon": ("pt", "eta", "phi", "mass", "charge", "tight"),
    "Electron": ("pt", "eta", "phi", "mass", "charge"),
}
LITERALS = ("0", "1", "2", "3", "5", "10", "30", "0.5", "1.5", "3.3", "20.0", "1e3", "(-1)", "(-2.5)", "True")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
OPERATORS = (*"+-*/" * 8, "//", "%", "**")
FUNCTIONS = ("abs({})", "np.sqrt({})", "np.floor({})", "np.maximum({}, 2)", "np.isnan({})", "(-{})", "np.exp({})")
STEP_FLAGS = ("r.a.Count() > 0", "r.s > 1", "r.a.Any(lambda x: x > 1)", "r.b.Max() > 2", "r.s == r.s")
STEPS = (
    "r.a",
    "{'m': r.a.Max(), 's': r.s}",
    "{'d': r.a.Select(lambda x: r.b.Select(lambda y: x - y)), 's': r.s}",
    "r.a.Where(lambda x: r.b.Any(lambda y: y > x))",
    "{'p': r.a.Choose(2).Select(lambda p: p.Sum()), 'n': r.b.Count()}",
    "r.a.Concat(r.b)",
    "{'a': r.a * r.s}",
    "(r.a, r.b, r.s)",
    "r['a'].Contains(r.s)",
)


def generated() -> list[Query]:
    """The fixed set that goldens are kept of."""
    dice = random.Random(SEED)
    queries: dict[str, Query] = {}
    while len(queries) < NUMBER:
        maker = Maker(dice, mistakes=dice.random() < 0.2)
        spelling = maker.query()
        query = Query(f"generated-{maker.kind}", dice.choice(FILES), spelling, qastle_text(spelling))
        if len(query.text) < LONGEST:
            queries.setdefault(query.key, query)
    return list(queries.values())


class Maker:
    """One query; ``mistakes`` lets it mix what does not fit (shapes, names, types) now and then."""

    def __init__(self, dice: random.Random, *, mistakes: bool = False) -> None:
        self.dice, self.mistakes, self.names = dice, mistakes, 0
        self.kind = dice.choice(KINDS)

    def query(self) -> str:
        """A whole query: selections, then columns, at times in two steps."""
        selections = self.dice.choice((0, 0, 1, 1, 2))
        stream = "DS" + "".join(f".Where(lambda e: {self.flag(2)})" for _ in range(selections))
        shape = self.dice.choice(SHAPES)
        match self.kind:
            case "scalar":
                return f"{stream}.Select(lambda e: {self.scalar(3)})"
            case "list":
                return f"{stream}.Select(lambda e: {self.list(shape, 3)})"
            case "columns":
                return f"{stream}.Select(lambda e: {self.columns()})"
            case "zip":
                zipped = f"{{'a': {self.list(shape, 2)}, 'b': {self.list(shape, 1)}, 'c': {self.scalar(1)}}}.Zip()"
                flag = (
                    f"(o.a {self.comparison()} {self.literal()}) {self.dice.choice('&|')} (o.b {self.comparison()} o.c)"
                )
                return f"{stream}.Select(lambda e: {zipped}.Where(lambda o: {flag}))"
            case "many":
                item = self.item("x", 2, event=False)
                return f"{stream}.SelectMany(lambda e: {self.list(shape, 2)}).Select(lambda x: {{'x': {item}}})"
            case "tuple":
                pair = f"({self.list(shape, 2)}, {self.scalar(2)})"
                return f"{stream}.Select(lambda e: {pair}).Select(lambda t: t[0] + t[1])"
        first = f"{{'a': {self.list(shape, 1)}, 'b': {self.list(self.dice.choice(SHAPES), 1)}, 's': {self.scalar(2)}}}"
        flag, step = self.dice.choice(STEP_FLAGS), self.dice.choice(STEPS)
        return f"{stream}.Select(lambda e: {first}).Where(lambda r: {flag}).Select(lambda r: {step})"

    def columns(self) -> str:
        parts = []
        for number in range(self.dice.choice((1, 2, 2, 3, 4))):
            shape = self.dice.choice(SHAPES)
            value = self.list(shape, 2) if self.dice.random() < 0.5 else self.scalar(2)
            if self.dice.random() < 0.1:
                value = f"{{'p': {self.list(shape, 1)}, 'q': {self.list(shape, 1)}}}"
            parts.append(f"'c{number}': {value}")
        return f"{{{', '.join(parts)}}}"

    def scalar(self, depth: int) -> str:
        """One number per event."""
        if self.mistake():
            return self.dice.choice((self.list(self.dice.choice(SHAPES), 1), "e.nosuch", "'text'", "{'a': 1}"))
        if depth == 0:
            return self.dice.choice((f"e.s_{self.dice.choice(EVERY)}", "e.MET_pt", "e.run"))
        depth -= 1
        match self.dice.randrange(8):
            case 0 | 1:
                reduction = self.dice.choice(("Count", "Sum", "Min", "Max"))
                return f"{self.list(self.dice.choice(SHAPES), depth)}.{reduction}()"
            case 2:
                return f"({self.scalar(depth)} {self.operator()} {self.scalar(depth)})"
            case 3:
                return f"({self.scalar(depth)} {self.operator()} {self.literal()})"
            case 4:
                return f"({self.scalar(depth)} if {self.flag(depth)} else {self.scalar(depth)})"
            case 5:
                return self.function(self.scalar(depth))
            case 6:
                taken = self.dice.choice(("Count()", "Count()", "First()", "Last()", "ElementAt(1)"))
                return f"{self.list(self.dice.choice(SHAPES), depth)}.{taken}"
        return self.scalar(0)

    def flag(self, depth: int) -> str:
        """One truth value per event."""
        if depth == 0:
            return self.dice.choice(("e.HLT", "e.s_b", "(e.MET_pt > 20)", "(e.run == 190456)"))
        depth -= 1
        match self.dice.randrange(7):
            case 0 | 1:
                return f"({self.scalar(depth)} {self.comparison()} {self.literal()})"
            case 2:
                return f"({self.scalar(depth)} {self.comparison()} {self.scalar(depth)})"
            case 3:
                return f"({self.flag(depth)} {self.dice.choice(('and', 'or', '&', '|'))} {self.flag(depth)})"
            case 4:
                return f"(not {self.flag(depth)})"
            case 5:
                quantifier, name = self.dice.choice(("Any", "All")), self.name()
                source = self.list(self.dice.choice(SHAPES), depth)
                return f"{source}.{quantifier}(lambda {name}: {self.item(name, 1)} > {self.literal()})"
        return self.flag(0)

    def list(self, shape: str, depth: int) -> str:
        """A list of numbers per event; the lengths are those of ``shape`` as long as nothing selects."""
        if self.mistake():
            return self.list(self.dice.choice(SHAPES), 0) if self.dice.random() < 0.5 else self.scalar(0)
        if depth == 0:
            parts = COLLECTIONS.get(shape, EVERY if shape == "v" else ("f32", "i32"))
            return f"e.{shape}_{self.dice.choice(parts)}"
        depth -= 1
        name, inner = self.name(), self.list(shape, depth)
        match self.dice.randrange(9):
            case 0 | 1:
                return f"{inner}.Select(lambda {name}: {self.item(name, 2)})"
            case 2:
                return f"({inner} {self.operator()} {self.list(shape, depth)})"
            case 3:
                return f"({inner} {self.operator()} {self.dice.choice((self.scalar(1), *LITERALS))})"
            case 4 if depth > 0:
                return f"{inner}.Where(lambda {name}: {self.item(name, 1)} {self.comparison()} {self.literal()})"
            case 5:
                order = self.dice.choice(("OrderBy", "OrderByDescending"))
                return f"{inner}.{order}(lambda {name}: {self.item(name, 1)})"
            case 6:
                other, there = self.name(), self.list(self.dice.choice(SHAPES), 0)
                reduction = self.dice.choice(("Sum", "Max", "Count"))
                return f"{inner}.Select(lambda {name}: {there}.Select(lambda {other}: {name} - {other}).{reduction}())"
            case 7:
                return f"({inner} if {self.flag(1)} else {self.list(shape, 0)})"
        return self.function(inner)

    def item(self, name: str, depth: int, *, event: bool = True) -> str:
        """An expression of an item, and at times of its event."""
        if depth == 0:
            return name
        inner = self.item(name, depth - 1, event=event)
        match self.dice.randrange(6):
            case 0:
                return f"({inner} {self.operator()} {self.literal()})"
            case 1 if event:
                return f"({inner} {self.operator()} {self.scalar(0)})"
            case 2:
                return self.function(inner)
            case 3:
                return f"({inner} if {name} > {self.literal()} else {self.literal()})"
        return inner

    def name(self) -> str:
        self.names += 1
        return f"x{self.names}"

    def mistake(self) -> bool:
        return self.mistakes and self.dice.random() < 0.08

    def literal(self) -> str:
        return self.dice.choice(LITERALS)

    def comparison(self) -> str:
        return self.dice.choice(COMPARISONS)

    def operator(self) -> str:
        return self.dice.choice(OPERATORS)

    def function(self, value: str) -> str:
        return self.dice.choice(FUNCTIONS).format(value)
