"""Personal data and secrets as spans: e-mail, IP, telephone, payment card, key."""
