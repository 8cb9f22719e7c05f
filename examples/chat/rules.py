"""What the chat refuses, and the words of it."""

import unicodedata

import penstock
from messages import ChatJoinRequest, Message, SubscribeRequest

NAME_MAX = 40
CONTENT_MAX = 2_000
ROOMS_MAX = 1_000


def wrong_name(asked: Message | SubscribeRequest) -> str:
    """Say why this cannot be the name of a user or room; an empty text when it can."""
    for kind, name in (("user", asked.user), ("room", asked.room)):
        if not name.strip() or len(name) > NAME_MAX or not name.isprintable():
            return f"the name of a {kind} has 1 to {NAME_MAX} characters"
    return ""


def wrong_message(message: Message, joined: ChatJoinRequest | None = None) -> str:
    """Say why a message is not taken; an empty text when it is."""
    if joined and (message.user, message.room) != (joined.user, joined.room):
        return f"you are {joined.user} in {joined.room} here"
    if not message.content.strip() or len(message.content) > CONTENT_MAX:
        return f"a message has 1 to {CONTENT_MAX} characters"
    if any(unicodedata.category(each) == "Cc" and each not in "\n\t" for each in message.content):
        return "a message has no control characters"  # a terminal would obey them
    return wrong_name(message)


def named(request: SubscribeRequest) -> SubscribeRequest:
    if wrong := wrong_name(request):
        raise penstock.InvalidArgument(wrong)
    return request


def checked(message: Message) -> Message:
    if wrong := wrong_message(message):
        raise penstock.InvalidArgument(wrong)
    return message
