"""The network as it is trained: its graph, its losses, folding into what ships, and its answers."""
