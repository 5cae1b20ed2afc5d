"""Students in ONNX, for programs without kdray and torch. The only home of onnxruntime."""

from typing import Literal

OnnxFormat = Literal["onnx", "onnx-int8"]
Format = Literal["safetensors", OnnxFormat]
