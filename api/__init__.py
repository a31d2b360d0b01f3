"""The HTTP door: a FastAPI application over `zyz_match.service`."""
