"""The gateway service: sensor messages in, predictions out, models swapped between two turns."""
