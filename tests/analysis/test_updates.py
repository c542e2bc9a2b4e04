"""What the analyses conclude from what a record says of its optimizer, and that they conclude nothing from less."""

import itertools

from support import SGD_FACTS, a_cell

from ranktwo.analysis.updates import is_penalised, is_plain_descent
from ranktwo.study.theory import shrinks_geometrically

SGD = SGD_FACTS
MOMENTUM = {"decay": "coupled", "plain": False}
ADAMW = {"decay": "decoupled", "plain": False}


def concluded(**facts: object) -> tuple[bool, bool, bool]:
    cell = vars(a_cell()) | facts
    return is_plain_descent(cell), shrinks_geometrically(cell, cell), is_penalised(cell)


def test_the_three_optimizers_of_the_project():
    assert concluded(**SGD) == (True, True, True)
    assert concluded(**MOMENTUM) == (False, False, True)
    assert concluded(**ADAMW) == (False, True, False)


def test_the_name_of_the_optimizer_says_nothing():
    for facts, name in itertools.product((SGD, MOMENTUM, ADAMW, {}), ("sgd", "momentum", "adamw", "unheard-of")):
        assert concluded(**facts, optimizer=name) == concluded(**facts)


def test_a_decay_that_depends_on_the_batch_leaves_the_penalty_only():
    assert concluded(**SGD, decay_rule="input-norm") == (False, False, True)
    assert concluded(**ADAMW, decay_rule="input-norm") == (False, False, False)
    assert concluded(**SGD, decay_rule="unheard-of") == (False, False, True)


def test_what_is_not_known_concludes_nothing():
    assert concluded() == (False, False, False)
    assert concluded(memory=False) == (False, False, False)
    assert concluded(decay="unheard-of", memory=False) == (False, False, False)
    assert concluded(decay=None, memory=None) == (False, False, False)
    assert concluded(decay="coupled") == (False, False, True)
    assert concluded(decay="coupled", memory="no") == (False, False, True)
    assert concluded(decay="decoupled") == (False, True, False)
