"""What tests and benchmarks stand on: a real S3 server, a faulty one, a cluster on this machine."""
