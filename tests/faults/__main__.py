"""The fault proxy as a program: `python -m tests.faults --upstream http://127.0.0.1:8333 --port 9000 --script faults.json`.

The script is JSON: {"seed": 1, "profile": "ovh", "faults": [{"do": "status", "status": 503, "number": 3}, …]}; the words are those
of `script.Fault` and `profiles.Profile` (which may also be given as an object in place of a name). What is done to which request
goes to standard output, a line each.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
from pathlib import Path

import msgspec

from tests.faults.certificates import Certificates
from tests.faults.profiles import PROFILES, Profile
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Script


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """A script's file."""

    faults: list[Fault] = []
    seed: int = 0
    profile: str | Profile = "plain"


def main() -> int:
    """Runs until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="An HTTP proxy that does to requests what a script says."
    )
    parser.add_argument("--upstream", required=True, help="the real server, http://host:port")
    parser.add_argument("--port", type=int, default=0, help="to listen on at 127.0.0.1; any by default")
    parser.add_argument("--script", type=Path, help="JSON: what goes wrong, and when")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="a provider's peculiarities")
    parser.add_argument(
        "--secrets", type=Path, help='JSON: {"<access key id>": "<secret access key>"}, for profiles that change signed headers'
    )
    parser.add_argument("--tls", type=Path, metavar="DIR", help="serve https, and write the authority to trust to DIR/ca.pem")
    options = parser.parse_args()
    document = msgspec.json.decode(options.script.read_bytes(), type=Document) if options.script else Document()
    profile = options.profile or document.profile
    with tempfile.TemporaryDirectory() as private:
        certificates = None
        if options.tls:
            certificates = Certificates(Path(private))
            options.tls.mkdir(parents=True, exist_ok=True)
            (options.tls / "ca.pem").write_text(certificates.ca_bundle)
        proxy = FaultProxy(
            options.upstream,
            Script(document.faults, document.seed),
            profile=PROFILES[profile] if isinstance(profile, str) else profile,
            secrets=json.loads(options.secrets.read_text()) if options.secrets else None,
            certificates=certificates,
            port=options.port,
        )
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        with proxy:
            print(proxy.endpoint, flush=True)
            told = 0
            while not ended.wait(0.1):
                for hit in proxy.hits[told:]:
                    print(hit, flush=True)
                    told += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
