"""`skimflow transform` and `skimflow explain`: what they print, what they write, and what a failing one leaves."""

import base64
import json
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow.parquet as pq
import pytest
import uproot

from skimflow import cli
from skimflow.progress import late_clock

SELECTED = (
    "(Select (Where (call EventDataset 'bogus.root' 'Events') (lambda (list e) (> (attr e 'MET_pt') 25)))"
    " (lambda (list e) (dict (list 'met' 'muons') (list (attr e 'MET_pt') (attr e 'Muon_pt')))))"
)
FUNCTION = """
    import uproot

    def run_query(input_filenames):
        with uproot.open(input_filenames) as file:
            return file["Events"].arrays(["MET_pt"], "MET_pt > 25")
"""


@pytest.fixture
def events(shared_data: Path) -> Path:
    return shared_data / "adl" / "Run2012B_SingleMu_1000.root"


@pytest.fixture
def passing(events: Path) -> list[float]:
    """What passes the selection, by uproot alone."""
    met = uproot.open(events)["Events"]["MET_pt"].array()
    return [float(value) for value in met[met > 25]]


@pytest.fixture
def skimflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command line in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["skimflow", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


class TestTransform:
    def test_the_result_and_what_it_says(self, skimflow, events, passing):
        code, out, err = skimflow("transform", "--selection", SELECTED, events, "out.root")
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0] == f"1,000 events in, {len(passing)} rows out"
        assert lines[1].split() == [str(len(passing)), f"{len(passing) / 10:.1f}", "%", *lines[1].split()[3:]]
        assert "MET_pt" in lines[1]
        with uproot.open("out.root") as file:
            assert file["servicex"]["met"].array().tolist() == passing
        look = shlex.split(next(line for line in lines if line.startswith("look at it: ")).removeprefix("look at it: "))
        assert look[0] == "python"
        shown = subprocess.run([sys.executable, *look[1:]], capture_output=True, text=True, check=True)
        assert f"type: {len(passing)} * {{" in shown.stdout

    @pytest.mark.parametrize("form", ["parquet", "root-file", "root-rntuple"])
    def test_json_and_every_format(self, form, skimflow, events, passing):
        code, out, err = skimflow(
            "transform", "--selection", SELECTED, "--format", form, "--threads", "2", "--json", events, "out"
        )
        assert (code, err) == (0, "")
        document = json.loads(out)
        assert document["events_in"] == 1000
        assert document["events_out"] == len(passing)
        assert [row["passed"] for row in document["cutflow"]] == [len(passing)]
        assert document["bytes_written"] == Path("out").stat().st_size
        assert set(document["columns"]) == {"MET_pt", "Muon_pt"}
        found = ak.from_parquet("out") if form == "parquet" else uproot.open("out")["servicex"].arrays(["met", "muons"])
        assert found.met.tolist() == passing

    def test_the_selection_may_be_a_file_or_a_query_function(self, skimflow, events):
        Path("query.txt").write_text(SELECTED + "\n")
        Path("mine.py").write_text(f"def cut():\n    return {SELECTED!r}\n")
        for given in (SELECTED, "query.txt", "mine.py:cut"):
            assert skimflow("transform", "--selection", given, events, "out.parquet")[0] == 0
            assert len(ak.from_parquet("out.parquet")) == 527
        code, out, _ = skimflow("transform", "--selection", "queries.adl:q4", "--json", events, "out.parquet")
        assert (code, json.loads(out)["events_out"]) == (0, 116)  # of the reference, published with the sample

    def test_uproot_raw(self, skimflow, events, passing):
        selection = json.dumps([{"treename": "Events", "filter_name": ["MET_pt"], "cut": "MET_pt > 25"}])
        code, out, err = skimflow(
            "transform", "--codegen", "uproot-raw", "--selection", selection, "--json", events, "out.parquet"
        )
        assert (code, err) == (0, "")
        assert json.loads(out)["events_out"] == len(passing)

    def test_python_with_leave_only(self, skimflow, events, passing):
        Path("function.py").write_text(FUNCTION)
        words = ("transform", "--codegen", "python", "--selection", "function.py", events, "out.parquet")
        code, out, err = skimflow(*words)
        assert (code, out) == (2, "")
        assert "--allow-python" in err
        for given in ("function.py", FUNCTION, base64.b64encode(b"def run_query(f):\n    return 1\n").decode()):
            code, out, err = skimflow(*words[:4], given, "--allow-python", *words[5:])
            assert "Traceback" not in err
        assert "returned int" in err
        assert ak.from_parquet("out.parquet").MET_pt.tolist() == passing, "the failing run left what was there"

    def test_the_semantics_are_those_asked_for(self, skimflow, events):
        one_key = "(Select (call EventDataset) (lambda (list e) (dict (list 'pt') (list (attr e 'Jet_pt')))))"
        kinds = {}
        for semantics in ("servicex", "strict"):
            out = f"{semantics}.parquet"
            assert skimflow("transform", "--selection", one_key, "--semantics", semantics, events, out)[0] == 0
            kinds[semantics] = str(ak.from_parquet(out).type.content)
        assert kinds == {"servicex": 'var * {"pt": float32}', "strict": '{"pt": var * float32}'} or kinds == {
            "servicex": "var * {pt: float32}", "strict": "{pt: var * float32}",
        }  # fmt: skip

    def test_a_failure_is_json_too(self, skimflow, events):
        wrong = "(Select (call EventDataset) (lambda (list e) (attr e 'MET_ptt')))"
        for command in (["explain"], ["transform"]):
            out = ["out.parquet"] if command == ["transform"] else []
            code, said, err = skimflow(*command, "--selection", wrong, "--json", events, *out)
            error = json.loads(said)["error"]
            assert (code, error["type"], "MET_pt" in error["near"]["MET_ptt"]) == (2, "UnknownBranch", True)
            assert "MET_ptt" in err


class TestRemote:
    def test_no_token_is_printed(self, skimflow, events):
        content = events.read_bytes()

        class Storage(BaseHTTPRequestHandler):
            def log_message(self, *words: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(content)

            def do_GET(self) -> None:
                first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
                part = content[int(first) : int(last or len(content) - 1) + 1]
                self.answer(part, f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")
                self.wfile.write(part)

            def answer(self, part: bytes, piece: str = "") -> None:
                self.send_response(206 if piece else 200)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(part)))
                if piece:
                    self.send_header("Content-Range", piece)
                self.end_headers()

        with ThreadingHTTPServer(("127.0.0.1", 0), Storage) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                url = f"http://127.0.0.1:{server.server_address[1]}/events.root?authz=a-secret"
                runs = [skimflow("explain", "--selection", SELECTED, *more, url) for more in ((), ("--json",))]
                runs.append(skimflow("transform", "--selection", SELECTED, "--json", url, "out.parquet"))
            finally:
                server.shutdown()
                thread.join()
        for code, out, err in runs:
            assert code == 0, err
            assert "events.root" in out
            assert "a-secret" not in out + err


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (("--selection", SELECTED.replace("MET_pt", "MET_ptt"), "EVENTS", "out.root"), 2, "near: MET_pt"),
            (("--selection", SELECTED[:-1], "EVENTS", "out.root"), 2, "line 1, column"),
            (("--selection", "query.txt", "EVENTS", "out.root"), 2, "is no file and no uproot selection"),
            (("--selection", "[]", "EVENTS", "out.root"), 2, "add --codegen uproot-raw"),
            (("--selection", SELECTED, ".", "out.root"), 2, "it is a folder"),
            (("--codegen", "python", "--selection", "absent.py", "EVENTS", "out.root"), 2, "is no file"),
            (("--selection", "queries.adl:q11", "EVENTS", "out.root"), 2, "nearest: q1"),
            (("--selection", "queries.ttbar:agc_published_raw", "EVENTS", "out.root"), 2, "add --codegen uproot-raw"),
            (("--selection", SELECTED, "--tree", "Evnts", "EVENTS", "out.root"), 2, "Events"),
            (("--selection", SELECTED, "none.root", "out.root"), 2, "none.root"),
            (("--selection", SELECTED, "EVENTS", "out.txt"), 2, "add --format, one of parquet"),
            (("--selection", SELECTED, "EVENTS", "nowhere/out.root"), 1, "its folder does not exist"),
            (("--selection", SELECTED, "--threads", "0", "EVENTS", "out.root"), 2, "--threads"),
            (("EVENTS", "out.root"), 2, "--selection"),
        ],
    )
    def test_one_message_and_no_output(self, words, code, said, skimflow, events, tmp_path):
        found, out, err = skimflow("transform", *(events if word == "EVENTS" else word for word in words))
        assert (found, out) == (code, "")
        assert said in err
        assert "Traceback" not in err
        assert list(tmp_path.iterdir()) == []

    def test_what_was_there_stays(self, skimflow, events, tmp_path):
        (tmp_path / "out.root").write_text("what was there")
        bare = "(Select (call EventDataset) (lambda (list e) (attr e 'Jet_pt')))"  # a TTree cannot hold it
        for selection in (bare, SELECTED.replace("MET_pt", "MET_ptt"), "(oops"):
            assert skimflow("transform", "--selection", selection, events, "out.root")[0] == 2
            assert (tmp_path / "out.root").read_text() == "what was there"
        assert [path.name for path in tmp_path.iterdir()] == ["out.root"]

    def test_the_input_is_not_the_output(self, skimflow, events, tmp_path):
        (tmp_path / "in.root").write_bytes(events.read_bytes())
        code, _, err = skimflow("transform", "--selection", SELECTED, "in.root", tmp_path / "in.root")
        assert (code, "is the input" in err) == (2, True)
        assert (tmp_path / "in.root").read_bytes() == events.read_bytes()


class TestExplain:
    def test_the_plan(self, skimflow, events):
        code, out, err = skimflow("explain", "--selection", SELECTED, events)
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0].endswith(f"1,000 events, {events.stat().st_size / 1000:.0f} kB")
        cut, output = (place for place, line in enumerate(lines) if line.startswith("phase "))
        met = next(place for place, line in enumerate(lines) if line.startswith("    MET_pt "))
        muons = next(place for place, line in enumerate(lines) if line.startswith("    Muon_pt "))
        assert cut < met < output < muons
        gives = lines.index("gives:")
        assert [line.split() for line in lines[gives + 1 : gives + 3]] == [
            ["met", "float32"], ["muons", "var", "*", "float32"],
        ]  # fmt: skip
        assert lines[-1].startswith("do it: skimflow transform ")

    def test_a_query_for_one_number_is_told_how_to_get_it(self, skimflow, events):
        query = "(Count (call EventDataset))"
        code, out, _ = skimflow("explain", "--selection", query, events)
        assert code == 0
        command = out.splitlines()[-1].removeprefix("do it: ")
        python, option, program = shlex.split(command)
        assert (python, option) == ("python", "-c")
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert (done.stdout.strip(), done.stderr) == ("1000", "")
        ordered = "(OrderBy (call EventDataset) (lambda (list e) (attr e 'MET_pt')))"
        assert skimflow("explain", "--selection", ordered, events)[1].splitlines()[-1].startswith("do it: skimflow ")

    @pytest.mark.parametrize("dots", ["", ".Zip()"])
    def test_it_tells_the_columns_that_come(self, skimflow, events, dots):
        row = f"{{'pt': e.Muon_pt, 'eta': e.Muon_eta}}{dots}"  # of equal lengths, with and without being one list
        query = f'(call Select (call EventDataset) "lambda e: {row}")'
        _, out, _ = skimflow("explain", "--selection", query, "--json", events)
        assert skimflow("transform", "--selection", query, events, "out.parquet")[0] == 0
        assert [name for name, _ in json.loads(out)["schema"]] == pq.read_schema("out.parquet").names

    def test_the_bytes_are_those_of_the_file(self, skimflow, events):
        _, out, _ = skimflow("explain", "--selection", SELECTED, "--json", events)
        document = json.loads(out)
        columns = {one["name"]: one for phase in document["phases"] for one in phase["columns"]}
        tree = uproot.open(events)["Events"]
        for name in ("MET_pt", "Muon_pt"):
            assert columns[name]["compressed"] == tree[name].compressed_bytes
            assert columns[name]["plain"] == tree[name].uncompressed_bytes
        assert document["entries"] == 1000
        assert document["file_bytes"] == events.stat().st_size

    def test_a_mistake_is_one_message(self, skimflow, events):
        code, out, err = skimflow("explain", "--selection", SELECTED.replace("MET_pt", "MET_ptt"), events)
        assert (code, out) == (2, "")
        assert "near: MET_pt" in err
        assert "Traceback" not in err


class TestClock:
    @pytest.mark.parametrize(
        ("terminal", "after", "shown"), [(True, 0.0, True), (True, 60.0, False), (False, 0.0, False)]
    )
    def test_it_shows_on_a_terminal_once_a_step_is_slow(self, terminal, after, shown, capsys, monkeypatch):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        monkeypatch.setenv("TERM", "xterm")
        with late_clock("transform file.root", after):
            threading.Event().wait(0.3)
        assert ("transform file.root" in capsys.readouterr().err) == shown
