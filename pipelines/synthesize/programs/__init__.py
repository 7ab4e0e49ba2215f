"""Programs that are written by models and run before anybody believes them."""
