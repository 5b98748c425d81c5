"""A trained ranker in forms that run without this package's models: torch.export, C++ and ONNX."""
