import pickle

from trigger_ml.core.errors import InputError, VerificationError


def test_message_is_one_line_with_remedy() -> None:
    error = InputError("a.h5", "row 3\nis NaN", "Remove it")
    assert str(error) == "a.h5: row 3 is NaN. Remove it."
    assert str(InputError("k", "unknown", "Did you mean `x`?")).endswith("`x`?")


def test_survives_a_process_pool() -> None:
    error = pickle.loads(pickle.dumps(VerificationError("onnx", "differs", "See the report")))
    assert type(error) is VerificationError
    assert (error.what, error.exit_code) == ("onnx", 1)
