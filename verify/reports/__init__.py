"""Reports of proofs for whoever asked: diagnostics with a place, text, Markdown, plain data."""
