"""Settings of the chat application.

The database part is the one of the incident: CONN_MAX_AGE is ten minutes. Where
the database is comes from the environment; nothing here knows whether PostgreSQL
or a pooler answers at that address.
"""
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SECRET_KEY", "only-for-the-example")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "channels",
    "chat",
]

MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
]

ROOT_URLCONF = "lfg.urls"
ASGI_APPLICATION = "lfg.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
    },
]

# The same application mended: see chat/consumers.py.
CHAT_MENDED = os.environ.get("CHAT_MENDED", "0") == "1"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("DATABASE_HOST", "127.0.0.1"),
        "PORT": os.environ.get("DATABASE_PORT", "5432"),
        "NAME": os.environ.get("DATABASE_NAME", "lfg_prod"),
        "USER": os.environ.get("DATABASE_USER", "lfg"),
        "PASSWORD": os.environ.get("DATABASE_PASSWORD", ""),
        "CONN_MAX_AGE": 600,
        "OPTIONS": {},
    }
}

if CHAT_MENDED:
    DATABASES["default"]["CONN_MAX_AGE"] = 0

# The write-up's own remedies: a connect_timeout of 10 and "-c statement_timeout=30000".
if os.environ.get("DATABASE_CONNECT_TIMEOUT"):
    DATABASES["default"]["OPTIONS"]["connect_timeout"] = int(os.environ["DATABASE_CONNECT_TIMEOUT"])
if os.environ.get("DATABASE_OPTIONS"):
    DATABASES["default"]["OPTIONS"]["options"] = os.environ["DATABASE_OPTIONS"]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# How long the AI thinks, and whether the application keeps a transaction open meanwhile.
CHAT_THINK_SECONDS = float(os.environ.get("CHAT_THINK_SECONDS", "0.5"))
CHAT_ATOMIC = os.environ.get("CHAT_ATOMIC", "0") == "1"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("LOG_LEVEL", "WARNING")},
}
