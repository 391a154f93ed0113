"""What a program proves itself with to its broker, read from the files that the settings name."""

import ssl

from serving.mqtt.settings import Broker


def password(broker: Broker) -> str | None:
    """The password; None where no file with one is named.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not UTF-8.
    """
    return broker.password_file.read_text().strip() if broker.password_file else None


def tls_context(broker: Broker) -> ssl.SSLContext:
    """Whom to trust, and the client certificate where one is named.

    Raises:
        OSError: a file cannot be read, or is not what it should be (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=broker.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    if broker.cert_file:
        # Without a password OpenSSL asks the terminal for that of an encrypted key.
        context.load_cert_chain(broker.cert_file, broker.key_file, password="")
    return context
