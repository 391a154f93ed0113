"""A file of tokens, as the operator of a server writes it."""

from pathlib import Path

from server.access.tokens import made


def make_tokens(path: Path, *names: str) -> dict[str, str]:
    """Write a file with a token for each name, which has the scopes of this name."""
    tokens, lines = {}, []
    for name in names:
        tokens[name], line = made(name.replace(",", "-"), name.split(","))
        lines.append(line)
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return tokens
