#!/usr/bin/env python3
"""Runs plans of the OpenID Foundation's conformance suite against a server that this starts.

    python3 tests/conformance/run.py [--suite https://localhost:8443] [--binary target/release/chancery]
                                     [--table FILE] [PLAN …]

The suite runs already (docs/conformance.md tells how). The server runs on https://localhost:9443 with a
certificate of its own making and a new SQLite database; it may connect to the suite, which is on loopback.
Plans are named below; without names all are run. The table of modules and results goes to standard output.
"""

import argparse
import json
import pathlib
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ISSUER = "https://localhost:9443"
ADMIN = "http://127.0.0.1:9441"
ALIAS = "chancery"
UNCHECKED = ssl._create_unverified_context()

# Name: plan, variant, further members of its configuration.
PLANS = {
    "config": ("oidcc-config-certification-test-plan", {}),
    "basic-static": (
        "oidcc-basic-certification-test-plan",
        {"server_metadata": "discovery", "client_registration": "static_client"},
    ),
    "basic-dynamic": (
        "oidcc-basic-certification-test-plan",
        {"server_metadata": "discovery", "client_registration": "dynamic_client"},
    ),
    "logout": (
        "oidcc-rp-initiated-logout-certification-test-plan",
        {"response_type": "code", "client_registration": "dynamic_client"},
    ),
    "logout-static": (
        "oidcc-rp-initiated-logout-certification-test-plan",
        {"response_type": "code", "client_registration": "static_client"},
    ),
    "hybrid": (
        "oidcc-hybrid-certification-test-plan",
        {"server_metadata": "discovery", "client_registration": "dynamic_client"},
    ),
    "formpost": (
        "oidcc-formpost-basic-certification-test-plan",
        {"server_metadata": "discovery", "client_registration": "dynamic_client"},
    ),
    "dynamic": ("oidcc-dynamic-certification-test-plan", {"response_type": "code"}),
    "backchannel": (
        "oidcc-backchannel-rp-initiated-logout-certification-test-plan",
        {"response_type": "code", "client_registration": "dynamic_client"},
    ),
    "frontchannel": (
        "oidcc-frontchannel-rp-initiated-logout-certification-test-plan",
        {"response_type": "code", "client_registration": "dynamic_client"},
    ),
    "session": (
        "oidcc-session-management-certification-test-plan",
        {"response_type": "code", "client_registration": "dynamic_client"},
    ),
}


def tasks(*, sees=None):
    """The pages of a sign-in, for the browser that the suite brings; `sees` must be on the first one."""
    look = [["wait", "xpath", "//*", 10, sees, "update-image-placeholder-optional"]] if sees else []
    return [
        {
            "task": "Sign in",
            "optional": True,
            "match": f"{ISSUER}/interaction/*",
            "commands": look
            + [
                ["text", "id", "username", "alice", "optional"],
                ["text", "id", "password", "harbour-lantern-violet", "optional"],
                ["click", "id", "login-submit", "optional"],
            ],
        },
        {
            "task": "Consent",
            "optional": True,
            "match": f"{ISSUER}/interaction/*",
            "commands": [["click", "id", "consent-allow"]],
        },
        {
            "task": "Verify complete",
            "match": "*/test/*/callback*",
            "commands": [["wait", "id", "submission_complete", 10]],
        },
    ]


def flow(*, sees=None):
    return {"match": f"{ISSUER}/authorize*", "tasks": tasks(sees=sees)}


def page(match, text):
    """A page of the server's own, on which this text must stand."""
    look = ["wait", "xpath", "//*", 10, text, "update-image-placeholder"]
    return {"match": f"{ISSUER}/{match}*", "tasks": [{"task": "See the page", "match": f"{ISSUER}/*", "commands": [look]}]}


SIGN_OUT = {
    "match": f"{ISSUER}/end-session*",
    "tasks": [
        {
            "task": "Sign out",
            "optional": True,
            "match": f"{ISSUER}/end-session*",
            "commands": [["click", "id", "sign-out", "optional"]],
        },
        {"task": "Verify complete", "match": "*/test/*/post*", "optional": True},
    ],
}
ASKED_AND_OUT = {
    "match": f"{ISSUER}/end-session*",
    "tasks": [
        {"task": "Sign out", "match": f"{ISSUER}/end-session*", "commands": [["click", "id", "sign-out"]]},
        {
            "task": "See the page",
            "match": f"{ISSUER}/*",
            "commands": [["wait", "xpath", "//*", 10, "signed out", "update-image-placeholder"]],
        },
    ],
}
WRONG_REQUEST = {"browser": [page("authorize", "This link does not work")]}
# Whoever can't be told apart from a stranger only makes the server ask the person (LO-01, LO-02).
ONLY_A_PAGE = {"browser": [flow(), page("end-session", "Sign out")]}
SIGNED_OUT = {"browser": [flow(), page("end-session", "signed out")]}
ASKS = {"browser": [flow(), ASKED_AND_OUT]}


def configuration():
    client = lambda name, secret: {"client_id": name, "client_secret": secret}
    return {
        "alias": ALIAS,
        "description": "Chancery",
        "server": {"discoveryUrl": f"{ISSUER}/.well-known/openid-configuration"},
        "client": client("basic", "basic-secret-0123456789abcdefghijkl"),
        "client2": client("second", "second-secret-0123456789abcdefghijk"),
        "client_secret_post": client("post", "post-secret-0123456789abcdefghijklm"),
        "browser": [flow(), SIGN_OUT],
        "override": {
            "oidcc-prompt-login": {"browser": [flow(sees="Sign in")]},
            "oidcc-max-age-1": {"browser": [flow(sees="Sign in")]},
            "oidcc-ensure-registered-redirect-uri": WRONG_REQUEST,
            "oidcc-ensure-redirect-uri-in-authorization-request": WRONG_REQUEST,
            "oidcc-redirect-uri-query-added": WRONG_REQUEST,
            "oidcc-redirect-uri-query-mismatch": WRONG_REQUEST,
            "oidcc-registration-logo-uri": {"browser": [page("authorize", "Sign in")]},
            "oidcc-registration-policy-uri": {"browser": [page("authorize", "Sign in")]},
            "oidcc-registration-tos-uri": {"browser": [page("authorize", "Sign in")]},
            "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-modified-id-token-hint": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-bad-id-token-hint": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-no-id-token-hint": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-no-params": ASKS,
            "oidcc-rp-initiated-logout-no-post-logout-redirect-uri": SIGNED_OUT,
            "oidcc-rp-initiated-logout-only-state": ASKS,
        },
    }


class Suite:
    def __init__(self, base):
        self.base = base

    def call(self, method, path, parameters=None, body=None):
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        request = urllib.request.Request(f"{self.base}/api/{path}{query}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, context=UNCHECKED, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: {error.code} {error.read().decode()[:500]}")

    def plan(self, name, variant, configuration):
        body = self.call("POST", "plan", {"planName": name, "variant": json.dumps(variant)}, configuration)
        return body["id"], body["modules"]

    def module(self, plan, module):
        parameters = {"test": module["testModule"], "plan": plan}
        if module.get("variant"):
            parameters["variant"] = json.dumps(module["variant"])
        test = self.call("POST", "runner", parameters)["id"]
        began = time.monotonic()
        started = False
        while True:
            info = self.call("GET", f"info/{test}")
            if info.get("status") == "CONFIGURED" and not started:
                started = True
                self.call("POST", f"runner/{test}")
            if info.get("status") in ("FINISHED", "INTERRUPTED") or time.monotonic() - began > 120:
                return test, info
            time.sleep(0.5)

    def notes(self, test):
        log = self.call("GET", f"log/{test}")
        bad = [entry for entry in log if entry.get("result") in ("FAILURE", "WARNING")]
        return [f"{entry['result']}: {entry.get('src')}: {entry.get('msg')}" for entry in bad]


def started(binary, directory, suite, extra):
    """The server, ready; and a certificate, so that everything is https."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", *subject]
        + ["-keyout", directory / "key.pem", "-out", directory / "certificate.pem"],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    for secret in ("sealing", "pepper"):
        value = subprocess.run(["openssl", "rand", "-base64", "32"], check=True, capture_output=True).stdout
        (directory / secret).write_bytes(value)
        (directory / secret).chmod(0o600)
    template = (HERE / "chancery.toml").read_text()
    host = urllib.parse.urlsplit(suite)
    template = template.replace("{suite_host}", host.hostname).replace("{suite_port}", str(host.port or 443))
    (directory / "chancery.toml").write_text(template + extra)
    certificate = ssl.get_server_certificate((host.hostname, host.port or 443))
    (directory / "suite.pem").write_text(certificate)
    (directory / "bank.toml").write_text((HERE / "bank.toml").read_text().replace("{suite}", suite))
    chancery = [str(pathlib.Path(binary).resolve()), "--config", str(directory / "chancery.toml")]
    for command in (["migrate"], ["apply", "--yes", "-f", str(directory / "bank.toml")]):
        subprocess.run(chancery + command, check=True, stdout=subprocess.DEVNULL, cwd=directory)
    server = subprocess.Popen(chancery + ["serve"], cwd=directory, stderr=(directory / "server.log").open("w"))
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{ADMIN}/health/ready", timeout=5)
            return server
        except OSError:
            time.sleep(0.1)
    server.terminate()
    sys.exit(f"the server is not ready:\n{(directory / 'server.log').read_text()}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--suite", default="https://localhost:8443")
    arguments.add_argument("--binary", default=str(ROOT / "target/release/chancery"))
    arguments.add_argument("--only", help="a regular expression for the names of modules")
    arguments.add_argument("--extra", default="", help="a file with further settings of the server")
    arguments.add_argument("plans", nargs="*", metavar="PLAN", help=f"of {', '.join(PLANS)}")
    options = arguments.parse_args()
    suite = Suite(options.suite)
    extra = pathlib.Path(options.extra).read_text() if options.extra else ""
    bad = 0
    with tempfile.TemporaryDirectory() as directory:
        server = started(options.binary, pathlib.Path(directory), options.suite, extra)
        try:
            for name in options.plans or PLANS:
                plan, variant = PLANS[name]
                identifier, modules = suite.plan(plan, variant, configuration())
                print(f"\n## {name}: `{plan}` {json.dumps(variant)}\n\n| module | result | notes |\n|---|---|---|")
                for module in modules:
                    if options.only and not re.search(options.only, module["testModule"]):
                        continue
                    test, info = suite.module(identifier, module)
                    result = info.get("result") or info.get("status")
                    if result in ("FAILED", "WARNING") or info.get("status") != "FINISHED":
                        bad += 1
                        result += f" ({info.get('status')})"
                    notes = "<br>".join(suite.notes(test)).replace("|", "\\|")
                    print(f"| {module['testModule']} | {result} | {notes} |", flush=True)
        finally:
            server.terminate()
            server.wait()
    print(f"\n{bad} modules FAILED, WARNING or unfinished", file=sys.stderr)
    sys.exit(1 if bad else 0)


main()
