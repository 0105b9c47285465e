"""The websocket side of the chat, written the way the incident's was.

A message is answered in a worker thread, because the ORM and the AI's client
both block. Django keeps one database connection per thread and, with
CONN_MAX_AGE, keeps it for ten minutes; asyncio's default executor keeps its
threads for ever. So a process ends up with as many connections as it has ever
had messages in the air at once, up to ASGI_THREADS, and nothing in the
application holds a reference with which it could close them.

With CHAT_MENDED=1 it is written as it should have been: only the AI waits in a
thread of the executor, and that thread never touches the database; what does goes
through database_sync_to_async, which has one thread per process and closes in a
finally what is too old, with CONN_MAX_AGE = 0 every connection. (settings.py sets that.)
"""
import asyncio
import json
import logging
import time

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from .models import Message

log = logging.getLogger(__name__)


class ChatConsumer(AsyncWebsocketConsumer):
    """Takes {"type": "message", "conversation": ..., "text": ...} and answers with the AI's reply.

    {"type": "setting", "name": ...} asks what PostgreSQL says about one of its settings.
    """

    async def receive(self, text_data=None, bytes_data=None):
        request = json.loads(text_data)
        work = {"message": self.answer, "setting": self.show}[request["type"]]
        loop = asyncio.get_running_loop()
        try:
            if settings.CHAT_MENDED:
                reply = await self.mended(request)
            else:
                reply = await loop.run_in_executor(None, work, request)
        except DatabaseError as error:
            log.error("%s", error)
            reply = {"type": "error", "text": str(error)}
        await self.send(text_data=json.dumps(reply))

    def answer(self, request):
        if not settings.CHAT_ATOMIC:
            return self.converse(request)
        with transaction.atomic():
            return self.converse(request)

    def converse(self, request):
        history = self.listen(request)
        return self.reply(request, history, think(history))

    async def mended(self, request):
        if request["type"] == "setting":
            return await database_sync_to_async(self.show)(request)
        history = await database_sync_to_async(self.listen)(request)
        text = await asyncio.get_running_loop().run_in_executor(None, think, history)
        return await database_sync_to_async(self.reply)(request, history, text)

    def listen(self, request):
        conversation = request["conversation"]
        Message.objects.create(conversation=conversation, author=Message.PERSON, text=request["text"])
        return list(Message.objects.filter(conversation=conversation).values_list("author", "text"))

    def reply(self, request, history, text):
        conversation = request["conversation"]
        Message.objects.create(conversation=conversation, author=Message.AI, text=text)
        return {"type": "reply", "conversation": conversation, "text": text, "lines": len(history) + 1}

    def show(self, request):
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting(%s)", [request["name"]])
            return {"type": "setting", "name": request["name"], "value": cursor.fetchone()[0]}


def think(history):
    """Stands for the call to the AI: half a second in which this thread's connection does nothing."""
    time.sleep(settings.CHAT_THINK_SECONDS)
    question = history[-1][1]
    return f"You said {question!r}, and {len(history) - 1} lines before it."
