"""Messages of a broker as rows of a recording."""
