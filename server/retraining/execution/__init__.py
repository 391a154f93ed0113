"""What is done with consent: commands in processes of their own, and what they leave behind."""
