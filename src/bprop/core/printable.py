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
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("ascii", "backslashreplace").decode() if c > "\x7f" else f"\\x{ord(c):02x}"
        for c in text
    )
