"""Forward hooks of modules: each program runs in PyTorch too."""

from __future__ import annotations

import copy
import warnings
import weakref

import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.events import Listener, listen
from tests.common import refuses


def plain(value):
    """Tensors as lists, wherever they are."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain, value))
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


def scaled(m):
    class Scaled(m.nn.Module):
        def forward(self, x, shift=0.0, *, scale=1.0):
            return x * scale + shift

    return Scaled()


def both(program):
    ours, theirs = plain(program(mg)), plain(program(torch))
    assert ours == theirs
    return ours


def test_order_and_replacement():
    def program(m):
        log, model = [], scaled(m)

        def note(name, change=lambda *values: None):
            def hook(module, *values):
                assert module is model
                log.append((name, plain(values)))
                return change(*values)

            return hook

        before, after = model.register_forward_pre_hook, model.register_forward_hook
        before(note("one value", lambda args: args[0] + 1))
        before(note("a tuple", lambda args: (args[0] * 2, 3.0)))
        before(note("looks"), prepend=True)
        before(note("both", lambda args, kwargs: (args, {"scale": 10.0})), with_kwargs=True)
        before(note("looks at both"), with_kwargs=True)
        after(note("adds", lambda args, y: y + 0.5))
        after(note("all", lambda args, kwargs, y: y * 2), with_kwargs=True)
        after(note("any value", lambda args, y: {"y": y}))
        after(note("first", lambda args, y: y - 1), prepend=True)
        return model(m.ones(1)), model(m.ones(1), scale=5.0), log

    y, _, log = both(program)
    assert y == {"y": [2 * (10 * 4 + 3 - 1 + 0.5)]}
    assert [name for name, _ in log] == [
        "looks", "one value", "a tuple", "both", "looks at both", "first", "adds", "all",
        "any value",
    ] * 2  # fmt: skip


def test_lists_and_single_values():
    """Without keywords, whatever is no tuple is the only argument; a list of arguments is taken."""

    def program(m):
        model = m.nn.Identity()
        with model.register_forward_pre_hook(lambda module, args: [*args, *args]):
            pair = model(m.ones(1))
        with model.register_forward_pre_hook(
            lambda module, args, kwargs: ([args[0] + 1], kwargs), with_kwargs=True
        ):
            return pair, model(m.ones(1))

    assert both(program) == ([[1], [1]], [2])


def test_removal_while_they_run():
    def program(m):
        log, model, handles = [], m.nn.Identity(), {}

        def once(module, args, *rest):
            log.append("once")
            for handle in handles.values():
                handle.remove()
            model.register_forward_hook(lambda *_: log.append("new"))

        for kind in ("pre_hook", "hook"):
            register = getattr(model, f"register_forward_{kind}")
            handles[f"once {kind}"] = register(once)
            handles[f"other {kind}"] = register(lambda *_, k=kind: log.append(k))
            model(m.ones(1))
            log.append("next")
            model(m.ones(1))
            log.append("end")
        return log

    both(program)


def test_gradients_pass_through():
    def program(m):
        m.manual_seed(0)
        model = m.nn.Identity()
        model.register_forward_pre_hook(lambda module, args: args[0] * 2)
        model.register_forward_hook(lambda module, args, y: y * args[0])
        x = m.ones(2, requires_grad=True)
        model(x).sum().backward()
        return x.grad

    assert both(program) == [8, 8]


def test_exceptions_and_always_call():
    def program(m, where):
        log, model = [], scaled(m)

        def fail(*_, **__):
            raise KeyError(where)

        def note(name, change=None):
            def hook(module, args, *rest):
                log.append((name, plain(rest)))
                return change

            return hook

        after = model.register_forward_hook
        after(note("skipped"))
        after(note("first", change=7), always_call=True)
        if where == "hook":
            after(fail)
        after(note("with keywords"), always_call=True, with_kwargs=True)
        after(fail, always_call=True)
        after(note("last"), always_call=True)
        if where == "pre-hook":
            model.register_forward_pre_hook(fail)
        if where == "forward":
            model.forward = fail
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(KeyError):
                model(m.ones(1), scale=2.0)
        assert all("always_call=True" in str(w.message) for w in caught)
        return log, len(caught)

    for where in ("forward", "pre-hook", "hook", "none"):
        ours, theirs = program(mg, where), program(torch, where)
        assert ours == theirs
    assert program(mg, "forward") == (
        [("first", (None,)), ("with keywords", ({"scale": 2.0}, 7)), ("last", (7,))],
        1,
    )


def test_interrupts_go_through():
    def program(m):
        log, model = [], m.nn.Identity()
        model.register_forward_hook(lambda *_: log.append(1), always_call=True)

        def interrupt(*_):
            raise KeyboardInterrupt

        model.register_forward_pre_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            model(m.ones(1))
        return log

    assert both(program) == []


@pytest.mark.parametrize("result", [3, (1, 2, 3), ((), None), (None, {})])
def test_a_result_that_is_no_arguments(result):
    def call(m):
        model = m.nn.Identity()
        model.register_forward_pre_hook(lambda *_: result, with_kwargs=True)
        return lambda: model(m.ones(1))

    text = "hook: its result: expected None or a tuple (args, kwargs), got "
    refuses(TypeError, text, call(mg), call(torch))


def test_listeners_see_a_call_with_its_hooks():
    heard = []

    class Everything(Listener):
        def operation(self, name, inputs, params, result):
            heard.append(name)

        def enter(self, module, inputs):
            heard.append(("enter", plain(inputs)))

        def leave(self, module, inputs, result):
            heard.append(("leave", plain(inputs), plain(result)))

    model = nn.ReLU()
    model.register_forward_pre_hook(lambda module, args: args[0] + 1)
    model.register_forward_hook(lambda module, args, y: y * 2)
    with listen(Everything()):
        model(mg.ones(1))
    assert heard == [("enter", ([1],)), "add", "relu", "mul", ("leave", ([1],), [4])]


def test_copies_have_hooks_of_their_own():
    def program(m):
        log = []

        class Model(m.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = m.nn.Identity()
                self.handle = self.layer.register_forward_hook(self.note)

            def note(self, module, args, y):
                log.append((self is model, module is model.layer))

            def forward(self, x):
                return self.layer(x)

        model = Model()
        other = copy.deepcopy(model)
        other(m.ones(1))
        model(m.ones(1))
        other.handle.remove()
        other(m.ones(1))
        model(m.ones(1))
        return log

    assert both(program) == [(False, False), (True, True), (True, True)]


def test_what_a_model_is_stays():
    """Hooks are no state, no members, and are freed with the module, without the collector."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    before = repr(model), list(model.state_dict()), list(vars(model[1]))
    handle = model[1].register_forward_hook(lambda module, args, y: y)
    assert (repr(model), list(model.state_dict())) == before[:2]
    assert [name for name, _ in model.named_modules()] == ["", "0", "1"]
    ref = weakref.ref(model[1])
    del model
    assert ref() is None
    handle.remove()


def test_a_subclass_without_init():
    class Bare(nn.Module):
        def __init__(self):
            pass

        def forward(self, x):
            return x

    bare = Bare()
    bare.register_forward_pre_hook(lambda module, args: args[0] * 3)
    assert bare(mg.ones(1)).tolist() == [3]
    assert Bare()(mg.ones(1)).tolist() == [1]
