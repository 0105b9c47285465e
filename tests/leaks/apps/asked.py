"""The arguments that every Python application here takes, and the connection string made of them."""
import argparse


def asked(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", default="app")
    parser.add_argument("--user", default="app")
    parser.add_argument("--name", required=True, help="its application_name")
    parser.add_argument("--every", type=float, default=1, help="seconds between two jobs, requests or ticks")
    parser.add_argument("--cured", action="store_true", help="with the one line that cures it")
    options = parser.parse_args()
    options.dsn = (f"host={options.host} port={options.port} dbname={options.database} user={options.user}"
                   f" application_name='{options.name}' connect_timeout=10 sslmode=disable")
    options.sqlalchemy = f"postgresql+asyncpg://{options.user}@{options.host}:{options.port}/{options.database}"
    return options
