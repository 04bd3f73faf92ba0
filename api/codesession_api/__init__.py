"""The stateless front: LibreChat's calls in, work inside sandboxes and objects in S3 out."""
