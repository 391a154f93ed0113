"""The proof of a bundle: it is loaded, answered and measured in a child process with limits."""
