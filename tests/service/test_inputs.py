"""Which files requests may read. Addresses are judged against the registries that RFC 6890 and its followers name."""

import ipaddress
import os
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.engine.storage.hops import GUARD
from delivery.engine.storage.opening import open_storage
from delivery.identity import local_path
from delivery.service import inputs
from delivery.service.errors import BadRequest, ServiceError, Unavailable
from delivery.service.settings import Inputs, Settings


@pytest.fixture
def root(tmp_path):
    """An allowed folder with links inwards and outwards, and a file beside it."""
    folder = tmp_path / "allowed"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.root").write_bytes(b"root")
    (tmp_path / "secret.root").write_bytes(b"root")
    (folder / "inwards").symlink_to(folder / "sub")
    (folder / "outwards").symlink_to(tmp_path)
    (folder / "outwards.root").symlink_to("../secret.root")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe.root")
    (tmp_path / "allowed-not").mkdir()
    (tmp_path / "allowed-not" / "a.root").write_bytes(b"root")
    return folder


def settings(root=None, **fields):
    return Settings(inputs=Inputs(roots=(root,) if root else (), **fields))


def refused(path, allowed):
    with pytest.raises(BadRequest) as found:
        inputs.check(path, allowed)
    return str(found.value)


@pytest.mark.parametrize("name", ["sub/a.root", "inwards/a.root", "./sub//a.root", "not-there.root", "sub"])
def test_files_below_an_allowed_folder_may_be_read(root, name):
    found = inputs.check(f"{root}/{name}", settings(root))
    assert os.path.normpath(f"{root}/{name}") == found
    assert inputs.check(f"file://{root}/{name}", settings(root)) == found
    assert inputs.check(f"file://localhost{root}/{name}", settings(root)) == found


def test_the_folder_may_itself_be_a_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert inputs.check(f"{tmp_path}/link/sub/a.root", settings(tmp_path / "link"))


@pytest.mark.parametrize(
    "name",
    [
        "{above}/secret.root",
        "{root}/../secret.root",
        "{root}/sub/../sub/a.root",
        "{root}/outwards/secret.root",
        "{root}/outwards/not-there.root",
        "{root}/outwards.root",
        "{root}/loop",
        "{root}/pipe.root",
        "{root}-not/a.root",
        "{root}/a\x00.root",
        "{root}/a\n.root",
        "file://{root}/../secret.root",
        "file://{root}/%2e%2e/secret.root",
        "file://{root}/a%00.root",
        "file://{root}/sub/a.root?x",
        "file://elsewhere{root}/sub/a.root",
        "FILE://{above}/secret.root",
        "file:{root}/sub/a.root",
        "sub/a.root",
        "~/a.root",
        "$HOME/a.root",
        "",
        "/",
        "/etc/passwd",
        "/proc/self/environ",
        "//etc/passwd",
        "{root}/" + "a" * 5000,
        "{root}/" + "a" * 300,
        "{root}/\udcff.root\x1b",
    ],
)
def test_no_trick_leads_out_of_the_folder(root, name):
    said = refused(name.format(root=root, above=root.parent), settings(root))
    assert "secret" not in said or "secret" in name  # where a link leads is not told


def test_without_folders_no_local_file_may_be_read(root):
    assert "no local folder is allowed" in refused(f"{root}/sub/a.root", settings())


def test_the_services_own_files_are_not_inputs(tmp_path):
    """By default `skimflow serve` keeps them below the folder that requests may read."""
    own = tmp_path / "skimflow-service"
    settings = Settings(data=own, secret_file=tmp_path / "key", inputs=Inputs(roots=(tmp_path,)))
    own.mkdir()
    (tmp_path / "link").symlink_to(own)
    for name in ("skimflow-service/secret", "skimflow-service", "skimflow-service/store/blobs/aa/x", "link/a", "key"):
        with pytest.raises(BadRequest, match="belongs to the service itself"):
            inputs.check(str(tmp_path / name), settings)
    assert inputs.check(f"{tmp_path}/skimflow-service.root", settings)


def test_whether_a_file_outside_is_there_is_not_told(root, tmp_path):
    there = refused(f"{tmp_path}/secret.root", settings(root))
    absent = refused(f"{tmp_path}/secrez.root", settings(root))
    assert there.replace("secret", "secrez") == absent


def test_what_is_allowed_is_what_the_engine_opens_as_a_local_file(root):
    """A name that hides an URL from the check would be read as one: fsspec chains URLs by '::'."""
    hidden = f"file://{root}/a%3A%3Afile%3A%2F%2F%2Fetc%2Fpasswd"
    found = inputs.check(hidden, settings(root))
    assert local_path(found) is not None
    assert local_path(found).is_relative_to(root)


@given(st.text(alphabet="/.a%2ef:~\\\x00é ", max_size=30))
def test_whatever_is_allowed_lies_below_the_folder(text):
    allowed = settings("/usr/share")
    for path in (f"/usr/share/{text}", text, f"file:///usr/share/{text}"):
        try:
            found = inputs.check(path, allowed)
        except ServiceError:
            continue
        opened = local_path(found)
        assert opened is not None
        assert opened.resolve().is_relative_to("/usr/share")


INTERNAL = [
    *(
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
    ),
    *("100.64.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::"),
    "::127.0.0.1",
]
PUBLIC = [
    *("8.8.8.8", "128.142.160.1", "188.184.1.1", "172.32.0.1", "2001:1458:201:e4::100:548", "::ffff:8.8.8.8"),
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_addresses_are_not_asked(address):
    assert inputs.is_internal(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    assert "internal" in refused(f"root://{host}:1094//file.root", settings())
    assert inputs.check(f"root://{host}//file.root", settings(hosts=(address,)))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_asked(address):
    host = f"[{address}]" if ":" in address else address
    assert inputs.check(f"root://{host}:1094//file.root", settings()) == f"root://{host}:1094//file.root"


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "127.1",
        "127.0.0.01",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST.",
        "service",
        "metadata.google.internal",
        "127.0.0.1:99999",
        "127.0.0.1:0",
        "8.8.8.8:",
        "[::1%25eth0]",
        "[::1",
        "8.8.8.8,127.0.0.1",
        "8.8.8.8%2f",
        "①②⑦.0.0.1",
        "bücher.example",
        "a..b",
        "-a.b",
        "",
        ".",
        "8.8.8.8\\@127.0.0.1",
        "8.8.8.8 .a",
        "user:password@8.8.8.8",
        "@8.8.8.8",
    ],
)
@pytest.mark.parametrize("scheme", ["root", "https"])
def test_no_spelling_of_a_host_leads_inwards(scheme, host):
    said = refused(f"{scheme}://{host}/file.root", settings())
    assert "password" not in said.replace("user name or password", "")


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/a.root",
        "ftp://8.8.8.8/a.root",
        "s3://bucket/a.root",
        "memory://a.root",
        "simplecache::https://8.8.8.8/a.root",
        "zip://a.root::https://8.8.8.8/a.zip",
        "https::file:///etc/passwd",
        "javascript://8.8.8.8/",
        "/data/a::file:///etc/passwd",
        "://8.8.8.8",
    ],
)
def test_other_schemes_are_refused_with_those_that_are_read(url):
    refused(url, settings(root="/data"))


def test_the_sentence_says_which_schemes_and_folders_there_are(root):
    assert "root://, https://" in refused("gopher://8.8.8.8/a", settings())
    assert str(root) in refused("/etc/passwd", settings(root))


def test_a_name_is_judged_by_all_its_addresses(monkeypatch):
    """The machine's own resolver is asked; here it is told what to answer."""
    answers = {"one.example.org": ["8.8.8.8"], "both.example.org": ["8.8.8.8", "10.0.0.1"], "in.example.org": ["::1"]}

    def resolved(host, *_, **__):
        if host not in answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, 0)) for each in answers[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    inputs._addresses.cache_clear()
    assert inputs.check("ROOT://One.Example.org.:1094//a.root", settings()) == "root://one.example.org:1094//a.root"
    for host in ("both.example.org", "in.example.org"):
        assert "internal" in refused(f"https://{host}/a.root", settings())
        assert inputs.check(f"https://{host}/a.root", settings(hosts=("*.example.org",)))
    with pytest.raises(Unavailable, match="no address is known"):
        inputs.check("https://unknown.example.org/a.root", settings())
    inputs._addresses.cache_clear()


def test_one_request_names_a_bounded_number_of_hosts():
    many = [f"root://8.8.{number}.8//a.root" for number in range(inputs.MANY_HOSTS)]
    assert inputs.check_all(many, settings()) == many
    with pytest.raises(BadRequest, match="different hosts"):
        inputs.check_all([*many, "root://9.9.9.9//a.root"], settings())


class _Redirects(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(302)
        self.send_header("Location", self.server.target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def redirecting(target):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Redirects)
    server.target, server.asked = target, []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def guarded(allowed):
    token = GUARD.set(inputs.web_guard(allowed))
    try:
        yield
    finally:
        GUARD.reset(token)


def test_a_redirection_leads_to_no_internal_address_and_no_other_scheme():
    with redirecting("http://[::1]:1/inside") as inside, redirecting("") as outside:
        outside.target = f"http://localhost:{inside.server_port}/inside"
        url = f"http://127.0.0.1:{outside.server_port}/file.root"
        with guarded(Inputs(schemes=("http",), hosts=("127.0.0.1",))), pytest.raises(PermissionError, match="internal"):
            open_storage(url)
        assert (outside.asked, inside.asked) == (["/file.root"], [])
        with (
            guarded(Inputs(schemes=("http",), hosts=("127.0.0.1", "localhost"))),
            pytest.raises(PermissionError, match="internal"),
        ):
            open_storage(url)
        assert inside.asked == ["/inside"]  # this hop was allowed, the next was not
        outside.target = "https://127.0.0.1/file.root"
        with guarded(Inputs(schemes=("http",), hosts=("127.0.0.1",))), pytest.raises(PermissionError, match="https"):
            open_storage(url)


def test_a_name_that_changed_its_address_after_the_check_gives_nothing(monkeypatch):
    """DNS rebinding: the check hears a public address, the connection goes to loopback."""
    with redirecting("http://127.0.0.1:1/") as server:
        monkeypatch.setattr(inputs, "_addresses", lambda *_: (ipaddress.ip_address("8.8.8.8"),))
        real = socket.getaddrinfo

        def rebound(host, *arguments, **options):
            return real("127.0.0.1" if host == "rebind.example.org" else host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        with guarded(Inputs(schemes=("http",))), pytest.raises(PermissionError, match="internal"):
            open_storage(f"http://rebind.example.org:{server.server_port}/file.root")
        assert server.asked == ["/file.root"]
