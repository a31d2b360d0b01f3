"""The routes, one module a noun; each is call, convert, answer."""
