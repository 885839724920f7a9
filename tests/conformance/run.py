#!/usr/bin/env python3
"""Runs plans of the OpenID Foundation's conformance suite against a server that this starts.

    python3 tests/conformance/run.py [--suite https://localhost:8443] [--binary target/release/chancery]
                                     [--table FILE] [PLAN …]

The suite runs already (docs/conformance.md tells how). The server runs on https://localhost:9443 with a
certificate of its own making and a new SQLite database; it may connect to the suite, which is on loopback.
Plans are named below; without names all are run. The table of modules and results goes to standard output.
"""

import argparse
import base64
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

from clients import KEYS, declared
from plans import PLANS, configuration

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ADMIN = "http://127.0.0.1:9441"
UNCHECKED = ssl._create_unverified_context()


def signing_key(name):
    """A private JWK for ES256, of openssl's making."""
    options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-outform", "DER"]
    # RFC 5915 inside of PKCS #8: the scalar follows its tag and length, the point is at the end.
    der = subprocess.run(["openssl", "genpkey", *options], check=True, capture_output=True).stdout
    start = der.index(bytes.fromhex("02010104 20")) + 5
    members = {"d": der[start : start + 32], "x": der[-64:-32], "y": der[-32:]}
    encoded = {name: base64.urlsafe_b64encode(value).rstrip(b"=").decode() for name, value in members.items()}
    return {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": name} | encoded


def client_certificates(directory):
    """Certificates for the suite to show, of an authority that vouches for them, in the form that it wants."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=directory, stderr=subprocess.DEVNULL)

    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(*new, "-x509", "-days", "30", "-subj", "/CN=Client CA", "-keyout", "ca.key", "-out", "clients.pem")
    (directory / "client.ext").write_text("extendedKeyUsage=clientAuth\n")
    shown = {}
    for member, name in zip(("mtls", "mtls2"), KEYS):
        openssl(*new, "-subj", f"/O=Conformance/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ["-CA", "clients.pem", "-CAkey", "ca.key", "-days", "30", "-extfile", "client.ext"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
        text = lambda file: (directory / file).read_text()
        shown[member] = {"cert": text(f"{name}.pem"), "key": text(f"{name}.key"), "ca": text("clients.pem")}
    return shown


def public(key):
    return {name: value for name, value in key.items() if name != "d"}


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

    def module(self, plan, module, rotate):
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
                if "rotate-keys" in module["testModule"]:
                    rotate()
                self.call("POST", f"runner/{test}")
            if info.get("status") in ("FINISHED", "INTERRUPTED") or time.monotonic() - began > 120:
                return test, info
            time.sleep(0.5)

    def notes(self, test):
        log = self.call("GET", f"log/{test}")
        bad = [entry for entry in log if entry.get("result") in ("FAILURE", "WARNING")]
        return [f"{entry['result']}: {entry.get('src')}: {entry.get('msg')}" for entry in bad]


def started(binary, directory, suite, extra, keys):
    """The command that asks the server things, and the server, ready, with a certificate of its own."""
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
    bank = (HERE / "bank.toml").read_text() + declared()
    (directory / "bank.toml").write_text(bank.replace("{suite}", suite))
    for key in keys:
        (directory / f"{key['kid']}.jwks").write_text(json.dumps({"keys": [public(key)]}))
    chancery = [str(pathlib.Path(binary).resolve()), "--config", str(directory / "chancery.toml")]
    for command in (["migrate"], ["apply", "--yes", "-f", str(directory / "bank.toml")]):
        subprocess.run(chancery + command, check=True, stdout=subprocess.DEVNULL, cwd=directory)
    server = subprocess.Popen(chancery + ["serve"], cwd=directory, stderr=(directory / "server.log").open("w"))
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{ADMIN}/health/ready", timeout=5)
            return chancery, server
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
    keys = [signing_key(name) for name in KEYS]
    bad = 0
    with tempfile.TemporaryDirectory() as directory:
        certificates = client_certificates(pathlib.Path(directory))
        chancery, server = started(options.binary, pathlib.Path(directory), options.suite, extra, keys)

        def rotate():
            subprocess.run(chancery + ["keys", "rotate", "--yes"], check=True, stdout=subprocess.DEVNULL, cwd=directory)
            time.sleep(2)

        try:
            for name in options.plans or PLANS:
                plan, variant = PLANS[name]
                identifier, modules = suite.plan(plan, variant, configuration(name, keys, certificates))
                print(f"\n## {name}: `{plan}` {json.dumps(variant)}\n\n| module | result | notes |\n|---|---|---|")
                for module in modules:
                    if options.only and not re.search(options.only, module["testModule"]):
                        continue
                    test, info = suite.module(identifier, module, rotate)
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
