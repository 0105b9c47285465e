"""What daphne serves: pages over HTTP, the chat over websockets."""
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lfg.settings")

from django.core.asgi import get_asgi_application  # noqa: E402

# Before the consumers are imported: they need the models, and those need Django set up.
pages = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from chat.consumers import ChatConsumer  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": URLRouter([path("ws/chat/", ChatConsumer.as_asgi())]),
    }
)
