"""The numbers that kernels take; tests/ops/test_implementations.py runs the kernels on them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minigrad.optim.kernel_numbers import adam_numbers, sgd_numbers

OPTIONS = {"weight_decay": 0.5, "maximize": False}
fractions = st.floats(0, 0.9999)


@example(2, 0.9, 0.99, 0.1)
@given(st.integers(1, 10_000), fractions, fractions, st.floats(0, 1))
def test_adam_corrects_its_biases_in_rate_and_eps(step, beta1, beta2, eps):
    m, v, lr = 0.3, 0.7, 0.1
    rate, scaled, *_ = adam_numbers(
        step=step,
        lr=lr,
        betas=(beta1, beta2),
        eps=eps,
        decoupled_weight_decay=False,
        amsgrad=False,
        **OPTIONS,
    )
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    assert rate * m / (v**0.5 + scaled) == pytest.approx(lr * m_hat / (v_hat**0.5 + eps))


def test_a_new_buffer_takes_the_whole_gradient():
    options = {"lr": 0.1, "momentum": 0.9, "dampening": 0.25, "nesterov": False, **OPTIONS}
    assert sgd_numbers(fresh=True, **options) == (0.1, 0.9, 1, 0.5, 1, False)
    assert sgd_numbers(fresh=False, **options) == (0.1, 0.9, 0.75, 0.5, 1, False)
