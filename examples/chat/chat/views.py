from django.shortcuts import render

from .models import Message


def room(request):
    """The chat page, with the last lines anybody wrote."""
    lines = list(Message.objects.order_by("-id")[:20])
    return render(request, "chat/room.html", {"lines": reversed(lines)})
