"""Certificates for tests, made by the openssl command: an authority and those whom it signs for."""
import pathlib
import subprocess

from harness import give_away

FOREVER = ("20200101000000Z", "20491231000000Z")
LONG_AGO = ("20200101000000Z", "20201231000000Z")

CONFIG = """[ca]
default_ca = here
[here]
database = {folder}/{name}.index
new_certs_dir = {folder}
serial = {folder}/{name}.serial
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = nobody
[nobody]
"""


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    if done.returncode:
        raise AssertionError(f"openssl {arguments[0]}: {done.stdout.decode()}")


class Authority:
    """`folder`/NAME.crt and .key of the authority and of each that it signs for; whoever runs PostgreSQL and the pooler can read them."""

    def __init__(self, folder, name="authority"):
        self.folder, self.name = pathlib.Path(folder), name
        self.folder.chmod(0o755)
        give_away(self.folder)
        self.config = self.folder / f"{name}.cnf"
        self.config.write_text(CONFIG.format(folder=folder, name=name))
        (self.folder / f"{name}.index").write_text("")
        (self.folder / f"{name}.serial").write_text("1000\n")
        openssl("req", "-x509", *self._new_key(name), "-config", self.config, "-subj", f"/CN={name}", "-days", 100,
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.folder / f"{name}.crt")
        self._give(name)

    def revoke(self, *names, seconds=None):
        """The path of a list of what this authority has revoked: these, and those before."""
        openssl_here = ("ca", "-config", self.config, "-cert", self.certificate, "-keyfile", self.folder / f"{self.name}.key")
        for name in names:
            openssl(*openssl_here, "-revoke", self.folder / f"{name}.crt")
        path = self.folder / f"{self.name}.crl"
        openssl(*openssl_here, "-gencrl", *(("-crlsec", seconds) if seconds else ("-crldays", 30)), "-out", path)
        give_away(path)
        return path

    @property
    def certificate(self):
        return self.folder / f"{self.name}.crt"

    def _new_key(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.folder / f"{name}.key")

    def _give(self, name):
        (self.folder / f"{name}.key").chmod(0o600)
        for end in (".key", ".crt"):
            give_away(self.folder / (name + end))

    def sign(self, name, common_name=None, alternatives=None, time=FOREVER):
        """The paths of a certificate and its key."""
        request = self.folder / f"{name}.csr"
        extension = ("-addext", f"subjectAltName={alternatives}") if alternatives else ()
        openssl("req", *self._new_key(name), "-config", self.config, "-new", "-subj", f"/CN={common_name or name}", *extension,
                "-out", request)
        openssl("ca", "-batch", "-config", self.config, "-cert", self.certificate, "-keyfile", self.folder / f"{self.name}.key",
                "-in", request, "-notext", "-startdate", time[0], "-enddate", time[1], "-out", self.folder / f"{name}.crt")
        self._give(name)
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"
