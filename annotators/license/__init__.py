"""Under which open licence a page says that it stands."""
