"""The `domain` labels: topic and format of a text."""
