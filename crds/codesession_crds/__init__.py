"""The resources `CodeEnvironment` and `CodeSession`: typed models, names, labels, and the client to reach them."""
