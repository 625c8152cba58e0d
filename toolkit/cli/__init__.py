"""The command `unifiedvisual`: app.py wires, each command has a file of its own and imports what it needs when it runs."""
