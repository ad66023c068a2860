"""The python codegen: what a function may return, and every way out of its child process that it may try."""

import ast
import base64
import math
import os
import pickle
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from delivery.engine.usercode import process, seccomp
from delivery.engine.usercode.errors import PythonNotAllowed, UserCodeFailed, UserCodeKilled
from delivery.engine.usercode.job import Job, Report, read_regular, read_report
from delivery.engine.usercode.limits import Limits
from delivery.engine.usercode.transform import transform_python
from delivery.engine.writers import read_record
from delivery.errors import MissingFile, OutputUnwritable, UnknownTree, UnwritableType, to_json
from delivery.requests import TransformRequest, TransformResult

MEGABYTE = 2**20
TIGHT = Limits(
    cpu_seconds=20, wall_seconds=40, memory_bytes=300 * MEGABYTE, disk_bytes=30 * MEGABYTE, files=100, open_files=64
)
linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="what Linux closes")

TWO_COLUMNS = """
    import uproot

    def run_query(input_filenames):
        with uproot.open(input_filenames) as file:
            return file["Events"].arrays(["MET_pt", "Muon_pt"])
"""


@pytest.fixture
def events(shared_data: Path) -> Path:
    return shared_data / "adl" / "Run2012B_SingleMu_1000.root"


@pytest.fixture(scope="module")
def confined(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests of what a kernel closes need one that can: required in CI."""
    file = shared_data / "adl" / "Run2012B_SingleMu_1000.root"
    warnings = run(TWO_COLUMNS, file, tmp_path_factory.mktemp("confined")).warnings
    if warnings:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("; ".join(warnings))


def selection(source: str) -> str:
    return base64.b64encode(textwrap.dedent(source).encode()).decode()


def run(source: str, file: Path | str, folder: Path, form: Any = "root-file", **more: Any) -> TransformResult:
    limits = more.pop("limits", TIGHT)
    request = TransformRequest(
        selection(source), str(file), folder / "out", codegen="python", format=form, allow_python=True, **more
    )
    return transform_python(request, limits)


def attempt(statement: str, file: Path, folder: Path, **limits: Any) -> BaseException:
    """What comes of a function of one statement (more lines: indent them by eight)."""
    source = f"def run_query(input_filenames):\n    import os\n    {statement}\n"
    bounds = Limits(**{**{name: getattr(TIGHT, name) for name in Limits.__slots__}, **limits})
    with pytest.raises((UserCodeFailed, UserCodeKilled)) as caught:
        run(source, file, folder, limits=bounds)
    assert list(folder.iterdir()) == [], "neither output nor scratch folder is left"
    return caught.value


def attempt_each(statements: list[str], file: Path, folder: Path) -> dict[str, str]:
    """What each statement raises, tried one after the other in one run."""
    source = f"""
        import os, resource

        def run_query(input_filenames):
            raised = {{}}
            for statement in {statements!r}:
                try:
                    exec(statement)
                    raised[statement] = "nothing"
                except Exception as error:
                    raised[statement] = type(error).__name__
            with open("raised.json", "w") as file:
                file.write(repr(raised))
            return "raised.json"
    """
    run(source, file, folder, "raw-file")
    raised: dict[str, str] = ast.literal_eval((folder / "out").read_text())
    (folder / "out").unlink()
    return raised


class TestWhatItReturns:
    def test_an_array_is_the_tree_servicex(self, events, tmp_path):
        result = run(TWO_COLUMNS, events, tmp_path)
        assert (result.events_in, result.events_out) == (1000, 1000)
        assert result.columns == ("MET_pt", "Muon_pt")
        with uproot.open(tmp_path / "out") as made, uproot.open(events) as source:
            assert made["servicex"].keys() == ["MET_pt", "nMuon_pt", "Muon_pt"]
            for name in result.columns:
                assert made["servicex"][name].array().tolist() == source["Events"][name].array().tolist()
        assert result.bytes_written == (tmp_path / "out").stat().st_size
        assert result.bytes_read == events.stat().st_size  # at most: nobody counts what a function reads
        assert list(tmp_path.iterdir()) == [tmp_path / "out"]

    def test_the_record_in_the_output(self, shared_data, tmp_path):
        file = shared_data / "root" / "nano_dy.root"
        result = run(TWO_COLUMNS, file, tmp_path, "parquet")
        weights = uproot.open(file)["Events"]["genWeight"].array(library="np")
        assert result.sum_of_weights == math.fsum(weights.tolist())
        record = read_record(tmp_path / "out")
        assert record is not None
        assert (record["codegen"], record["events_in"], record["events_out"]) == ("python", 40, 40)
        assert record["sum_of_weights"] == result.sum_of_weights
        assert str(tmp_path) not in str(record)

    def test_the_same_request_writes_the_same_bytes(self, events, tmp_path):
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            run(TWO_COLUMNS, events, tmp_path / name)
        assert (tmp_path / "one" / "out").read_bytes() == (tmp_path / "two" / "out").read_bytes()

    def test_a_dict_has_a_tree_for_each_key(self, events, tmp_path):
        source = """
            import awkward as ak

            def run_query(input_filenames):
                return {"lists": ak.Array({"x": [[1, 2], [], [3]]}), "bare": ak.Array([1.5, 2.5])}
        """
        result = run(source, events, tmp_path)
        assert result.events_out == 5
        assert result.columns == ("lists.x", "bare.branch")
        with uproot.open(tmp_path / "out") as made:
            assert made["lists"]["x"].array().tolist() == [[1, 2], [], [3]]
            assert made["bare"]["branch"].array().tolist() == [1.5, 2.5]
        result = run(source, events, tmp_path, "parquet")
        assert result.events_out == 3
        assert "'lists' is written, bare left out" in result.warnings[0]
        assert ak.from_parquet(tmp_path / "out").to_list() == [{"x": [1, 2]}, {"x": []}, {"x": [3]}]
        result = run(source, events, tmp_path, "root-rntuple")
        with uproot.open(tmp_path / "out") as made:
            assert made["lists"].arrays().to_list() == [{"x": [1, 2]}, {"x": []}, {"x": [3]}]

    def test_parquet_takes_what_root_does_not(self, events, tmp_path):
        source = """
            import awkward as ak

            def run_query(input_filenames):
                return ak.Array([[1, None], []])
        """
        run(source, events, tmp_path, "parquet")
        assert ak.from_parquet(tmp_path / "out").to_list() == [[1, None], []]
        with pytest.raises(UnwritableType, match="branch") as caught:
            run(source, events, tmp_path)
        assert "parquet" in caught.value.hint

    def test_thousands_of_columns_and_a_stdout_of_its_own(self, events, tmp_path):
        source = """
            import awkward as ak
            import sys

            def run_query(input_filenames):
                sys.stdout = None
                return ak.Array({f"a_column_with_a_long_name_{n}": [n] for n in range(3000)})
        """
        result = run(source, events, tmp_path, "parquet")
        assert len(result.columns) == 3000
        assert result.columns[-1] == "a_column_with_a_long_name_2999"

    def test_no_events_keep_their_types(self, events, tmp_path):
        run(TWO_COLUMNS.replace('"Muon_pt"])', '"Muon_pt"])[:0]'), events, tmp_path)
        with uproot.open(tmp_path / "out") as made:
            assert made["servicex"].num_entries == 0
            assert made["servicex"]["MET_pt"].interpretation.from_dtype == np.dtype(">f4")

    def test_a_file_that_it_wrote(self, events, tmp_path):
        raw = "def run_query(f):\n    open('mine.txt', 'w').write('hello')\n    return 'mine.txt'\n"
        assert run(raw, events, tmp_path, "raw-file").events_out == 0
        assert (tmp_path / "out").read_text() == "hello"
        given = """
            import awkward as ak

            def run_query(f, output):
                ak.to_parquet(ak.Array({"x": [1, 2]}), output)
        """
        assert run(given, events, tmp_path, "parquet").events_out == 2
        assert ak.from_parquet(tmp_path / "out").x.to_list() == [1, 2]
        with pytest.raises(UserCodeFailed, match="is no parquet"):
            run(raw, events, tmp_path, "parquet")
        with pytest.raises(UserCodeFailed, match="left no file 'output'"):
            run("def run_query(f, output):\n    pass\n", events, tmp_path, "raw-file")
        assert ak.from_parquet(tmp_path / "out").x.to_list() == [1, 2], "an output that was there stays"

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ("None", "returned None; it must return an awkward array"),
            ("{}", "returned an empty dict"),
            ("{'a': [1]}", "returned a dict of list"),
        ],
    )
    def test_anything_else_is_refused(self, value, said, events, tmp_path):
        assert said in str(attempt(f"return {value}", events, tmp_path))


class TestWhatIsSaid:
    def test_python_needs_leave(self, events, tmp_path):
        request = TransformRequest(selection(TWO_COLUMNS), str(events), tmp_path / "out", codegen="python")
        with pytest.raises(PythonNotAllowed, match=r"allow_python=True .*--allow-python") as caught:
            transform_python(request)
        assert isinstance(pickle.loads(pickle.dumps(caught.value)), PythonNotAllowed)

    def test_an_exception_has_its_line_and_what_was_printed(self, events, tmp_path):
        source = "import math\n\ndef helper(x):\n    print('x is', x)\n    return math.sqrt(x)\n\n"
        with pytest.raises(UserCodeFailed) as caught:
            run(source + "def run_query(f):\n    return helper(-1)\n", events, tmp_path)
        error = caught.value
        assert (error.line, error.reason) == (5, "ValueError: math domain error")
        assert error.printed == "x is -1"
        assert "return math.sqrt(x)\n        ^^^^^^^^^^^^^^^^^^^" in str(error)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert to_json(error)["span"]["line"] == 5

    def test_an_error_of_several_lines_is_told_in_one(self, events, tmp_path):
        said = str(attempt("raise ValueError('not found\\n    in the file\\n\\nof today')", events, tmp_path))
        assert "ValueError: not found in the file of today" in said

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("x = 1\n", "defines no function run_query"),
            ("def run_query(f):\n    return 1 +\n", "line 2 of the function: SyntaxError"),
            ("def run_query():\n    pass\n", "TypeError: run_query() takes 0 positional arguments"),
            ("import nowhere_to_be_found\n", "line 1 of the function: ModuleNotFoundError"),
            ("import os\nos._exit(0)\n", "ended by itself with exit code 0, and without a result"),
            ("import os\nos.abort()\n", "died of SIGABRT"),
            ("import os\nos.kill(os.getpid(), 9)\n", "the system killed the process"),
        ],
    )
    def test_a_source_that_does_not_run(self, source, said, events, tmp_path):
        with pytest.raises(UserCodeFailed) as caught:
            run(source, events, tmp_path)
        assert said in str(caught.value)

    def test_the_source_is_ascii_in_base64(self, events, tmp_path):
        with pytest.raises(UserCodeFailed, match=r"line 2 of the function: .* not ASCII"):
            run("def run_query(f):\n    return 'é'\n", events, tmp_path)
        request = TransformRequest("(not base64)", str(events), tmp_path / "out", codegen="python", allow_python=True)
        with pytest.raises(UserCodeFailed, match="must be base64"):
            transform_python(request)

    def test_the_input(self, events, tmp_path):
        with pytest.raises(MissingFile):
            run(TWO_COLUMNS, tmp_path / "none.root", tmp_path)
        with pytest.raises(UnknownTree):
            run(TWO_COLUMNS, events, tmp_path, tree="Evnts")
        with pytest.raises(OutputUnwritable):
            run(TWO_COLUMNS, events, tmp_path / "nowhere")
        (tmp_path / "text").write_text("1 2 3")
        result = run("def run_query(f):\n    return f\n", tmp_path / "text", tmp_path, "raw-file")
        assert result.events_in == 0
        assert "not counted" in result.warnings[0]
        assert (tmp_path / "out").read_text() == "1 2 3"


class TestLimits:
    def test_cpu_time(self, events, tmp_path):
        error = attempt("while True: pass", events, tmp_path, cpu_seconds=2)
        assert isinstance(error, UserCodeKilled)
        assert error.limit == "2 s of CPU time"
        assert isinstance(pickle.loads(pickle.dumps(error)), UserCodeKilled)

    def test_cpu_time_of_one_that_will_not_hear(self, events, tmp_path):
        ignoring = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n    while True: pass"
        assert "CPU time" in str(attempt(ignoring, events, tmp_path, cpu_seconds=2))

    def test_wall_time(self, events, tmp_path):
        error = attempt("import time; time.sleep(100)", events, tmp_path, wall_seconds=2)
        assert isinstance(error, UserCodeKilled)
        assert "2 s of time" in str(error)

    @linux
    @pytest.mark.parametrize(
        "bomb",
        [
            "import numpy; numpy.ones(400 * 2**17)",
            "import mmap; mmap.mmap(-1, 400 * 2**20)",
            "blocks = []\n    while True: blocks.append(bytes(2**22))",
        ],
    )
    def test_memory(self, bomb, events, tmp_path):
        assert "MB of memory" in str(attempt(bomb, events, tmp_path))

    def test_the_same_memory_is_there_for_who_has_leave(self, events, tmp_path):
        source = "import numpy\n\ndef run_query(f):\n    return {'t': numpy.ones(200 * 2**17)[:3]}\n"
        assert run(source, events, tmp_path).events_out == 3

    def test_one_big_file(self, events, tmp_path):
        error = attempt("open('big', 'wb').write(bytes(40 * 2**20))", events, tmp_path)
        assert isinstance(error, UserCodeKilled)
        assert error.limit == "31 MB of disk"

    def test_many_files(self, events, tmp_path):
        writing = "\n    ".join(
            ("import time", "for n in range(8): open(str(n), 'wb').write(os.urandom(2**23))", "time.sleep(30)")
        )
        assert "31 MB of disk" in str(attempt(writing, events, tmp_path))
        touching = "\n    ".join(("import time", "for n in range(200): os.mkdir(str(n))", "time.sleep(30)"))
        assert "100 files" in str(attempt(touching, events, tmp_path))

    def test_open_files(self, events, tmp_path):
        opening = "files = [open('/dev/null') for n in range(100)]"
        assert "Too many open files" in str(attempt(opening, events, tmp_path))

    def test_a_result_too_big_for_the_disk(self, events, tmp_path):
        source = "import numpy\n\ndef run_query(f):\n    return {'t': numpy.random.random(2**23)}\n"
        with pytest.raises(UserCodeKilled, match="MB of disk"):
            run(source, events, tmp_path)


@pytest.mark.usefixtures("confined")
class TestWaysOut:
    """Each must fail, where the kernel has what it takes; where it has not, every result has a warning."""

    def test_the_network(self, events, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            port = listener.getsockname()[1]
            error = attempt(f"import socket; socket.create_connection(('127.0.0.1', {port}))", events, tmp_path)
            assert "has no network" in str(error)
            with pytest.raises(BlockingIOError):
                listener.accept()
        path = str(tmp_path.parent / "s")
        with socket.socket(socket.AF_UNIX) as local:
            local.bind(path)
            local.listen()
            reaching = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
            assert "has no network" in str(attempt(reaching, events, tmp_path))
        Path(path).unlink()

    def test_the_environment(self, events, tmp_path, monkeypatch):
        monkeypatch.setenv("A_TOKEN", "top-secret")
        source = (
            "import awkward as ak\nimport os\n\ndef run_query(f):\n    return ak.Array({'x': sorted(os.environ)})\n"
        )
        run(source, events, tmp_path, "parquet")
        names = ak.from_parquet(tmp_path / "out").x.to_list()
        assert "HOME" in names
        assert "A_TOKEN" not in names
        (tmp_path / "out").unlink()
        theirs = "open(f'/proc/{os.getppid()}/environ', 'rb').read()"
        assert "Permission denied" in str(attempt(theirs, events, tmp_path))

    def test_other_files_of_this_account(self, events, tmp_path, tmp_path_factory):
        secret = tmp_path_factory.mktemp("home") / "token.txt"
        secret.write_text("top-secret")
        ways = [
            "open({!r}).read()",
            "open('/proc/self/root' + {!r}).read()",
            "os.link({!r}, 'x')",
            "os.truncate({!r}, 0)",
            "os.rename({!r}, 'x')",
        ]
        ways += ["os.listdir(os.path.dirname({!r}))", "open(os.path.dirname({!r}) + '/new', 'w')"]
        outcomes = attempt_each([way.format(str(secret)) for way in ways], events, tmp_path)
        assert set(outcomes.values()) <= {"PermissionError", "OSError"}  # the latter: a link across that border
        assert secret.read_text() == "top-secret"
        assert list(secret.parent.iterdir()) == [secret]

    def test_a_link_in_the_result_s_place(self, events, tmp_path, tmp_path_factory):
        secret = tmp_path_factory.mktemp("home") / "token.txt"
        secret.write_text("top-secret")
        forging = (
            f"os.symlink({str(secret)!r}, 'output'); import json\n"
            "    from delivery.engine.usercode.job import Report\n"
            "    from pathlib import Path\n"
            "    Report('done').write(Path('.')); os._exit(0)"
        )
        with pytest.raises(UserCodeFailed, match="is a link"):
            run(f"def run_query(f):\n    import os\n    {forging}\n", events, tmp_path, "raw-file")
        assert list(tmp_path.iterdir()) == []

    def test_other_processes(self, events, tmp_path):
        ways = ["os.fork()", "__import__('subprocess').run(['true'])", "os.execv('/bin/true', ['true'])"]
        ways += ["os.kill(os.getppid(), 15)", "os.kill(0, 15)", "os.memfd_create('m')"]
        ways += ["resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))"]
        ways += ["__import__('ctypes').CDLL(None).ptrace(16, os.getppid(), 0, 0) + 1 or 1 / 0"]
        outcomes = attempt_each(ways, events, tmp_path)
        assert list(outcomes.values()) == ["PermissionError"] * (len(ways) - 1) + ["ZeroDivisionError"]

    def test_threads_are_allowed(self, events, tmp_path):
        source = """
            import concurrent.futures
            import numpy

            def run_query(f):
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    return {"t": numpy.array(list(pool.map(abs, range(-3, 0))))}
        """
        run(source, events, tmp_path)
        with uproot.open(tmp_path / "out") as made:
            assert made["t"]["branch"].array().tolist() == [3, 2, 1]

    def test_limits_cannot_be_raised(self, events, tmp_path):
        ways = [f"resource.setrlimit(resource.{name}, (2**40, 2**40))" for name in ("RLIMIT_CPU", "RLIMIT_AS")]
        assert set(attempt_each(ways, events, tmp_path).values()) == {"ValueError"}


class TestWhatTheParentBelieves:
    @pytest.mark.parametrize(
        "text",
        ["", "[]", "{}", "[" * 100_000, '{"ending": "won", "rows": 1}', '{"ending": "done", "rows": "many"}'],
    )
    def test_a_report_that_is_none(self, text, tmp_path):
        (tmp_path / "report.json").write_text(text)
        assert read_report(tmp_path) is None

    def test_a_report(self, tmp_path):
        report = Report("failed", reason="it is", line=3, unconfined=("the network",))
        report.write(tmp_path)
        assert read_report(tmp_path) == report

    def test_only_regular_files_are_read(self, tmp_path):
        (tmp_path / "file").write_bytes(b"0123456789")
        (tmp_path / "link").symlink_to(tmp_path / "file")
        os.mkfifo(tmp_path / "pipe")
        assert read_regular(tmp_path / "file", 4) == b"0123"
        assert read_regular(tmp_path / "file", 4, last=True) == b"6789"
        assert read_regular(tmp_path / "link", 4) is None
        assert read_regular(tmp_path / "pipe", 4) is None

    def test_a_job_arrives_as_it_was_sent(self, tmp_path):
        job = Job("source", "file", "parquet", "00", {"query": "x"}, TIGHT)
        job.write(tmp_path)
        assert Job.read(tmp_path) == job


@linux
@pytest.mark.parametrize(
    ("layer", "way", "outcome"),
    [
        ("confinement._leave_network(libc)", "socket.create_connection(('127.0.0.1', PORT))", "OSError 101"),
        ("seccomp.install()", "socket.create_connection(('127.0.0.1', PORT))", "PermissionError 1"),
        ("seccomp.install()", "os.fork()", "PermissionError 1"),
        ("landlock.restrict([Path('/usr')], [Path('/tmp')])", "open('/etc/passwd')", "PermissionError 13"),
        (
            "landlock.restrict([Path('/usr')], [Path('/tmp')])",
            "open('/proc/self/root/etc/passwd')",
            "PermissionError 13",
        ),
        ("True", "socket.create_connection(('127.0.0.1', PORT)) and open('/etc/passwd')", "nothing"),
    ],
)
def test_each_layer_holds_alone(layer, way, outcome, tmp_path):
    """Kernels have some of them: each is tried without the others, and the last row shows what they close."""
    script = """
        import ctypes, os, socket
        from pathlib import Path
        from delivery.engine.usercode import confinement, landlock, seccomp

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(38, 1, 0, 0, 0)
        if not LAYER:
            raise SystemExit("this kernel has no such layer")
        try:
            WAY
            print("nothing")
        except OSError as error:
            print(type(error).__name__, error.errno)
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = script.replace("WAY", way).replace("LAYER", layer).replace("PORT", str(listener.getsockname()[1]))
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    if "no such layer" in done.stderr and not os.environ.get("CI"):
        pytest.skip(done.stderr)
    assert done.stdout.strip() == outcome, done.stderr


def test_no_library_starts_threads_before_the_doors_are_closed():
    """Layers close for one thread and those that it starts: none may be there before."""
    code = "import delivery.engine.usercode.child, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "awkward", "uproot", "pyarrow"} & set(done.stdout.split())


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_never_jumps_out_of_itself(machine):
    """As the kernel demands of a filter: every way through it ends in a return."""
    code = seccomp.program(machine, 1234)
    assert code is not None
    instructions = list(struct.iter_unpack("=HBBI", code))
    returns = {place for place, (kind, *_) in enumerate(instructions) if kind == 0x06}
    assert len(instructions) - 1 in returns
    for place, (kind, if_true, if_false, _) in enumerate(instructions):
        if kind & 0x07 == 0x05:
            assert place + 1 + max(if_true, if_false) < len(instructions)
    assert seccomp.program("sparc", 1234) is None


def test_what_a_kernel_cannot_close_is_said(events, tmp_path, monkeypatch):
    def run_open(job: Job, folder: Path) -> Report:
        (folder / "output.root").write_bytes(b"root")
        return Report("done", unconfined=("the network",))

    monkeypatch.setattr(process, "run", run_open)
    (warning,) = run(TWO_COLUMNS, events, tmp_path).warnings
    assert "cannot keep the function from the network" in warning
