from django.db import models


class Message(models.Model):
    """One line of a conversation, by the person or by the AI."""

    PERSON = "person"
    AI = "ai"

    conversation = models.CharField(max_length=64, db_index=True)
    author = models.CharField(max_length=8, choices=[(PERSON, "person"), (AI, "AI")])
    text = models.TextField()
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return f"{self.author}: {self.text[:40]}"
