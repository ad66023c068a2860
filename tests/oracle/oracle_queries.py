"""Hand-written queries, by row of the language's operator table and by rule of its semantics.

``queries/<group>.txt`` has one query a line; a line ``@ <input>…`` says on which files those below it run. A query is
Python (``DS`` is the dataset, ``E: x`` is short for ``DS.Select(lambda e: x)``, ``<JETS>``, ``<MUONS>`` and ``<MET>``
are four-vectors), turned into qastle by the reference client's converter; what begins with a parenthesis is qastle
already. Queries on every type or function are made here.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path

import qastle

from queries.named import load

FOLDER = Path(__file__).parent / "queries"
DATASET = "(call EventDataset 'bogus.root' 'Events')"
SHORTHANDS = {
    "<JETS>": "{'pt': e.Jet_pt, 'eta': e.Jet_eta, 'phi': e.Jet_phi, 'mass': e.Jet_mass}.Zip().ToFourMomenta()",
    "<MUONS>": "{'pt': e.Muon_pt, 'eta': e.Muon_eta, 'phi': e.Muon_phi, 'mass': e.Muon_mass, 'q': e.Muon_charge}"
    ".Zip().ToFourMomenta()",
    "<MET>": "{'pt': e.MET_pt, 'eta': e.MET_pt * 0, 'phi': e.MET_phi, 'mass': e.MET_pt * 0}.ToFourMomentum()",
}
FLOATS = ("f32", "f64")
SIGNED = ("i8", "i16", "i32", "i64")
UNSIGNED = ("u8", "u16", "u32", "u64")
EVERY = ("b", *SIGNED, *UNSIGNED, *FLOATS)


@dataclass(frozen=True)
class Query:
    """A query of a group on an input; ``spelling`` as written here, ``text`` as sent."""

    group: str
    file: str
    spelling: str
    text: str

    @property
    def key(self) -> str:
        return sha256(f"{self.file}\n{self.text}".encode()).hexdigest()[:16]


def qastle_text(query: str) -> str:
    """The reference client's text of a query written in Python; qastle passes."""
    if query.startswith("("):
        return query.replace("DS", DATASET)
    tree = ast.parse(query.replace("DS", "EventDataset('bogus.root', 'Events')"))
    return str(qastle.python_ast_to_text_ast(qastle.insert_linq_nodes(tree)))


def spelled(line: str) -> str:
    """A line without its shorthands."""
    for short, long in SHORTHANDS.items():
        line = line.replace(short, long)
    return f"DS.Select(lambda e: {line[3:]})" if line.startswith("E: ") else line


def hand_written() -> list[Query]:
    """Every query of the folder and of this module, each once."""
    queries: dict[str, Query] = {}
    for group, file, line in [*listed(), *systematic()]:
        spelling = spelled(line)
        query = Query(group, file, spelling, qastle_text(spelling))
        queries.setdefault(query.key, query)
    return list(queries.values())


def listed() -> Iterator[tuple[str, str, str]]:
    """Group, input and line of every query of the folder."""
    for path in sorted(FOLDER.glob("*.txt")):
        files: list[str] = []
        for line in path.read_text().splitlines():
            if line.startswith("@ "):
                files = line[2:].split()
            elif line.strip():
                for file in files:
                    yield path.stem, file, line


def systematic() -> Iterator[tuple[str, str, str]]:
    """Queries on every pair of types, every reduction of every type, every universal function; the benchmarks."""
    for group, line in [*numbers(), *reductions(), *functions()]:
        yield group, "types", line
    for number in range(1, 9):
        yield "adl", "adl", load(f"queries.adl:q{number}").text
    for name, file in product(("selected", "agc_published", "agc_published_ml"), ("cms", "dy", "dimuon")):
        yield "agc", file, load(f"queries.ttbar:{name}").text


def numbers() -> Iterator[tuple[str, str]]:
    """Arithmetic and comparison of every pair of types (operators taken in turn), and each type with literals."""
    operators = ["+", "-", "*", "/", "//", "%", "==", "<", ">=", "&", "|", "^"]
    for turn, (left, right) in enumerate(product(EVERY, EVERY)):
        first, second = operators[turn % 6], operators[6 + turn % 6]
        yield "dtype-pairs", f"E: {{'a': e.s_{left} {first} e.s_{right}, 'b': e.v_{left} {second} e.s_{right}}}"
    for kind in EVERY:
        v, s = f"e.v_{kind}", f"e.s_{kind}"
        yield "dtype-literals", f"E: {{'a': {v} + 1, 'b': {v} * 1.5, 'c': {v} / 2, 'd': {v} > 1}}"
        yield "dtype-literals", f"E: {{'a': 1 - {v}, 'b': {v} // 3, 'c': {v} % 3}}"
        yield "dtype-literals", f"E: {{'a': {v} ** 2, 'b': {v} == 1, 'c': {v} < 2.5}}"
        yield "dtype-columns", f"E: {{'a': {s}, 'b': {v}}}"
        yield "dtype-ternary", f"E: {{'a': {s} if e.HLT else 0, 'b': 1.5 if {v} > 1 else {v}}}"


def reductions() -> Iterator[tuple[str, str]]:
    """Every reduction, of lists of every type and of what else may be reduced."""
    for kind, operator in product(EVERY, ("Sum", "Min", "Max", "Count")):
        yield operator.lower(), f"E: e.v_{kind}.{operator}()"
    for operator in ("Sum", "Min", "Max"):
        for line in (
            "E: e.MET_pt.{0}()",
            "E: e.Jet_pt.Where(lambda x: x > 30).{0}()",
            "E: e.Jet_pt.Select(lambda x: x * 2).{0}()",
            "E: e.Jet_pt.Select(lambda x: e.MET_pt).{0}()",
            "E: e.Jet_pt.Choose(2).Select(lambda p: p.{0}())",
            "E: e.Jet_pt.Choose(2).{0}()",
            "E: e.Jet_pt.Select(lambda x: e.Muon_pt.Select(lambda y: x - y).{0}()).{0}()",
            "E: (e.Jet_pt > 30).{0}()",
            "E: {{'a': e.Jet_pt.{0}(), 'b': e.v_u8.{0}()}}",
            "E: [e.MET_pt, e.MET_phi].{0}()",
            "DS.SelectMany(lambda e: e.v_i32).{0}()",
            "DS.Select(lambda e: e.v_i16.{0}()).{0}()",
        ):
            yield operator.lower(), line.format(operator)
    for kind in EVERY:
        yield "sum-of-events", f"DS.Select(lambda e: e.s_{kind}).Sum()"


ONE_ARGUMENT = (
    "sqrt exp log log10 log2 sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh abs absolute fabs "
    "floor ceil rint trunc sign square cbrt exp2 expm1 log1p isnan isinf isfinite signbit negative positive reciprocal "
    "deg2rad rad2deg degrees radians logical_not invert conj conjugate spacing bitwise_not"
)
TWO_ARGUMENTS = (
    "add subtract multiply divide true_divide floor_divide mod remainder fmod power float_power arctan2 hypot maximum "
    "minimum fmax fmin logical_and logical_or logical_xor greater less equal not_equal greater_equal less_equal "
    "copysign nextafter logaddexp logaddexp2 heaviside ldexp"
)
OF_INTEGERS = "sqrt exp sign square floor isnan logical_not abs invert bitwise_count"
OF_TWO_INTEGERS = "bitwise_and bitwise_or bitwise_xor left_shift right_shift gcd lcm maximum power arctan2 divmod"


def functions() -> Iterator[tuple[str, str]]:
    """numpy's universal functions, of lists and of one number per event."""
    for name in ONE_ARGUMENT.split():
        yield "ufunc", f"E: {{'a': np.{name}(e.v_f32), 'b': np.{name}(e.s_f64)}}"
    for name in OF_INTEGERS.split():
        yield "ufunc", f"E: {{'a': np.{name}(e.v_i8), 'b': np.{name}(e.v_u16), 'c': np.{name}(e.v_i64)}}"
    for name in TWO_ARGUMENTS.split():
        yield "ufunc", f"E: {{'a': np.{name}(e.v_f32, e.s_f32), 'b': np.{name}(e.s_f64, 2)}}"
    for name in OF_TWO_INTEGERS.split():
        yield "ufunc", f"E: np.{name}(e.v_i16, 3)"
