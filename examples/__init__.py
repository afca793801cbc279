"""Short scripts that go the whole way: a file, a model, a server, a reply."""
