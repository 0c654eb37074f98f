"""A certificate authority of the testbed's own, and the kubeconfigs of those it vouches for. By the `openssl` command."""

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import SetupError

DAYS = "3650"
EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")  # RSA keys would take 2 s to make


@dataclass(frozen=True)
class Authority:
    """The CA in a directory; what exists already is kept, so that a second run makes nothing new."""

    directory: Path

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def key(self) -> Path:
        return self.directory / "ca.key"

    def create(self) -> None:
        """Makes the CA and the pair that signs service-account tokens (`sa.key`, `sa.pub`)."""
        if not shutil.which("openssl"):
            raise SetupError("openssl is missing: install it (Debian: apt-get install openssl)")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.certificate.exists():
            _openssl(
                "req", "-x509", *EC_KEY, "-days", DAYS, "-subj", "/CN=datums-testbed-ca",
                # Python 3.13 takes no CA certificate that does not say what it is for.
                "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout", self.key, "-out", self.certificate,
            )  # fmt: skip
        public = self.directory / "sa.pub"
        if not public.exists():
            private = self.directory / "sa.key"
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private)
            _openssl("pkey", "-in", private, "-pubout", "-out", public)

    def issue(self, name: str, common_name: str, organization: str = "", names: Sequence[str] = ()) -> None:
        """Makes `<name>.crt` and `<name>.key`. `names` are subject alternative names as openssl writes them (`IP:…`, `DNS:…`)."""
        certificate = self.directory / f"{name}.crt"
        if certificate.exists():
            return
        key, request, extensions = (self.directory / f"{name}.{suffix}" for suffix in ("key", "csr", "ext"))
        subject = (f"/O={organization}" if organization else "") + f"/CN={common_name}"
        _openssl("req", *EC_KEY, "-subj", subject, "-keyout", key, "-out", request)
        alternative = f"subjectAltName={','.join(names)}\n" if names else ""
        identifiers = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        extensions.write_text(f"extendedKeyUsage=clientAuth,serverAuth\n{identifiers}{alternative}")
        made = certificate.with_suffix(".new")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
            "-days", DAYS, "-extfile", extensions, "-out", made,
        )  # fmt: skip
        made.rename(certificate)

    def kubeconfig(self, name: str, server: str) -> str:
        """A kubeconfig (JSON is YAML) for the bearer of `<name>.crt`; complete in itself, so that it can be copied anywhere."""
        user = {
            "client-certificate-data": _encoded(self.directory / f"{name}.crt"),
            "client-key-data": _encoded(self.directory / f"{name}.key"),
        }
        cluster = {"server": server, "certificate-authority-data": _encoded(self.certificate)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "datums-testbed", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "datums-testbed", "context": {"cluster": "datums-testbed", "user": name}}],
            "current-context": "datums-testbed",
        }
        return json.dumps(document, indent=1) + "\n"


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, if its content differs from `text`."""
    if path.exists() and path.read_text() == text:
        return
    path.touch(mode=0o600)
    path.write_text(text)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"openssl {arguments[0]} failed: {done.stderr.strip()[-400:]}")
