"""Runs as they train, on a page of their own (`python app.py --run`), read from the files that the trainer writes."""
