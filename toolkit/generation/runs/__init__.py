"""One run: plans, the engine that makes samples, finalize, retry, audit."""
