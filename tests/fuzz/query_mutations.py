"""Wrong queries by the thousand: valid ones of every kind, changed at random by characters, words and subtrees."""

import ast
import random
import re
from collections.abc import Callable, Iterator, Sequence

from queries.linq import LINQ, from_python
from queries.named import load
from queries.parser import parse
from queries.printer import unparse
from queries.syntax import (
    BINARY_OPERATORS,
    BOOLEAN_OPERATORS,
    COMPARE_OPERATORS,
    UNARY_OPERATORS,
    Attribute,
    Binary,
    BoolOp,
    Call,
    Compare,
    Constant,
    If,
    Lambda,
    Linq,
    Name,
    Node,
    Subscript,
    Unary,
    children,
    walk,
    with_children,
)

# On the columns of `fuzz_inputs.small_tree`; every operator, shape and kind of literal of the language.
VALID_PYTHON = """
DS
DS.Where(lambda e: e.met > 2)
DS.Select(lambda e: e.met)
DS.Select(lambda e: e.Jet_pt)
DS.Select(lambda e: {'a': e.met, 'b': e.Jet_pt})
DS.Select(lambda e: {'a': e.Jet_pt})
DS.Select(lambda e: (e.met, e.Jet_pt))
DS.Select(lambda e: [e.met, e.run])
DS.Select(lambda e: {'jet': {'pt': e.Jet_pt, 'eta': e.Jet_eta}, 'met': e.met})
DS.Select(lambda e: {'pt': e.Jet_pt, 'eta': e.Jet_eta}.Zip())
DS.Select(lambda e: {'pt': e.Jet_pt, 'eta': e.Jet_eta}.Zip().Where(lambda j: j.pt > 30 and abs(j.eta) < 2.4))
DS.Select(lambda e: {'pt': e.Jet_pt, 'eta': e.Jet_eta}.Zip().Where(lambda j: j.pt > 30).Select(lambda j: j.eta).First())
DS.Select(lambda e: e.Jet_pt.Where(lambda pt: pt > 30).Count())
DS.Where(lambda e: e.Jet_pt.Count() >= 2 and e.met > 1.5 or not e.flag)
DS.Where(lambda e: e.Jet_pt.Count() > 0).Select(lambda e: e.Jet_pt.First() + e.Jet_pt.Last())
DS.Where(lambda e: e.Jet_pt.Count() > 1).Select(lambda e: e.Jet_pt.ElementAt(1))
DS.Select(lambda e: {'s': e.Jet_pt.Sum(), 'm': e.Jet_pt.Max(), 'n': e.Jet_pt.Min()})
DS.Select(lambda e: e.Jet_pt.Any(lambda pt: pt > 30))
DS.Where(lambda e: e.Jet_pt.All(lambda pt: pt > 10)).Select(lambda e: e.run)
DS.SelectMany(lambda e: e.Jet_pt)
DS.SelectMany(lambda e: e.Jet_pt).Where(lambda pt: pt > 20).Select(lambda pt: {'pt': pt, 'twice': 2 * pt})
DS.SelectMany(lambda e: {'pt': e.Jet_pt, 'eta': e.Jet_eta}.Zip()).Select(lambda j: j.pt)
DS.Select(lambda e: e.Jet_pt.Choose(2))
DS.Select(lambda e: e.Jet_pt.Choose(2).Select(lambda p: p.ElementAt(0) + p.ElementAt(1)).Max())
DS.Select(lambda e: e.Jet_pt.Concat(e.Mu_pt))
DS.Select(lambda e: e.Jet_pt.OrderBy(lambda pt: pt))
DS.Select(lambda e: {'pt': e.Jet_pt, 'eta': e.Jet_eta}.Zip().OrderByDescending(lambda j: j.pt).Select(lambda j: j.eta))
DS.Select(lambda e: e.Jet_id.Contains(2))
DS.Select(lambda e: e.Jet_pt.Select(lambda x: e.Mu_pt.Select(lambda y: x * y)))
DS.Select(lambda e: e.Jet_pt.Select(lambda x: e.Mu_pt.Select(lambda y: x - y).Min()))
DS.Select(lambda e: e.Jet_pt.SelectMany(lambda x: e.Mu_pt))
DS.Select(lambda e: e.Jet_pt.Select(lambda x: x if x > 20 else 0.0))
DS.Select(lambda e: e.met if e.flag else e.run)
DS.Select(lambda e: -e.met ** 2 / 3 + e.run % 7 // 2 - 1e3)
DS.Select(lambda e: e.byte & 3 | e.byte ^ 7 << 1 >> 1)
DS.Select(lambda e: np.sqrt(e.met) + np.hypot(e.met, 1.0) + np.arctan2(e.met, e.run) + np.pi)
DS.Select(lambda e: np.abs(e.short) + abs(e.short) + ~e.short)
DS.Select(lambda e: P4.Sum().mass)
DS.Select(lambda e: P4.Choose(2).Select(lambda p: (p.ElementAt(0) + p.ElementAt(1)).pt).Max())
DS.Select(lambda e: e['Jet_pt'])
DS.Select(lambda e: (e.Jet_pt, e.met)).Select(lambda t: t[0])
DS.Select(lambda e: {'a': e.met, 'b': e.Jet_pt}).Where(lambda r: r.a > 2).Select(lambda r: r['b'].Count())
DS.Count()
DS.Select(lambda e: e.met).Sum()
DS.Select(lambda e: e.Jet_pt.Max()).Where(lambda m: m > 30)
DS.Where(lambda e: 1 < e.met <= 3.5)
DS.Select(lambda e: len(e.Jet_pt) + sum(e.Jet_pt) + max(e.Jet_pt))
DS.Select(lambda e: e.Jet_pt.Aggregate(0, lambda a, x: a + x))
DS.Select(lambda e: e.vv)
DS.Select(lambda e: {'vv': e.vv, 'name': e.met}).Select(lambda r: r.vv.Select(lambda v: v.Count()))
DS.Select(lambda e: e.Jet_pt[0])
DS.Select(lambda e: e.Jet_id == 1 or e.Jet_id == 2)
DS.MetaData({'a': 'b'}).Select(lambda e: e.met)
EventDataset('bogus.root', 'Events').OrderBy(lambda e: e.met).First()
ResultParquet(DS.Select(lambda e: e.met), ['met'], 'out.parquet')
DS.Select(lambda e: Range(0, 3))
DS.Select(lambda e: math.sqrt(e.met) + np.where(e.flag, e.met, 0))
"""

DATASET = "EventDataset('bogus.root', 'Events')"
FOUR_VECTORS = "{'pt': e.Jet_pt, 'eta': e.Jet_eta, 'phi': e.Jet_phi, 'mass': e.Jet_mass}.Zip().ToFourMomenta()"

VALID_TEXT = (
    "(call Select (call EventDataset 'bogus.root' 'Events') 'lambda e: e.met')",
    "(call (attr (call EventDataset) 'Where') (lambda (list e) (> (attr e 'met') .5)))",
    '( Select\t( call EventDataset )\r\n ( lambda ( list e ) ( attr e "met" ) ) )',
    r"(Select (call EventDataset) (lambda (list e) (dict (list 'a\n\'\x41' 'é') (list (attr e 'met') 'lambda'))))",
    "(call Where (call EventDataset) 'lambda e: 1 < e.met < 3 and (e.run == 1 or e.run == 2) and not e.flag')",
)

SHORT_WORDS = r"""
( ) (list (dict (attr (call (if (lambda (subscript (not (~ (and (or (+ (- (* (/ (% (** (// (& (| (^ (<< (>> (== (!=
(< (<= (> (>= (Where (Select (SelectMany (All (Any (OrderBy (OrderByDescending (First (Last (Count (Max (Min (Sum (Zip
(ElementAt (Contains (Concat (Choose (Aggregate
e x v0 v1 np math abs len sum min max any all list zip range Range EventDataset MetaData ResultTTree True False None
0 1 2 -1 5 .5 1. 1e3 3.3 255 256 -129 65536 4294967296 9223372036854775808 1e308 1e999 007
'' 'met' 'Jet_pt' 'Jet_ptt' 'Jet_eta' 'Mu_pt' 'run' 'byte' 'flag' 'vv' 'pt' 'eta' 'a' '0' 'Count' 'sqrt'
'ToFourMomentum' 'mass' 'deltaR' '__class__' '__init__' 'lambda:0' 'lambda' '(' '\' "
"""

WORDS = (
    *SHORT_WORDS.split(),
    "1" + "0" * 40,
    "9" * 400,
    "9" * 5000,
    "1" + "0" * 5000 + ".5",
    "'" + "x" * 3000 + "'",
    "(" * 300,
    ")" * 300,
    "(not " * 250,
    "'lambda e: " + "-" * 300 + "1'",
    "'lambda e: " + "(" * 150 + "1" + ")" * 150 + "'",
    "'lambda e: [x for x in e]'",
    "'lambda e: e.met if e.flag else (e.run, e.met)[0]'",
    "'lambda e: __import__(\"os\").abort()'",
)

LITERALS = (
    0,
    1,
    2,
    -1,
    255,
    10**6,
    2**31,
    2**63,
    2**64,
    10**30,
    0.5,
    1e30,
    1e308,
    1e999,
    True,
    False,
    None,
    "",
    "pt",
    "x" * 99,
)
NUMPY = "sqrt power ldexp left_shift where clip divmod matmul repeat sum cumsum isnan logical_and ones load gcd hypot"
PYTHON = "abs len sum min max any all list zip range Range float int round open"
MATH = "sqrt pow exp hypot comb factorial pi floor atan2"
FUNCTIONS = tuple(
    (module, name) for module, names in (("", PYTHON), ("np", NUMPY), ("math", MATH)) for name in names.split()
)
OPERATORS = (
    (Binary, BINARY_OPERATORS),
    (Compare, COMPARE_OPERATORS),
    (BoolOp, BOOLEAN_OPERATORS),
)

WRAPPERS = tuple(word for word in WORDS[:60] if len(word) > 1 and word[0] == "(")

CHARACTERS = "()'\"\\ \t\n\r\0.-+eE019_aZé\u2028\U0001f600\ud800$#`,;[]{}*<>=!~&|^%/"

_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\(\s*[^\s()'\"]*|\)|[^\s()'\"]+|\s+|.", re.DOTALL)

Change = Callable[[random.Random, str, Sequence[str]], str]


def corpus() -> list[str]:
    """Valid queries: the hand-written ones, and those of the analyses."""
    texts = list(VALID_TEXT)
    for line in VALID_PYTHON.strip().splitlines():
        tree = ast.parse(line.replace("DS", DATASET).replace("P4", FOUR_VECTORS), mode="eval").body
        texts += [unparse(from_python(tree, unify=True)), unparse(from_python(tree, unify=False))]
    names = ("queries.ttbar:agc_published_ml", "queries.adl:q1", "queries.adl:q2", "queries.adl:q3", "queries.adl:q4")
    return texts + [load(name).text for name in names]


def mutated(rng: random.Random, texts: Sequence[str], changes: Sequence[Change]) -> str:
    """One of the texts after one to four random changes."""
    text = rng.choice(texts)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        text = rng.choice(changes)(rng, text, texts)
    return text


def sound(seed: int, count: int) -> Iterator[str]:
    """`count` mutated queries that all parse: nodes of valid ones exchanged, replaced by literals, or wrapped in
    operators and functions that want other types.
    """
    rng = random.Random(seed)
    trees = [parse(text) for text in corpus()]
    pool = [node for tree in trees for node in walk(tree) if not isinstance(node, Lambda)]
    for _ in range(count):
        tree = rng.choice(trees)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            places = [node for node in walk(tree) if not isinstance(node, Lambda)]
            tree = _exchanged(tree, rng.choice(places), _other(rng, rng.choice(places), rng.choice(pool)))
        yield unparse(tree)


def _exchanged(tree: Node, old: Node, new: Node) -> Node:
    if tree is old:
        return new
    return with_children(tree, [_exchanged(child, old, new) for child in children(tree)])


def _other(rng: random.Random, node: Node, stranger: Node) -> Node:
    """Something to put in a node's place."""
    kind = rng.randrange(10)
    if kind < 4:
        return stranger
    if kind == 4:
        return Constant(rng.choice(LITERALS))
    if kind == 5:
        make, operators = rng.choice(OPERATORS)
        return make(rng.choice(operators), *rng.sample((node, stranger), 2))
    if kind == 6:
        return Unary(rng.choice(UNARY_OPERATORS), node)
    if kind == 7:
        return rng.choice((Subscript(node, Constant(rng.choice((0, 1, -1, "pt")))), If(node, stranger, node)))
    if kind == 8:
        module, function = rng.choice(FUNCTIONS)
        called = Attribute(Name(module), function) if module else Name(function)
        return Call(called, rng.choice(((node,), (node, stranger), (node, stranger, stranger), ())))
    op = rng.choice(list(LINQ))
    arguments = [Lambda(tuple("xy"[:n]), rng.choice((stranger, Name("x")))) if n else stranger for n in LINQ[op]]
    return Linq(op, node, tuple(arguments))


def stream(seed: int, count: int) -> Iterator[str]:
    """`count` mutated queries, always the same for a seed: every second one is changed by subtrees alone, so that most
    of these are queries still, though wrong ones.
    """
    rng, texts = random.Random(seed), corpus()
    for number in range(count):
        yield mutated(rng, texts, CHANGES if number % 2 else (_subtree,))


def _character(rng: random.Random, text: str, _: Sequence[str]) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(CHARACTERS) * rng.choice((0, 1, 1, 1, 2)) + text[at + rng.choice((0, 1, 1)) :]


def _cut(rng: random.Random, text: str, _: Sequence[str]) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _splice(rng: random.Random, text: str, texts: Sequence[str]) -> str:
    other = rng.choice(texts)
    return text[: rng.randrange(len(text) + 1)] + other[rng.randrange(len(other)) :]


def _word(rng: random.Random, text: str, _: Sequence[str]) -> str:
    """A word left out, repeated, exchanged with another, or replaced."""
    words = _TOKEN.findall(text)
    if not words:
        return rng.choice(WORDS)
    at, kind = rng.randrange(len(words)), rng.randrange(5)
    if kind == 0:
        del words[at]
    elif kind == 1:
        words.insert(at, words[at] + " ")
    elif kind == 2:
        other = rng.randrange(len(words))
        words[at], words[other] = words[other], words[at]
    else:
        words[at] = rng.choice(WORDS)
    return "".join(words)


def _subtree(rng: random.Random, text: str, texts: Sequence[str]) -> str:
    """A subtree replaced by another's, by a word, or wrapped in something."""
    start, end = _place(rng, text)
    other = rng.choice(texts) if rng.random() < 0.5 else text
    low, high = _place(rng, other)
    kind = rng.randrange(6)
    if kind < 3:
        new = other[low:high]
    elif kind == 3:
        new = rng.choice(WORDS)
    elif kind == 4:
        new = f"{rng.choice(WRAPPERS)} {text[start:end]}{rng.choice(('', ' ' + rng.choice(WORDS)))})"
    else:
        new = f"({rng.choice(('list', '+', 'and', '**', '*', '<'))} {text[start:end]} {text[start:end]})"
    return text[:start] + new + text[end:]


def _place(rng: random.Random, text: str) -> tuple[int, int]:
    """Where a random subtree or word lies."""
    spans, opened = [], []
    for found in _TOKEN.finditer(text):
        word = found[0]
        if word[0] == "(":
            opened.append(found.start())
        elif word == ")" and opened:
            spans.append((opened.pop(), found.end()))
        elif not word.isspace():
            spans.append(found.span())
    return rng.choice(spans) if spans else (0, len(text))


CHANGES: tuple[Change, ...] = (_character, _character, _cut, _splice, _word, _word, _word, _subtree, _subtree)
