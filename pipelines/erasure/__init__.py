"""Physical erasure of what was forgotten: the one rewrite of committed files that is permitted."""
