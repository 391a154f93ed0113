"""Who may ask what: tokens, sessions of the page, origins of browsers, and TLS."""
