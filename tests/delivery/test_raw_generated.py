"""Generated expressions of codegen uproot-raw against uproot's own language, and mutated selections."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from delivery.engine.expressions import Expressions
from delivery.engine.raw.planning import compile_raw
from delivery.engine.raw.request import parse_selection
from delivery.engine.row_errors import UnequalLists
from delivery.errors import DeliveryError, QueryFault
from queries.named import load

sys.path.insert(0, str(Path(__file__).parent))
from raw_oracle import opened_source, opened_tree, ours, same, theirs

KINDS = ("bool", "int8", "uint8", "int32", "uint32", "int64", "float32", "float64")
LITERALS = ("0", "1", "2", "-1", "1.5", "0.5", "300", "True")
ELEMENTWISE = (
    *("({} + {})", "({} - {})", "({} * {})", "({} / {})", "({} % {})", "({} // {})", "({} ** {})"),
    *("({} < {})", "({} >= {})", "({} == {})", "({} != {})", "({} & {})", "({} | {})", "({} ^ {})", "({} << {})"),
    *("-{}", "~{}", "sqrt({})", "abs({})", "exp({})", "isnan({})", "round({})", "erf({})", "cbrt({})", "neg({})"),
    *("hypot({}, {})", "atan2({}, {})", "fmax({}, {})", "logical_and({}, {})", "copysign({}, {})"),
)
REDUCERS = (
    *("sum", "any", "all", "min", "max", "count", "count_nonzero", "mean", "argmax", "argmin", "prod", "std", "var"),
    *("nansum", "nanmax", "nanmean", "ptp", "num", "softmax"),
)
OTHERS = (
    *("where({}, {}, {})", "{}[{}]", "{}[({} > {})]", "{}[:, :2]", "{}[:, 1]", "{}[..., :1]", "{}[:, None]"),
    *("pad_none({}, 2)", "pad_none({}, 1, clip=True)", "fill_none({}, {})", "is_none({})", "firsts({})"),
    *("singletons({})", "mask({}, {})", "sort({})", "argsort({})", "argsort({}, ascending=False)", "drop_none({})"),
    *('cartesian([{}, {}])["0"]', 'cartesian([{}, {}], nested=True)["1"]', 'combinations({}, 2)["1"]'),
    *("concatenate([{}, {}])", "broadcast_arrays({}, {})[0]", "flatten({})", "isclose({}, {})", "local_index({})"),
    *('zip({{"a": {}, "b": {}}})', 'zip({{"a": {}, "b": {}}}).a', "values_astype({}, 'float32')", "ones_like({})"),
    *("full_like({}, 2)", "run_lengths({})", "moment({}, 2)", "{}[argmax({}, keepdims=True)]", "{}[argsort({})]"),
)
REDUCED = tuple(f"{name}({{}}{axis})" for name in REDUCERS for axis in ("", ", axis=1", ", axis=-1"))
COLUMNS = (*KINDS, *(f"v_{kind}" for kind in KINDS), "w_float32")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty events with every number type, flat and in lists of one length (v) and of another (w)."""
    path = tmp_path_factory.mktemp("generated") / "generated.root"
    values = np.random.default_rng(5)
    counts, others = values.integers(0, 4, 60), values.integers(0, 4, 60)
    columns: dict[str, Any] = {"w_float32": ak.unflatten(values.normal(size=others.sum()).astype("float32"), others)}
    for kind in KINDS:
        columns[kind] = (values.normal(size=60) * 5).astype(kind)
        columns[f"v_{kind}"] = ak.unflatten((values.normal(size=counts.sum()) * 5).astype(kind), counts)
    with uproot.recreate(path) as file:
        types = {name: ak.Array(column).type.content for name, column in columns.items()}
        file.mktree("Events", types).extend(columns)
    return path


def expression_of(depth: int, random_: random.Random) -> str:
    if depth == 0 or random_.random() < 0.15:
        return random_.choice(random_.choice([COLUMNS, COLUMNS, COLUMNS, LITERALS]))
    inner = [expression_of(depth - 1, random_) for _ in range(3)]
    return random_.choice(random_.choice([ELEMENTWISE, REDUCED, OTHERS])).format(*inner)


# What we refuse although uproot answers: what works across events, and what is none of a column.
BEYOND = (
    *("across events", "picks events", "needs a list in each event", "one row per event", "the same for all events"),
    *("drops events", "on all events", "different events", "put all into the cut", "events are selected twice"),
    *("one value for all events", "given no column", "must be a column", "fixed length"),
)


@pytest.mark.parametrize("seed", range(6))
def test_generated_expressions(events: Path, seed: int) -> None:
    random_ = random.Random(seed)
    equal = 0
    for _ in range(80):
        expression = expression_of(random_.choice([1, 2, 2, 3]), random_)
        cut = expression_of(2, random_) if random_.random() < 0.25 else None
        equal += check(events, {"expressions": [expression], "cut": cut})
    assert equal > 10


def check(events: Path, query: dict[str, Any]) -> bool:
    """Whether both answer, and alike; what one alone answers must be meant so."""
    try:
        expected = theirs(events, "Events", **query)
    except Exception:  # noqa: BLE001 - uproot refuses in any way
        expected = None
    found = refusal = None
    try:
        found = ours(events, "Events", **query)
    except (DeliveryError, UnequalLists) as error:
        refusal = error.problem if isinstance(error, QueryFault) else str(error)
    if refusal is not None:
        assert expected is None or any(words in refusal for words in BEYOND), (query, refusal, expected.type)
        return False
    if expected is None:  # columns are read after the cut, when a list that is too short may be gone
        assert query["cut"] is not None, (query, found.type)
        return False
    assert same(found, expected), (query, found.type, expected.type)
    return True


def mutated(text: str, random_: random.Random) -> str:
    """The text with some characters lost, doubled, swapped or replaced."""
    characters = list(text)
    for _ in range(random_.randint(1, 4)):
        place = random_.randrange(len(characters))
        change = random_.choice(["lose", "double", "replace", "move"])
        if change == "lose" and len(characters) > 1:
            del characters[place]
        elif change == "double":
            characters.insert(place, characters[place])
        elif change == "replace":
            characters[place] = random_.choice("()[]{}:,.\"'\\*&|~<>=!+-/%0123e_ aJ\0\n\u00e9\u2028")
        else:
            characters.insert(random_.randrange(len(characters)), characters.pop(place))
    return "".join(characters)


def test_mutated_selections_are_refused_with_their_errors(shared_data: Path) -> None:
    file = shared_data / "root/nanoAOD_2015_CMS_Open_Data_ttbar.root"
    header, names = opened_source(file, "Events"), opened_tree(file, "Events").typenames
    larger = json.dumps(
        [
            {
                "treename": {"Events": "x"},
                "expressions": ["Jet_pt[Jet_eta > 0][:, :2]", 'zip({"a": Jet_pt})["a"]', "fast * sum(Jet_pt, axis=1)"],
                "aliases": {"fast": "where(nJet > 2, MET_pt, 1.5e1)"},
                "filter_name": ["/Jet_.*/i", "Muon_*"],
                "use_standard_awkward_axis": True,
            }
        ]
    )
    random_ = random.Random(3)
    for text in (larger, load("queries.ttbar:agc_published_raw").text):
        accepted = 0
        for _ in range(700):
            selection = mutated(text, random_)
            try:
                for subquery in parse_selection(selection):
                    compile_raw(subquery, selection, header, Expressions(), names)
                accepted += 1
            except DeliveryError:  # nothing else may come
                continue
        assert 0 < accepted < 350
