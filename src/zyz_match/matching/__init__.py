"""Wing 1, the mathematics: opens no file, no database, no network."""
