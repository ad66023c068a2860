"""Extensions: derivatives against autodiff, values against the same model written otherwise, documents and back."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pyhf
import pytest

from inference.errors import InvalidWorkspace
from inference.extensions.errors import InvalidExtension, NotSerialisable
from inference.extensions.functions import Function
from inference.extensions.norms import Logarithms
from inference.extensions.operators import OPERATORS
from inference.extensions.parts import Parameter
from inference.extensions.workspaces import attach, detach, plain
from inference.fit import fit_likelihood
from inference.likelihood import compiled, evaluate
from inference.likelihood.model import Likelihood
from inference.workspace import load_workspace, workspace_bytes

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

AUTOMATIC = jax.jit(
    lambda theta, arrays, layout, data: (
        jax.grad(evaluate.value)(theta, arrays, layout, data),
        jax.hessian(evaluate.value)(theta, arrays, layout, data),
    ),
    static_argnums=2,
)


def sample(name, data, *modifiers):
    made = [{"name": what, "type": kind, "data": given} for what, kind, given in modifiers]
    return {"name": name, "data": list(map(float, data)), "modifiers": made}


def workspace(observed=(66, 44, 33)):
    """A signal with a strength, two backgrounds: one with a free shape, one with two nuisances and gammas."""
    signal = sample("signal", [12, 8, 3], ("mu", "normfactor", None), ("a", "normsys", {"hi": 1.1, "lo": 0.9}))
    free = sample("free", [1, 1, 1], ("shape", "shapefactor", None))
    bent = {"hi_data": [55.0, 42.0, 30.0], "lo_data": [46.0, 39.0, 31.0]}
    background = sample(
        "background",
        [50, 40, 30],
        ("a", "histosys", bent),
        ("b", "normsys", {"hi": 1.1, "lo": 0.95}),
        ("stat", "staterror", [3.0, 2.0, 2.0]),
    )
    return {
        "channels": [{"name": "c", "samples": [signal, free, background]}],
        "observations": [{"name": "c", "data": list(map(float, observed))}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def scalar(name, **more):
    return {"name": name, "bounds": [-3, 3], **more}


QUADRATIC = {
    "operator": "eft",
    "name": "morphed",
    "parameters": [scalar("c1", init=0.3), scalar("c2", init=-0.2)],
    "sets": ["mu"],
    "basis": [[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [1, 1]],
    "yields": [[1], [1.8], [0.7], [1.2], [1.1], [2.5]],
}
VECTOR = {
    "operator": "vector",
    "name": "templates",
    "parameters": [{"name": "s", "size": 2, "bounds": [0, 5], "init": [1.0, 1.5]}],
    "sets": ["shape"],
    "templates": [[0.5, 0.3, 0.2], [0.5, 0.7, 0.8]],
    "offset": [0.1, 0.0, 0.2],
}
FORMULA = {
    "operator": "formula",
    "name": "rates",
    "parameters": [scalar("k", init=0.5), scalar("t", init=1, constraint={"mean": 1, "sigma": 0.2})],
    "formulas": {"mu": "k**2 * exp(t * 0.3) + b * 0.1", "shape": ["max(k, 0.1)", "t", "2 - sqrt(t**2) / 2"]},
}
CORRELATED = {"operator": "correlation", "name": "ab", "of": ["a", "b"], "matrix": [[1, 0.6], [0.6, 1]]}
WITH_GAMMAS = {
    "operator": "correlation",
    "name": "ab",
    "of": ["stat[0]", "a", "stat[2]"],
    "matrix": [[1, 0.6, 0.3], [0.6, 1, -0.4], [0.3, -0.4, 1]],
}
TRANSFER = {
    "operator": "abcd",
    "name": "transfer",
    "sets": "shape",
    "numerator": ["mu", "k"],
    "denominator": ["t"],
    "scale": [1, 2, 3],
    "closure": {"parameter": "closure", "size": 3, "uncertainty": [0.1, 0.2, 0.3]},
}
OTHERS = {
    "operator": "formula",
    "name": "others",
    "parameters": [scalar("k", init=0.5), scalar("t", init=0.8)],
    "formulas": {"b": "k - t"},
}
UNFOLDED = {
    "operator": "unfold",
    "name": "spectrum",
    "parameter": "x",
    "sets": ["shape"],
    "response": [[0.8, 0.1, 0], [0.2, 0.8, 0.1], [0, 0.1, 0.9]],
    "bounds": [0, 5],
    "edges": [0, 1, 3, 4],
    "truth": [1, 2, 1],
    "regularisation": "curvature",
    "tau": 0.7,
}


def bent_function(values):
    return jnp.append(jnp.sin(values["f"]) + values["a"], 1.0)


CALLABLE = Function(
    name="mine",
    parameters=(Parameter(name="f", size=3, init=0.7, bounds=(-2, 2)),),
    inputs=("a",),
    sets=("called", "kappa"),
    function=bent_function,
    residuals=lambda values: 3 * (values["f"] ** 2 - 0.5),
)
ERRORS = {
    "operator": "errors",
    "name": "errors",
    "channel": "c",
    "sample": "noise",
    "errors": {"signal": [1.5, 0.7, 0.0], "background": [0.5, 1.1, 0.0], "other": [0.0, 0.6, 0.0]},
}
CENTRED = {"name": "noise", "inits": [0.0] * 3, "auxdata": [0.0] * 3, "bounds": [[-7, 7]] * 3}
LOGARITHMS = {
    "operator": "logarithms",
    "name": "morphed_shape",
    "sets": "logs",
    "nominal": [4, 3, 2],
    "morphs": [
        {"parameter": "a", "up": [1.2, 0.9, 1.1], "down": [0.8, 1.3, 1.0]},
        {"parameter": "b", "up": [0.7, 1.1, 1.4], "down": [1.1, 1.0, 0.9], "scale": 0.4},
    ],
    "region": 0.4,
}
# Every operator at once, in a workspace with enough parameters to set: one compiled function.
EVERYTHING = [
    QUADRATIC,
    VECTOR,
    WITH_GAMMAS,
    {
        **FORMULA,
        "formulas": {
            "nu": "k**2 * exp(t * 0.3) + b * 0.1",
            "d": "t - 1 + 0.3 * a * k",
            "more": ["max(k, 0.1)", "t", "2 - sqrt(t**2) / 2"],
        },
    },
    {**TRANSFER, "sets": "transferred", "numerator": ["s[0]", "k"]},
    {**UNFOLDED, "sets": ["folded"]},
    ERRORS,
    LOGARITHMS,
    CALLABLE,
]


def everything():
    given = workspace()
    free = [
        sample(f"free{name}", [4, 3, 2], (name, "shapefactor", None))
        for name in ("more", "transferred", "folded", "called", "logs")
    ]
    other = sample(
        "other",
        [6, 5, 4],
        ("nu", "normfactor", None),
        ("kappa", "normfactor", None),
        ("d", "normsys", {"hi": 1.2, "lo": 0.9}),
        ("d", "histosys", {"hi_data": [7.0, 5.0, 3.0], "lo_data": [5.5, 5.2, 4.4]}),
        ("counted", "shapesys", [1.0, 1.0, 1.0]),
    )
    noise = sample("noise", [1, 1, 0], ("noise", "staterror", [1.0, 1.0, 0.0]))
    given["channels"][0]["samples"] += [*free, other, noise]
    given["measurements"][0]["config"]["parameters"] = [CENTRED]
    return attach(given, *EVERYTHING)


def somewhere(likelihood, seed=1):
    """A point within the bounds."""
    point = likelihood.init + 0.1 * np.random.default_rng(seed).normal(size=len(likelihood.init))
    return np.where(likelihood.constant, likelihood.init, np.clip(point, likelihood.lower, likelihood.upper))


@pytest.mark.parametrize("profile", [True, False])
def test_derivatives_are_those_of_automatic_differentiation(profile):
    likelihood = Likelihood(everything(), profile=profile)
    assert {name for name, _ in likelihood.layout.operators} == set(OPERATORS)
    for seed in range(5):
        derivatives_agree(likelihood, somewhere(likelihood, seed))


def derivatives_agree(likelihood, point):
    arrays, layout, data = likelihood.arrays, likelihood.layout, likelihood.data()
    theta = point[likelihood.places.reduced]
    found = compiled.point(theta, arrays, layout, data)
    gradient, hessian = map(np.asarray, AUTOMATIC(theta, arrays, layout, data))
    assert found.gradient == pytest.approx(gradient, rel=1e-11, abs=1e-11 * np.abs(gradient).max())
    assert found.curvature == pytest.approx(hessian, rel=1e-11, abs=1e-11 * np.abs(hessian).max())
    assert np.linalg.eigvalsh(np.asarray(found.fisher)).min() > -1e-9 * np.abs(hessian).max()


def histfactory_parameters(likelihood, plain_likelihood, values, **set_):
    """HistFactory's vector: parameters of the fit by label, and those that are set."""
    named = dict(zip(likelihood.labels, values, strict=True)) | set_
    return np.asarray([named[label] for label in plain_likelihood.labels])


def test_the_value_is_histfactorys_at_the_outputs():
    """Against pyhf's density at the parameters that the formulas give, and the normal constraint by hand."""
    turned = {**FORMULA, "formulas": dict(reversed(FORMULA["formulas"].items()))}
    likelihood, bare = Likelihood(attach(workspace(), turned)), Likelihood(workspace())
    point = somewhere(likelihood)
    k, t, b = (point[likelihood.index(label)] for label in ("k", "t", "b"))
    outputs = {
        "mu": k**2 * np.exp(t * 0.3) + b * 0.1,
        "shape[0]": max(k, 0.1),
        "shape[1]": t,
        "shape[2]": 2 - abs(t) / 2,
    }
    theta = histfactory_parameters(likelihood, bare, point, **outputs)
    pyhf.set_backend("numpy")
    parsed = pyhf.Workspace(workspace())
    model = parsed.model()
    theirs = -float(model.logpdf(theta, parsed.data(model))[0])
    constraint = 0.5 * ((t - 1) / 0.2) ** 2 + np.log(0.2) + 0.5 * np.log(2 * np.pi)
    assert likelihood.nll(point) == pytest.approx(theirs + constraint, rel=1e-12)
    assert likelihood.expected(point) == pytest.approx(model.expected_actualdata(theta), rel=1e-12)


def test_the_correlated_constraint_is_the_multivariate_normal():
    """Up to ½ log det of the correlation, which is left out."""
    from scipy.stats import multivariate_normal

    tied, bare = Likelihood(attach(workspace(), CORRELATED)), Likelihood(workspace())
    matrix = np.asarray(CORRELATED["matrix"])
    point = somewhere(tied)
    auxiliary = tied.observed.auxiliary.copy()
    places = [tied.index("a"), tied.index("b")]
    auxiliary[places] = 0.4, -0.7
    seen = tied.observation(tied.observed.main, auxiliary)
    pull = point[places] - auxiliary[places]
    independent = -multivariate_normal([0, 0], np.eye(2)).logpdf(pull)
    joint = -multivariate_normal([0, 0], matrix).logpdf(pull) - 0.5 * np.log(np.linalg.det(matrix))
    assert tied.nll(point, seen) - bare.nll(point, seen) == pytest.approx(joint - independent, rel=1e-10)


def test_correlated_parameters_are_a_rotation_of_independent_ones():
    """a and b as mixtures of two independent nuisances: the same fit, the same covariance of a and b."""
    tied = fit_likelihood(Likelihood(attach(workspace(), CORRELATED)), {f"shape[{place}]": 1.0 for place in range(3)})
    root = np.linalg.cholesky(np.asarray(CORRELATED["matrix"]))
    normal = {"mean": 0, "sigma": 1}
    rotation = {
        "operator": "formula",
        "name": "rotated",
        "parameters": [scalar(name, constraint=normal) for name in ("u", "v")],
        "formulas": {"a": f"{root[0, 0]} * u", "b": f"{root[1, 0]} * u + {root[1, 1]} * v"},
    }
    rotated = Likelihood(attach(workspace(), rotation))
    turned = fit_likelihood(rotated, {f"shape[{place}]": 1.0 for place in range(3)})
    assert tied.twice_nll == pytest.approx(turned.twice_nll, abs=1e-9)
    assert tied.value("mu") == pytest.approx(turned.value("mu"), rel=1e-7)
    inside = [turned.index("u"), turned.index("v")]
    here = [tied.index("a"), tied.index("b")]
    assert np.asarray(tied.bestfit)[here] == pytest.approx(root @ np.asarray(turned.bestfit)[inside], abs=1e-7)
    covariance = root @ np.asarray(turned.covariance)[np.ix_(inside, inside)] @ root.T
    assert np.asarray(tied.covariance)[np.ix_(here, here)] == pytest.approx(covariance, rel=1e-6)


def test_a_profile_does_not_depend_on_how_its_parameter_is_written():
    """mu = k³: −log L at k is that at mu, everything else refitted, with the same certificate."""
    shape = {f"shape[{place}]": 1.0 for place in range(3)}
    cubed = {"operator": "formula", "name": "cubed", "parameters": [scalar("k", init=1.0)], "formulas": {"mu": "k**3"}}
    written, direct = Likelihood(attach(workspace(), cubed)), Likelihood(workspace())
    for k in (0.5, 1.0, 1.4):
        one, other = written.fit(fixed={"k": k, **shape}), direct.fit(fixed={"mu": k**3, **shape})
        assert one.certificate.converged
        assert one.nll == pytest.approx(other.nll, abs=1e-11)
    one, other = written.fit(fixed=shape), direct.fit(fixed=shape)
    assert one.parameters[written.index("k")] ** 3 == pytest.approx(other.parameters[direct.index("mu")], rel=1e-7)
    # and as errors propagate, dmu = 3 k² dk
    slope = 3 * one.parameters[written.index("k")] ** 2
    sigma = [
        np.sqrt(np.diag(model.covariance(at, free=free_of(model)))) for model, at in ((written, one), (direct, other))
    ]
    assert slope * sigma[0][written.index("k")] == pytest.approx(sigma[1][direct.index("mu")], rel=1e-6)


def free_of(likelihood):
    """All but the free shape."""
    return np.asarray([not label.startswith("shape") for label in likelihood.labels]) & ~likelihood.constant


def test_a_matrix_that_is_none_names_the_pair():
    bad = [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]
    document = {**CORRELATED, "of": ["a", "b", "stat[0]"], "matrix": bad}
    with pytest.raises(InvalidExtension, match=r"not positive definite .*-0.9 between a and stat\[0\]"):
        attach(workspace(), document)
    with pytest.raises(InvalidExtension, match=r"not symmetric: a and b have 0\.6 and 0\.5"):
        attach(workspace(), {**CORRELATED, "matrix": [[1, 0.6], [0.5, 1]]})
    with pytest.raises(InvalidExtension, match="'mu' has no constraint"):
        attach(workspace(), {**CORRELATED, "of": ["a", "mu"]})


def test_errors_in_quadrature_follow_the_norms():
    """By hand: a signal at mu = 3 with its norm and a background with another, at two deviations of the noise."""
    given = workspace()
    samples = given["channels"][0]["samples"]
    samples.append(sample("noise", [1, 1, 1], ("noise", "staterror", [1.0, 1.0, 1.0])))
    given["measurements"][0]["config"]["parameters"] = [CENTRED]
    errors = {name: ERRORS["errors"][name] for name in ("signal", "background")}
    likelihood, bare = Likelihood(attach(given, {**ERRORS, "errors": errors})), Likelihood(workspace())
    named = dict.fromkeys(likelihood.labels, 1.0) | {"mu": 3.0, "a": -2.0, "b": 1.5}
    named |= {f"noise[{place}]": 2.0 for place in range(3)}
    at, without = (np.asarray([named[label] for label in made.labels]) for made in (likelihood, bare))
    signal, background = 3 * 0.9**2, 1.1**1.5
    errors = np.hypot(signal * np.asarray([1.5, 0.7, 0.0]), background * np.asarray([0.5, 1.1, 0.0]))
    assert likelihood.expected(at)[:3] - bare.expected(without)[:3] == pytest.approx(2 * errors, rel=1e-12)


def test_errors_are_one_for_each_bin_and_once_for_a_channel():
    given = everything()
    place = EVERYTHING.index(ERRORS)
    for extensions, message in (
        ([{**ERRORS, "errors": {"signal": [1.0]}}], "1 errors of 'signal', channel 'c' has 3 bins"),
        ([ERRORS, {**ERRORS, "name": "twice"}], "'errors' has errors of channel 'c' already"),
    ):
        wrong = {**given, "extensions": [*EVERYTHING[:place], *extensions, *EVERYTHING[place + 1 :]]}
        with pytest.raises(InvalidExtension, match=message):
            Likelihood(wrong)


def test_interpolated_logarithms_keep_the_sum():
    """By hand: one nuisance at 1 gives its ratios, one at half its region half of the way, the sum is the nominal's."""
    document = Logarithms.model_validate(LOGARITHMS)
    given = document.program({"a": 1, "b": 1, "logs": 3})
    found = np.asarray(OPERATORS["logarithms"](jnp.asarray([1.0, 0.5]), *given)[0])
    up, down = (np.log(LOGARITHMS["morphs"][1][side]) for side in ("up", "down"))
    step = 0.5 * (15 - 10 * 0.25 + 3 * 0.0625) / 8
    ratios = np.asarray([1.2, 0.9, 1.1]) * np.exp(0.1 * (up - down + step * (up + down)))
    nominal = np.asarray([4.0, 3.0, 2.0])
    assert found == pytest.approx(ratios * 9 / (nominal @ ratios), rel=1e-13)


def test_a_vector_process_is_its_samples():
    """Strengths times templates against one sample for each template with a strength of its own."""
    likelihood = Likelihood(attach(workspace(), VECTOR))
    other = workspace()
    other["channels"][0]["samples"][1:2] = [
        sample("free0", VECTOR["templates"][0], ("s0", "normfactor", None)),
        sample("free1", VECTOR["templates"][1], ("s1", "normfactor", None)),
        sample("offset", VECTOR["offset"]),
    ]
    same = Likelihood(other)
    named = dict(zip(likelihood.labels, somewhere(likelihood), strict=True))
    point = np.asarray([named.get(f"s[{label[1]}]" if label in ("s0", "s1") else label, 0.0) for label in same.labels])
    assert likelihood.nll(np.asarray(list(named.values()))) == pytest.approx(same.nll(point), rel=1e-13)


def test_abcd_predicts_the_fourth_region():
    """A, B, C measured with 100, 50 and 20 events: D = A B / C in a fit without D's data, its error by hand."""
    regions = {"A": 100, "B": 50, "C": 20, "D": 0}
    channels = [
        {"name": name, "samples": [sample("background", [1], (f"n{name}", "normfactor", None))]} for name in regions
    ]
    given = {
        "channels": channels,
        "observations": [{"name": name, "data": [float(count)]} for name, count in regions.items()],
        "measurements": [
            {
                "name": "m",
                "config": {
                    "poi": "",
                    "parameters": [{"name": f"n{name}", "inits": [30.0], "bounds": [[0.1, 1000]]} for name in "ABC"],
                },
            }
        ],
        "version": "1.0.0",
    }
    closure = {"parameter": "closure", "uncertainty": 0.2}
    document = {
        "operator": "abcd",
        "name": "transfer",
        "sets": "nD",
        "numerator": ["nA", "nB"],
        "denominator": ["nC"],
        "closure": closure,
    }
    likelihood = Likelihood(attach(given, document))
    seen = likelihood.observation(likelihood.observed.main, mask=np.asarray([1.0, 1.0, 1.0, 0.0]))
    minimum = likelihood.fit(seen)
    assert minimum.certificate.converged
    assert likelihood.expected(minimum.parameters)[3] == pytest.approx(100 * 50 / 20, rel=1e-9)
    covariance = likelihood.covariance(minimum, seen)
    slopes = np.asarray(
        [{"nA": 2.5, "nB": 5.0, "nC": -12.5, "closure": 250 * np.log(1.2)}[x] for x in likelihood.labels]
    )
    by_hand = 250 * np.sqrt(1 / 100 + 1 / 50 + 1 / 20 + np.log(1.2) ** 2)
    assert np.sqrt(slopes @ covariance @ slopes) == pytest.approx(by_hand, rel=1e-9)


def test_a_parameter_of_interest_may_be_an_extensions_and_is_set_by_the_measurement():
    given = attach(workspace(), QUADRATIC)
    given["measurements"][0]["config"] = {
        "poi": "c1",
        "parameters": [{"name": "c1", "bounds": [[-1, 1]], "inits": [0.5]}, {"name": "c2", "fixed": True}],
    }
    likelihood = Likelihood(given)
    assert likelihood.poi == "c1"
    assert (likelihood.init[likelihood.index("c1")], likelihood.upper[likelihood.index("c1")]) == (0.5, 1.0)
    assert likelihood.constant[likelihood.index("c2")]
    with pytest.raises(InvalidWorkspace, match=r"the parameter of interest 'c3' .* nearest: c"):
        attach(given, poi="c3")


def saved():
    """Everything but the Python function."""
    given = everything()
    return {**given, "extensions": [each for each in given["extensions"] if each is not CALLABLE]}


def test_saved_and_read_again_it_is_the_same_model(tmp_path):
    file = tmp_path / "workspace.json"
    file.write_bytes(workspace_bytes(saved()))
    first, second = Likelihood(saved()), Likelihood(load_workspace(file))
    point = somewhere(first)
    assert first.labels == second.labels
    assert first.nll(point) == second.nll(point)
    assert Likelihood(saved(), profile=False).nll(point) == pytest.approx(first.nll(point), rel=1e-13)


@pytest.mark.parametrize("poi", ["mu", "c1", "s[1]"])
def test_without_its_extensions_pyhf_reads_it(poi):
    given = attach(saved(), poi=poi)
    assert Likelihood(given).poi == (None if poi == "mu" else poi)  # mu is set by an extension
    bare = detach(given)
    assert set(given) - set(bare) == {"extensions"}
    model = pyhf.Workspace(bare).model()
    assert model.config.par_names == list(Likelihood(bare).labels)
    assert model.config.poi_name == ("mu" if poi == "mu" else None)


def test_documents_made_in_python_are_written_as_they_would_be_read():
    made = {**saved(), "extensions": list(Likelihood(saved()).specification.extensions)}
    again = json.loads(json.dumps(plain(made)))
    assert Likelihood(again).specification.extensions == tuple(made["extensions"])


def test_a_python_function_cannot_be_saved_and_says_what_to_do():
    given = everything()
    with pytest.raises(NotSerialisable, match=r"'mine' is a Python function .* write it as a formula"):
        workspace_bytes(given)
    with pytest.raises(InvalidExtension, match="attach it in Python"):
        attach(workspace(), {"operator": "callable", "name": "mine"})


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([{**QUADRATIC, "sets": ["mi"]}], "it sets 'mi', which no modifier has; nearest: mu"),
        ([QUADRATIC, {**QUADRATIC, "name": "again"}], "'again' .*: it sets 'mu', which 'morphed' sets already"),
        ([QUADRATIC, QUADRATIC], "two extensions have the name 'morphed'"),
        ([{**FORMULA, "formulas": {"stat": "k"}}], "it sets 'stat', a statistical uncertainty"),
        ([{**FORMULA, "formulas": {"mu": "kk"}}], "there is no parameter 'kk'; nearest: k"),
        ([{**FORMULA, "formulas": {"mu": "k", "b": "mu"}}], "it reads 'mu', which 'rates' sets"),
        ([{**FORMULA, "formulas": {"mu": "stat"}}], r"a vector of 3: name an element, such as stat\[0\]"),
        ([{**FORMULA, "formulas": {"shape": ["k", "t"]}}], "2 formulas for 'shape', which has 3"),
        ([{**VECTOR, "templates": [[1, 2], [1, 2]]}], r"templates must have the shape \(2, 3\), not \(2, 2\)"),
        ([{**VECTOR, "parameters": [scalar("a")]}], "the workspace has a parameter 'a' already"),
        ([QUADRATIC, {**FORMULA, "parameters": [scalar("c1")], "formulas": {"b": "c1"}}], "defines 'c1' otherwise"),
        ([{**QUADRATIC, "basis": [[0, 0]], "yields": [[1]]}], "1 basis points for 6 terms: give 5 more"),
        ([{**QUADRATIC, "parameters": [scalar("c", size=2)]}], "give each coefficient a name of its own"),
        ([{**UNFOLDED, "response": [[1, 0], [0, 1], [1, 1]], "edges": None, "truth": None}], "curvature needs 3"),
        ([{**UNFOLDED, "truth": [1, 0, 1]}], "truth must be positive"),
        ([{**CORRELATED, "of": ["a", "b", "c"]}], "the matrix must be 3 by 3"),
        ([CORRELATED, {**CORRELATED, "name": "again"}], "'a' is in 'ab' already"),
        ([{**TRANSFER, "numerator": ["nothing"]}], "there is no parameter 'nothing'"),
        ([{**ERRORS, "channel": "cc"}], "there is no channel 'cc'; nearest: c"),
        ([{**ERRORS, "errors": {}}], "channel 'c' has no sample 'noise'"),
        (
            [{**ERRORS, "sample": "signal", "errors": {}}],
            "may have a staterror alone, not normsys 'a', normfactor 'mu'",
        ),
        ([{"operator": "efd", "name": "x"}], "'eft'"),
        ([{**QUADRATIC, "colour": "red"}], r"extensions\[0\] \(morphed\).*colour: Extra inputs are not permitted"),
        ([{**VECTOR, "templates": [[1, "x", 2], [1, 2, 3]]}], r"templates.0.1: Input should be a valid number"),
    ],
)
def test_what_is_wrong_with_an_extension_is_said(documents, message):
    with pytest.raises(InvalidExtension, match=message):
        attach(workspace(), *documents)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda values: values["nobody"], r"does not work: KeyError: 'nobody'; it is given 'f' \(3\), 'a' \(1\)"),
        (lambda values: values["f"], "has to give 4 numbers for called, kappa"),
    ],
)
def test_a_function_that_does_not_work_is_told_before_the_fit(function, sentence):
    given = everything()
    wrong = CALLABLE.model_copy(update={"function": function})
    given["extensions"] = [wrong if each is CALLABLE else each for each in given["extensions"]]
    with pytest.raises(InvalidExtension, match=sentence):
        Likelihood(given)
