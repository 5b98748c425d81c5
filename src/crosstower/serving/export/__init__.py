"""A trained ranker as an ONNX model, which runs without this package."""
