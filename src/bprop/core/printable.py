"""Text that comes from elsewhere (a file, a name of the user's) as it may be shown: it moves no cursor and hides nothing."""


def printable(text: str) -> str:
    """Return ``text`` with every character that controls a terminal, turns the direction of writing or cannot be seen escaped.

    Letters, signs and blanks stay. Control characters (C0 with the line feed, DEL, C1), marks of direction, other marks without
    width, separators of lines, half surrogates and what Unicode does not assign become ``\\x1b``, ``\\u202e`` and the like.

    **Source:** Unicode Standard, general categories; Boucher & Anderson (2021), Trojan source.

    >>> from bprop.core.printable import printable
    >>> print(printable("a\\x1b[2J\\u202eb ∂"))
    a\\x1b[2J\\u202eb ∂
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def printable_lines(text: str) -> str:
    """Return ``text`` as `printable` does, but with its line feeds: for messages that have lines of their own."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
