"""Drivers of languages that the everyday run does without, since their compilers weigh more than all else here: two servers in transaction mode, which change
hands all the while between clients with settings of their own. Only when asked for: `./test live --only further`; tools/setup further installs what they need."""
import shutil

from harness import HERE, live, node_folder, on, takes
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


@on(*PREPARED)
class Compared(Driver_story):
    """The same program directly and through the pooler: what it prints is the same."""
    servers = 2

    def _alike(self, *command, **options):
        said = []
        for host, port in (self.pg.address, self.proxy.address):
            self.environment.update(PGHOST=str(host), PGPORT=str(port), URL=f"postgresql://app@{host}:{port}/app")
            said.append(self._run(*command, **options))
        self.assertEqual(*said)
        self.assertIn("well\n", said[0])

    def _with_noise(self, *command, **options):
        with Noise(self.proxy, 3):
            self._alike(*command, **options)

    def _it_asks_for_numbers(self):
        """An application's very first lastval may be told 55000 where strangers took numbers before: of this one it is known that it asks."""
        with self.proxy.client() as client:
            client.simple("SELECT lastval()")

    @takes(450)
    def prisma_of_javascript(self):
        folder = node_folder("further")
        with self.pg.admin("app") as admin:
            admin.query("SET ROLE app;" + (folder / "made.sql").read_text())
        self.addCleanup(self._forget_prisma)
        host, port = self.pg.address
        # It asks for a place even to write its client; without one it wants to fetch an engine from elsewhere.
        self.environment.update(URL=f"postgresql://app@{host}:{port}/app", CHECKPOINT_DISABLE="1", PRISMA_HIDE_UPDATE_MESSAGE="1")
        self._run("node_modules/.bin/prisma", "generate", cwd=folder, timeout=100)
        self._with_noise("node", folder / "prisma.js", timeout=100)

    def _forget_prisma(self):
        with self.pg.admin("app") as admin:
            admin.query('DROP TABLE "_CargoToShip", "Cargo", "Ship", "Harbour"; DROP TYPE "Kind"')

    @takes(450)
    def mikro_orm_of_javascript(self):
        self._with_noise("node", node_folder("further") / "mikro_orm.js", timeout=100)

    @takes(150)
    def dbix_class_of_perl(self):
        self._with_noise("perl", HERE / "perl/dbix_class.pl", timeout=100)

    @takes(150)
    def doctrine_of_php(self):
        self._it_asks_for_numbers()
        for driver in ("pdo_pgsql", "pgsql"):
            self._with_noise("php", HERE / "php/doctrine.php", driver)

    @takes(150)
    def tdbc_of_tcl(self):
        self._with_noise("tclsh8.6", HERE / "tcl/stories.tcl")

    @takes(150)
    def luasql_of_lua(self):
        self._with_noise("lua5.4", HERE / "lua/stories.lua")

    @takes(150)
    def rpostgresql_of_r(self):
        self._with_noise("Rscript", HERE / "r/stories.R")

    @takes(250)
    def postgresql_simple_of_haskell(self):
        folder = live.folder / "haskell"
        folder.mkdir(exist_ok=True)
        self._run("ghc", "-v0", "-outputdir", folder, "-o", folder / "stories", HERE / "haskell/stories.hs", timeout=150)
        self._with_noise(folder / "stories")

    @takes(250)
    def qpsql_of_qt(self):
        """It says PREPARE, EXECUTE and DEALLOCATE as texts, and lastval behind each INSERT."""
        self._it_asks_for_numbers()
        flags = self._run("pkg-config", "--cflags", "--libs", "Qt5Core", "Qt5Sql").split()
        program = live.folder / "qt"
        self._run("g++", "-std=c++17", "-fPIC", "-w", "-o", program, HERE / "qt/stories.cpp", *flags, timeout=150)
        self._with_noise(program)
