"""The programs that are measured side by side."""
