"""``reconciler serve``: the embedded platforms on a port, for the vendors' tools and for other stacks."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from harness import LAB, Project
from loopback import runapy


@dataclass
class Serving:
    """A ``reconciler serve`` that runs. ``said`` are its lines so far."""

    process: subprocess.Popen[str]
    said: list[str]

    @property
    def url(self) -> str:
        """Where the platform answers."""
        found = re.search(r"https?://\S+/runai", self.said[0])
        assert found is not None
        return found[0]

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Ask it to end; its exit code, and what else it said on both streams."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextmanager
def serving(project: Project, *flags: str) -> Iterator[Serving]:
    """Serve the stack on a free port."""
    process = project.spawn("serve", "--port", "0", *flags)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.fail(f"serve ended: {process.communicate()[1]}")
        yield Serving(process, [line])
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def elsewhere(project: Project, tmp_path: Path) -> Project:
    """A second stack, for the same platform by its address. ``config(url)`` is still to be written."""
    other = Project(tmp_path / "elsewhere", project.capture)
    other.path.mkdir()
    other.environment["RUNAI_CLIENT_SECRET"] = "embedded"
    other.environment["RUNAI_CLIENT_ID"] = "embedded"
    return other


def point(stack: Project, url: str, more: str = "") -> None:
    """Let the stack speak to *url*."""
    stack.write(
        "reconciler.toml",
        f'[stack]\nname = "elsewhere"\n[platforms.runai]\nprovider = "runai"\nendpoint = "{url}"\n'
        f"patience_seconds = 0.2\n{more}",
    )


def test_a_hand_edit_by_the_vendors_client_shows_in_the_next_plan(project: Project) -> None:
    """The served platform is the one that plan and apply use."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    lab = project.remembered()["runai.environment.lab"]
    with serving(project) as served, runapy(served.url) as client:
        environments = client.workload_assets.environment
        found = environments.get_environment_asset_by_id(lab).data
        environments.update_environment_asset_by_id(
            lab, {"meta": {"name": "lab"}, "spec": {**found["spec"], "image": "python:3.12"}}
        )
        environments.create_environment_asset(
            environment_creation_request={
                "meta": {"name": "new", "scope": "tenant"},
                "spec": {"image": "a:1"},
            }
        )
        planned = project.run("plan").succeeded()
        assert '~ image = "python:3.12" -> "python:3.11"   (drift: changed outside)' in planned.out
        project.run("apply", "--auto-approve").succeeded()
        assert environments.get_environment_asset_by_id(lab).data["spec"]["image"] == "python:3.11"
        served.end()
    assert set(project.live()) == {"environment.lab", "environment.new"}


def test_another_stack_plans_and_applies_over_the_socket(project: Project, elsewhere: Project) -> None:
    """With its own credentials by reference: plan, apply, nothing to do, drift, destroy."""
    with serving(project) as served:
        point(elsewhere, served.url)
        elsewhere.write("lab.toml", LAB)
        elsewhere.run("apply", "--auto-approve").succeeded()
        assert project.live() == {"environment.lab": elsewhere.remembered()["runai.environment.lab"]}
        again = elsewhere.run("plan", "--detailed-exitcode").succeeded()
        assert again.out == "No changes. Your infrastructure matches the configuration.\n"
        project.hand().edit("lab", image="python:3.12")
        assert elsewhere.run("drift").code == 2
        elsewhere.run("destroy", "--auto-approve").succeeded()
        assert project.live() == {}
        assert served.end() == (0, "", "")


FAULTS = """
[[platforms.runai.faults]]
on = "POST /api/v1/asset/environment"
nth = [1]
drop = "after"

[[platforms.runai.faults]]
on = "POST /api/v1/asset/environment"
nth = [2]
drop = "before"

[[platforms.runai.faults]]
on = "GET /api/v1/asset/environment"
nth = [1]
status = 429
retry_after = 0.01
"""


def test_faults_act_over_the_socket(project: Project, elsewhere: Project) -> None:
    """A connection is cut before and after the effect: nothing is doubled, nothing is missing."""
    project.config(FAULTS)
    with serving(project) as served:
        point(elsewhere, served.url)
        for name in ("one", "two", "three"):
            elsewhere.write(f"{name}.toml", LAB)
        elsewhere.run("apply", "--auto-approve", "--parallelism", "1").succeeded()
        assert served.end() == (0, "", "")
    live = {address.removeprefix("runai."): one for address, one in elsewhere.remembered().items()}
    assert set(live) == {"environment.one", "environment.two", "environment.three"}
    assert project.live() == live


@pytest.fixture
def certificate(project: Project) -> trustme.CA:
    """``cert.pem`` and ``key.pem`` for this machine in the stack, and ``ca.pem``, whose they are."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(project.path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(project.path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(project.path / "cert.pem"))
    return authority


@pytest.mark.usefixtures("certificate")
def test_https_is_served_with_a_certificate(project: Project, elsewhere: Project) -> None:
    """To our provider by ca_file or SSL_CERT_FILE, and to the vendor's client; to no one without."""
    with serving(project, "--tls-cert", "cert.pem", "--tls-key", "key.pem") as served:
        assert served.url.startswith("https://127.0.0.1:")
        authority = project.path / "ca.pem"
        elsewhere.write("lab.toml", LAB)
        point(elsewhere, served.url)
        refused = elsewhere.run("plan")
        assert (refused.code, refused.out) == (1, "")
        assert "its certificate is not trusted" in refused.err
        assert "Name the certificate of your own authority with `ca_file` or SSL_CERT_FILE." in refused.err
        point(elsewhere, served.url, f'ca_file = "{authority}"\n')
        elsewhere.run("apply", "--auto-approve").succeeded()
        point(elsewhere, served.url)
        elsewhere.environment["SSL_CERT_FILE"] = str(authority)
        elsewhere.run("plan", "--detailed-exitcode").succeeded()
        with runapy(served.url, ssl_ca_cert=str(authority)) as client:
            listed = client.workload_assets.environment.list_environment_assets().data["entries"]
            assert "lab" in {one["meta"]["name"] for one in listed}
        assert served.end() == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_asked_to(project: Project, number: signal.Signals) -> None:
    """Without a complaint and with 0, whoever asks; the port is free again."""
    with serving(project) as served:
        port = int(served.url.split(":")[2].split("/")[0])
        assert served.said == [
            f"runai: http://127.0.0.1:{port}/runai  (client id: embedded, client secret: embedded)\n"
        ]
        with runapy(served.url) as client:
            client.organizations.clusters.get_clusters()
            assert served.end(number) == (0, "", "")
    with socket.create_server(("127.0.0.1", port)):
        pass


SLOW = """
[[platforms.runai.faults]]
on = "GET /api/v1/clusters"
latency = 600
"""


def test_an_answer_that_is_under_way_does_not_keep_it(project: Project) -> None:
    """Ctrl-C is not waited for ten minutes."""
    project.config(SLOW)
    with serving(project) as served:
        host, port = "127.0.0.1", int(served.url.split(":")[2].split("/")[0])
        with socket.create_connection((host, port)) as connection:
            connection.sendall(b"GET /runai/api/v1/clusters HTTP/1.1\r\nhost: x\r\n\r\n")
            # The answer to a second request says that the first one has been read.
            with runapy(served.url):
                pass
            assert served.end() == (0, "", "")


SIGN_INS = {
    "runai": "client id: embedded, client secret: embedded",
    "azureml": "tenant: embedded, client id: embedded, client secret: embedded",
    "aenvironment": "EnvHub and api-service at one address; no key is asked for",
}


def test_json_says_where_and_how_it_ended(project: Project) -> None:
    """A line for each platform, with what signs in there, and the summary of every command."""
    project.write(
        "reconciler.toml",
        '[stack]\nname = "test"\n'
        + "".join(f'[platforms.{name}]\nprovider = "{name}"\nendpoint = "embedded"\n' for name in SIGN_INS),
    )
    process = project.spawn("serve", "--port", "0", "--json")
    try:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in SIGN_INS]
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    base = lines[0]["url"].removesuffix("/runai")
    assert (lines, [json.loads(line) for line in rest.splitlines()], err, process.returncode) == (
        [
            {"type": "serving", "platform": name, "url": f"{base}/{name}", "sign_in": words}
            for name, words in SIGN_INS.items()
        ],
        [{"type": "summary", "exit_code": 0}],
        "",
        0,
    )


def test_an_ipv6_address_is_printed_so_that_it_can_be_used(project: Project) -> None:
    """In brackets."""
    with serving(project, "--host", "::1") as served:
        assert served.url.startswith("http://[::1]:")
        with runapy(served.url) as client:
            assert len(client.organizations.clusters.get_clusters().data) == 2


def test_a_port_that_is_taken_is_named(project: Project) -> None:
    """With what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = project.run("serve", "--port", str(port))
    assert (result.code, result.out, result.err) == (
        1,
        "",
        f"Error: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
        "  Another program has the port, perhaps. --port 0 takes a free one.\n",
    )


def test_a_second_server_on_one_port_is_refused(project: Project) -> None:
    """However soon after the first it comes."""
    with serving(project) as served:
        port = served.url.split(":")[2].split("/")[0]
        assert project.run("serve", "--port", port).code == 1
        assert served.end() == (0, "", "")


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--tls-cert", "cert.pem"], 64, "--tls-cert and --tls-key go together"),
        (["--tls-key", "key.pem"], 64, "--tls-cert and --tls-key go together"),
        (["--tls-cert", "nowhere.pem", "--tls-key", "key.pem"], 64, "'nowhere.pem' does not exist"),
        (
            ["--tls-cert", "ca.pem", "--tls-key", "key.pem"],
            1,
            "cannot serve https with ca.pem and key.pem: they are",
        ),
        (
            ["--tls-cert", "key.pem", "--tls-key", "key.pem"],
            1,
            "cannot serve https with key.pem and key.pem: they",
        ),
        (["--host", "name.invalid"], 1, "cannot listen on name.invalid port 0: "),
        (["--host", "192.0.2.1"], 1, "cannot listen on 192.0.2.1 port 0: Cannot assign requested address"),
    ],
)
@pytest.mark.usefixtures("certificate")
def test_what_cannot_be_served_is_said(project: Project, flags: list[str], code: int, said: str) -> None:
    """Before any address is printed."""
    result = project.run("serve", "--port", "0", *flags)
    assert (result.code, result.out) == (code, "")
    assert said in result.err
    assert "internal" not in result.err


def test_a_stack_without_an_embedded_platform_has_nothing_to_serve(project: Project) -> None:
    """And is told so."""
    project.write(
        "reconciler.toml",
        '[stack]\nname = "test"\n[platforms.runai]\nprovider = "runai"\nendpoint = "https://tenant.example"\n',
    )
    result = project.run("serve")
    assert (result.code, result.err) == (
        1,
        'Error: no platform of this stack is embedded\n  Set endpoint = "embedded".\n',
    )
