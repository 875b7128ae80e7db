"""The network as an ONNX file that is exact in float32."""
