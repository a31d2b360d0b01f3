"""The shelves: stores, files and artifacts; no mathematics."""
