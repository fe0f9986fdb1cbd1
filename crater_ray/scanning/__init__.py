"""The scan: loaders and scorers kept busy, block by block, shard by shard."""
