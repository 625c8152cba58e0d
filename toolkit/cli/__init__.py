"""The command `unifiedvisual`: app.py wires, each command has its own file and imports what it needs when it runs."""
