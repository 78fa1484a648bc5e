"""The stream of events: what a listener hears, and in which order."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad.events import Listener, listen, listeners
from minigrad.ops.arithmetic import mul


class Log(Listener):
    def __init__(self):
        self.events = []

    def begin_operation(self, operation, inputs, params):
        self.events.append(("begin", operation, inputs, params))

    def operation(self, name, inputs, params, result):
        self.events.append(("operation", name, result))

    def begin_derivative(self, node, g):
        self.events.append(("begin derivative", node, g.tolist()))

    def derivative(self, node, g, gradients):
        self.events.append(
            ("derivative", node, [d if d is None else d.tolist() for d in gradients])
        )

    def gradient(self, node, number, target, term, total):
        self.events.append(("gradient", node, number, target, term.tolist(), total.tolist()))

    def leaf(self, x, gradient):
        self.events.append(("leaf", x, gradient.tolist(), x.grad.tolist()))


def test_a_sum_is_heard_term_by_term():
    """y = (2x)·(2x)·1: the gradients of 2x come in two terms, that of x in one."""
    x = mg.tensor([3.0, 5.0], requires_grad=True)
    x.grad = mg.tensor([1.0, 1.0])
    with listen(heard := Log()):
        double = x * 2
        square = double * double
        square.backward(mg.tensor([1.0, 10.0]))
    assert heard.events == [
        ("begin", mul, (x, 2), {}),
        ("operation", "mul", double),
        ("begin", mul, (double, double), {}),
        ("operation", "mul", square),
        ("begin derivative", square.node, [1.0, 10.0]),
        ("derivative", square.node, [[6.0, 100.0], [6.0, 100.0]]),
        ("gradient", square.node, 0, double.node, [6.0, 100.0], [6.0, 100.0]),
        ("gradient", square.node, 1, double.node, [6.0, 100.0], [12.0, 200.0]),
        ("begin derivative", double.node, [12.0, 200.0]),
        ("derivative", double.node, [[24.0, 400.0], None]),
        ("gradient", double.node, 0, x, [24.0, 400.0], [24.0, 400.0]),
        ("leaf", x, [24.0, 400.0], [25.0, 401.0]),
    ]
    assert square.node.operation is mul


def test_a_term_has_the_shape_of_its_input():
    """Broadcasting is undone before a gradient is heard of."""
    a, b = mg.ones((2, 3), requires_grad=True), mg.ones(3, requires_grad=True)
    with listen(heard := Log()):
        (a * b).sum().backward()
    shapes = {e[3]: np.shape(e[4]) for e in heard.events if e[0] == "gradient"}
    assert (shapes[a], shapes[b]) == ((2, 3), (3,))


def test_none_listens_after_an_error():
    class Failing(Listener):
        def begin_operation(self, *call):
            raise KeyError

    try:
        with listen(Failing()):
            mg.ones(1) * 2
    except KeyError:
        pass
    assert listeners() == ()
