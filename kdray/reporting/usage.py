"""The lines of Python that use a student, as they are printed and stand on its card."""

_KDRAY = """\
import kdray
student = kdray.load_student({folder!r})
student.predict([{example}])"""
_ONNX = """\
import onnxruntime, tokenizers
read = tokenizers.Tokenizer.from_file({tokenizer!r}).encode({example})
onnxruntime.InferenceSession({graph!r}).run(["logits"], {{{inputs}}})"""
_INPUTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def usage(folder: str, form: str, inputs: list[str], pairs: bool) -> str:
    """Returns three lines of Python that use a student.

    Args:
        folder: Where the student is.
        form: How it is stored: `safetensors`, or one of ONNX.
        inputs: What its graph takes; nothing for one that is not in ONNX.
        pairs: Whether it classifies pairs of texts.
    """
    if form == "safetensors":
        example = '("a text", "another")' if pairs else '"a text"'
        return _KDRAY.format(folder=folder, example=example)
    return _ONNX.format(
        tokenizer=f"{folder}/tokenizer.json",
        graph=f"{folder}/model.onnx",
        example='"a text", "another"' if pairs else '"a text"',
        inputs=", ".join(f'"{name}": [read.{_INPUTS[name]}]' for name in inputs),
    )
