"""Where rows come from: repository (a folder or the Hub) -> layout (upstream or packed) -> Row."""
