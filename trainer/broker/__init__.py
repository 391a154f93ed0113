"""What goes over MQTT between people's commands and a plant's broker."""
