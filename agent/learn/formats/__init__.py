"""Recognises payload formats, and makes an input of the topics that carry one."""
