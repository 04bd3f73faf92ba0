"""The resources `CodeEnvironment` and `CodeSession`: models, names, labels, and the client to reach them."""
