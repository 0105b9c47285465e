"""Drivers of languages that the everyday run does without, since their compilers weigh more than all else here: two servers in transaction mode, which change
hands all the while between clients with settings of their own. Only when asked for: `./test live --only further`; tools/setup further installs what they need."""
import shutil

from harness import HERE, live, on, takes
from test_drivers import PREPARED, Driver_story
from test_transparency import Noise


@on(*PREPARED)
class Further(Driver_story):
    servers = 2

    def setUp(self):
        super().setUp()
        noise = Noise(self.proxy, 3)
        noise.__enter__()
        self.addCleanup(noise.__exit__, None, None)

    @takes(400)
    def tokio_postgres_of_rust(self):
        folder = live.folder / "rust"
        shutil.copytree(HERE / "rust", folder, dirs_exist_ok=True)
        self._run("cargo", "build", "--quiet", "--offline", "--config", 'source.crates-io.replace-with="debian"',
                  "--config", 'source.debian.directory="/usr/share/cargo/registry"', cwd=folder, timeout=300)
        self._told(self._run(folder / "target/debug/stories", timeout=120))

    @takes(150)
    def p1_pgsql_of_erlang(self):
        self._told(self._run("escript", HERE / "erlang/stories.escript", timeout=120))

    @takes(250)
    def postmodern_of_lisp(self):
        self._told(self._run("sbcl", "--script", HERE / "lisp/stories.lisp", timeout=200))

    @takes(200)
    def libpqxx_of_cpp(self):
        program = live.folder / "pqxx"
        self._run("g++", "-std=c++17", "-w", "-o", program, HERE / "cpp/stories.cpp", "-lpqxx", "-lpq", timeout=120)
        self._told(self._run(program, timeout=60))
