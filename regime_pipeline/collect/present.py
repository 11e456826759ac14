"""What a connection's streams say of this moment: sound books, marks.

Belongs here: taking messages of books and marks, which books have to be asked for anew. Does not belong
here: sockets (``session``), the rule of a venue's numbers (``venue_books``), rows (``live``).
"""

from __future__ import annotations

from math import inf

from regime_pipeline.collect.book import Book, Message
from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.watch import S

ODD_SHAPES = (LookupError, TypeError, AttributeError, ValueError, OverflowError)
"""What reading a message raises that is not as its venue says."""
ASKED_EVERY_NS = 5 * S
"""A book is not asked for more often: requests are counted, and a venue in trouble needs none."""
MOST_DOUBLINGS = 6


class Present:
    """Books and marks of one connection.

    Args:
        line: the connection.

    Attributes:
        books: by topic.
        marks: the newest prices by topic and our names.
    """

    def __init__(self, line: Line) -> None:
        self.books: dict[str, Book] = {}
        self.marks: dict[str, dict[str, float]] = {}
        self._channels = {t: s.channel for t, s in line.subscriptions.items()}
        for topic, channel in self._channels.items():
            if channel.book is not None:
                self.books[topic] = Book(channel.book)
            elif channel.marks is not None:
                self.marks[topic] = {}
        self.topics = frozenset((*self.books, *self.marks))
        self._asked_ns: dict[str, int] = {}
        self._tries: dict[str, int] = {}

    def opened(self, now_ns: int) -> None:
        """A connection was opened that no other one overlaps: nothing of before goes on."""
        self.end("the connection was opened anew")
        self._asked_ns = {
            t: now_ns for t, book in self.books.items() if not book.rules.is_asked_for
        }

    def end(self, reason: str) -> None:
        """Nothing is known of this moment any more."""
        for book in self.books.values():
            book.end(reason)
        for told in self.marks.values():
            told.clear()

    def take(self, topic: str, message: Message) -> bool:
        """Takes a message; whether what it is about is sound after it."""
        channel = self._channels[topic]
        try:
            if channel.marks is not None:
                told = channel.marks(message)
                if not all(0.0 < value < inf for value in told.values()):
                    return False
                self.marks[topic].update(told)
                return True
            book = self.books[topic]
            is_sound = book.take(book.rules.change(message))
            if is_sound and self._tries:
                self._tries.pop(topic, None)
            return is_sound
        except ODD_SHAPES as error:
            if topic in self.books:
                self.books[topic].end(f"a message has another shape: {type(error).__name__}")
            return False

    def take_whole(self, topic: str, body: object) -> bool:
        """Takes the reply to a request for a whole book; whether the book is sound after it."""
        book = self.books[topic]
        try:
            return book.take_whole(book.rules.whole(body))
        except ODD_SHAPES as error:
            book.end(f"the reply has another shape: {type(error).__name__}")
            return False

    def waiting(self, now_ns: int) -> list[str]:
        """Topics whose book is to be asked for now; they count as asked."""
        found = [
            topic
            for topic, book in self.books.items()
            if not book.is_sound
            and (book.has_waiting or not book.rules.is_asked_for)
            and now_ns - self._asked_ns.get(topic, 0) >= self._wait_ns(topic)
        ]
        for topic in found:
            self._asked_ns[topic] = now_ns
            self._tries[topic] = self._tries.get(topic, 0) + 1
        return found

    def _wait_ns(self, topic: str) -> int:
        """Longer after each request in vain: OKX takes no more than 480 an hour."""
        return ASKED_EVERY_NS * 2 ** min(self._tries.get(topic, 0), MOST_DOUBLINGS)
