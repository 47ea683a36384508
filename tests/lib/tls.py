"""A certificate authority of the tests, and what it signs, made with the openssl program."""

import pathlib
import subprocess


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)


class Authority:
    """`ca` is the file to trust; sign() gives files of a certificate and its key."""

    def __init__(self, folder, name="tests"):
        self.folder = pathlib.Path(folder) / f"ca-{name}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj",
                f"/CN=CA of {name}", "-keyout", self.key, "-out", self.ca)

    def sign(self, name, alternatives=""):
        """alternatives: what the certificate is for, as "DNS:redis.example,IP:127.0.0.1"."""
        cert, key, request = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", key, "-out", request)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternatives}\n" if alternatives else "")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial", "-days", 2,
                "-extfile", extensions, "-out", cert)
        return cert, key
