from kdray.models.dropout import FastDropout
from kdray.models.fast_training import fast_training
from kdray.models.readable import READABLE
from tests import tiny


def test_training_on_a_cpu_uses_the_faster_attention_and_dropout_and_puts_its_own_back():
    model = tiny.model()
    with fast_training(model):
        assert model.config._attn_implementation == READABLE
        assert any(isinstance(module, FastDropout) for module in model.modules())
        assert "forward" in vars(model.bert.encoder.layer[0])
    assert model.config._attn_implementation == "sdpa"
    assert not any(isinstance(module, FastDropout) for module in model.modules())
    assert "forward" not in vars(model.bert.encoder.layer[0])
