"""Recipe fields from text: the right type, or an error that says what is right."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar import recipes
from cifar.datasets.augment import Augmentation
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.recipes.groups import ParameterGroup
from cifar.recipes.recipe import Lookahead
from cifar.training import train
from cifar.training.run import Settings
from tests.cifar.fuzz import JUNK, taken_or_refused
from tests.common import refuses

RECIPE = recipes.Recipe(
    "tiny", "tiny", 2, 16, "Adam", 1e-2, {"weight_decay": 1e-4}, augmentation=Augmentation(crop=1),
    groups={"head": ParameterGroup("*.bias")},
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=0.5", {"lr": 0.5}),
        ("lr=1", {"lr": 1.0}),
        ("lr=1e-3", {"lr": 1e-3}),
        (" epochs = 7 ", {"epochs": 7}),
        ("batch-size=8", {"batch_size": 8}),
        ("optimizer=SGD", {"optimizer": "SGD"}),
        ('optimizer="SGD"', {"optimizer": "SGD"}),
        ("model=32", {"model": "32"}),
        ("schedule=StepLR", {"schedule": "StepLR"}),
        ("schedule=null", {"schedule": None}),
        ("schedule=None", {"schedule": None}),
        ("class_balance=0.99", {"class_balance": 0.99}),
        ("mean=0.1,0.2,0.3", {"mean": (0.1, 0.2, 0.3)}),
        ("mean=[1, 2, 3]", {"mean": (1.0, 2.0, 3.0)}),
        ("restarts=[[20,1e-4],[30,5e-5]]", {"restarts": ((20, 1e-4), (30, 5e-5))}),
        ("restarts=[]", {"restarts": ()}),
        ("optimizer_options.x=9", {"optimizer_options": {"weight_decay": 1e-4, "x": 9}}),
        ('optimizer_options={"a": 1}', {"optimizer_options": {"a": 1}}),
        ("augmentation.crop=4", {"augmentation": Augmentation(crop=4)}),
        ("augmentation.flip=true", {"augmentation": Augmentation(crop=1, flip=True)}),
        ('augmentation={"rotation": 5}', {"augmentation": Augmentation(rotation=5.0)}),
        ("groups.head.lr=1", {"groups": {"head": ParameterGroup("*.bias", lr=1.0)}}),
        ('groups={"a": {"parameters": "*"}}', {"groups": {"a": ParameterGroup("*")}}),
        (
            'groups.a={"parameters": "*", "epochs": 2}',
            {"groups": {"head": ParameterGroup("*.bias"), "a": ParameterGroup("*", epochs=2)}},
        ),
        ("lookahead.every=7", {"lookahead": Lookahead(every=7)}),
        ('lookahead={"power": 1}', {"lookahead": Lookahead(power=1.0)}),
    ],
)  # fmt: skip
def test_values(text, expected):
    found = overrides.parse(RECIPE, [text])
    assert found == expected
    (value,), (wanted,) = found.values(), expected.values()
    assert type(value) is type(wanted)


def test_later_ones_build_on_earlier_ones():
    given = ["augmentation.crop=4", "augmentation.flip=true", "lr=1", "lr=2"]
    expected = {"augmentation": Augmentation(crop=4, flip=True), "lr": 2.0}
    assert overrides.parse(RECIPE, given) == expected
    assert RECIPE.augmentation == Augmentation(crop=1)
    assert overrides.parse(RECIPE, []) == {}


def as_json(recipe):
    """What a run's record keeps of a recipe, in which (6, 8) and [6, 8] are the same."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


@pytest.mark.parametrize("name", recipes.names())
def test_every_field_of_every_recipe_can_be_set_to_what_it_is(name):
    """So a new field needs no change of the command; and JSON of a record can be given back."""
    recipe = recipes.load(name)
    for field, value in dataclasses.asdict(recipe).items():
        if field in overrides.FIXED:
            continue
        found = overrides.parse(recipe, [f"{field}={json.dumps(value)}"])
        changed = dataclasses.replace(recipe, **found)
        assert as_json(changed) == as_json(recipe)
        assert type(getattr(changed, field)) is type(getattr(recipe, field))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr", "expected FIELD=VALUE, such as lr=0.01, got 'lr'"),
        ("", "expected FIELD=VALUE"),
        ("frob=1", "expected one of model, epochs, .*, got 'frob'"),
        ("=1", "expected one of model"),
        ("name=other", "got 'name'"),
        ("claim.test_accuracy=1", "got 'claim'"),
        ("lr=fast", "lr: expected a number, got 'fast'"),
        ("lr=", "lr: expected a number, got ''"),
        ("lr=true", "lr: expected a number"),
        (f"lr={'9' * 400}", "lr: expected a number"),
        (f"restarts={'[' * 9**5}", "restarts: expected a list of"),
        ("epochs=1.5", "epochs: expected a whole number, got '1.5'"),
        ("epochs=true", "epochs: expected a whole number"),
        ("class_balance=x", "class_balance: expected a number or null, got 'x'"),
        ("mean=0.1,0.2", r"mean: expected \[a number, a number, a number\]"),
        ("restarts=20,1", r"restarts: expected a list of \[a whole number, a number\]"),
        ("optimizer_options=3", "optimizer_options: expected an object in JSON"),
        ("augmentation=4", r"expected one of its fields by name \(crop, flip"),
        ('augmentation={"zoom": 4}', "expected one of its fields"),
        ("augmentation.zoom=4", "expected one of crop, flip, .*, got 'zoom'"),
        ("augmentation.crop=x", "augmentation.crop: expected a whole number"),
        ("augmentation.flip=1", "augmentation.flip: expected true or false"),
        ("augmentation.crop=-1", "crop: expected"),
        ("groups.tail.lr=1", "groups.tail.lr: expected one of head, got 'tail'"),
        ("groups.head.rate=1", "expected one of parameters, optimizer, .*, got 'rate'"),
        ("groups.head.lr=x", "groups.head.lr: expected a number or null, got 'x'"),
        ("groups.tail=3", "groups.tail: expected one of its fields by name"),
        ("lookahead.every=x", "lookahead.every: expected a whole number, got 'x'"),
        ("lr.x=1", "lr.x: there is nothing below 'lr'"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(UserError, match=message) as caught:
        overrides.parse(RECIPE, [text])
    assert "\n" not in str(caught.value)


FIELDS = [
    *(f.name for f in dataclasses.fields(RECIPE)),
    *(f"augmentation.{f.name}" for f in dataclasses.fields(Augmentation)),
    *(f"optimizer_options.{name}" for name in ("momentum", "weight_decay", "betas", "params")),
    *(f"schedule_options.{name}" for name in ("T_max", "milestones", "optimizer", "points")),
    *(f"groups{name}" for name in (".a", ".a.lr", ".a.epochs")),
    *(f"lookahead.{f.name}" for f in dataclasses.fields(Lookahead)),
]


@given(st.lists(st.tuples(st.sampled_from(FIELDS), JUNK.map(json.dumps) | st.text(max_size=6))))
def test_whatever_is_written_is_taken_or_refused_before_anything_is_done(pairs):
    """Also by the optimiser and the schedule, which are made to see whether they can be."""
    texts = [f"{field}={value}" for field, value in pairs]

    def act():
        changes = overrides.parse(recipes.load("resnet-82"), texts)
        train.checked_recipe(Settings("resnet-82", overrides=changes))

    taken_or_refused(act)


# ---------------------------------------------------------------------------- what has no effect


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("simple", "gamma=2", "gamma: has no effect with loss=cross_entropy, only with focal_loss"),
        ("simple", "loss=focal_loss", "loss: has no effect with gamma=0; give gamma too"),
        ("simple", "class_balance=0.99", "class_balance: has no effect where every class has as"),
        (
            "simple",
            "schedule_options.T_max=5",
            "schedule_options: has no effect without a schedule",
        ),
        ("simple", "restarts=[[10,0.1]]", "restarts: has no effect beyond the last of 10 epochs"),
        ("gated", "augmentation.interpolation=bilinear", ""),
        ("simple", "augmentation.interpolation=bilinear", "augmentation: has no effect where"),
        ("simple", "augmentation.fill=edge", ""),
        ("long-tail-ce", "class_balance=0.99", ""),
        ("long-tail-cb-focal", "gamma=2", ""),
        ("long-tail-cb-focal", "loss=cross_entropy", ""),
        ("four-block", "schedule=null", ""),
        ("simple", "loss=focal_loss gamma=0", ""),  # cross-entropy, knowingly
        ("dense-residual", "restarts=[]", ""),
    ],
)
def test_fields_that_have_no_effect_are_refused(name, given, text):
    recipe = recipes.load(name)
    found = overrides.parse(recipe, given.split())
    changed = dataclasses.replace(recipe, **found)
    if text:
        refuses(UserError, text, lambda: overrides.refuse_idle(changed, found))
    else:
        overrides.refuse_idle(changed, found)
