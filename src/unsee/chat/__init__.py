"""Models behind OpenAI-compatible servers: asked several questions at a time, their replies kept by content."""

from unsee.chat.cache import ReplyCache
from unsee.chat.client import MAX_TOKENS, TEMPERATURE, ChatClient, ChatError, Message, Reply, Role

__all__ = ["MAX_TOKENS", "TEMPERATURE", "ChatClient", "ChatError", "Message", "Reply", "ReplyCache", "Role"]
