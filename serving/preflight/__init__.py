"""What can be known of a program before it serves: files, secrets, kept bundles, the registry."""
