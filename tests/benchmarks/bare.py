"""As little as a route can do, for the load bench to compare with."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/bare")
def route() -> dict[str, str]:
    """A word."""
    return {"status": "ok"}
