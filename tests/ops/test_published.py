"""The defects of the published sparse loss and its ports, and that ours has none of them.

One head over 128 x 128 pairs, three positives at a score s, and negatives that cost 0.55: the true loss is
about 0.55 and the true gradient of a positive about -0. The wrong numbers are those measured on the ports.
"""

import math

import pytest
import torch

from kexue.ops.multilabel import multilabel_cross_entropy, sparse_multilabel_cross_entropy
from kexue.ops.published import PUBLISHED

POSITIVES = torch.tensor([5, 700, 9000])
PAIRS = 128 * 128


def scores_at(s, dtype=torch.float32):
    background = math.log(math.expm1(0.55) / (PAIRS - 3))
    scores = torch.full((PAIRS,), background)
    scores[POSITIVES] = s
    return scores.to(dtype)


def value_and_pull(loss, scores, positives=POSITIVES):
    """The loss, and its gradient at the first positive."""
    scores = scores.clone().requires_grad_()
    value = loss(scores, positives)
    return value.item(), torch.autograd.grad(value, scores)[0][positives[0]].item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("s", [2.0, 4.0, 6.0, 8.0, 10.0, 14.0, 20.0, 60.0])
def test_ours_is_right_at_every_score(s, dtype):
    scores = scores_at(s, dtype)
    value, pull = value_and_pull(sparse_multilabel_cross_entropy, scores)
    targets = torch.zeros(PAIRS, dtype=torch.bool)
    targets[POSITIVES] = True
    assert value == pytest.approx(multilabel_cross_entropy(scores.double(), targets).item(), rel=1e-6)
    assert pull == pytest.approx(-math.exp(-s) / (1 + 3 * math.exp(-s)), rel=0.01)


@pytest.mark.parametrize(
    ("port", "dtype", "s", "value"),
    [
        ("bert4torch", torch.bfloat16, 6.0, -9.0),
        ("bert4torch", torch.bfloat16, 10.0, -5.0),
        ("bert4torch", torch.bfloat16, 14.0, -1.0),
        ("bert4torch", torch.bfloat16, 20.0, 5.0),
        ("bert4torch", torch.float32, 20.0, 4.98),
        ("GPLinker_pytorch", torch.float32, 14.0, 3.59),
        ("GPLinker_pytorch", torch.float32, 20.0, 9.59),
        ("PaddleNLP", torch.float32, 4.0, 2.86),
        ("PaddleNLP", torch.float32, 6.0, 4.80),
        ("PaddleNLP", torch.float32, 10.0, 8.80),
        ("PaddleNLP", torch.float32, 14.0, 12.8),
        ("PaddleNLP", torch.float32, 20.0, 18.8),
    ],
)
def test_the_ports_push_confident_positives_down(port, dtype, s, value):
    wrong, pull = value_and_pull(PUBLISHED[port], scores_at(s, dtype))
    assert wrong == pytest.approx(value, abs=0.1)
    assert pull == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("port", ["bert4keras", "bert4torch", "GPLinker_pytorch"])
def test_the_ports_are_right_while_scores_are_small(port):
    for s in (0.0, 2.0, 4.0, 6.0):
        right = value_and_pull(sparse_multilabel_cross_entropy, scores_at(s))
        assert value_and_pull(PUBLISHED[port], scores_at(s)) == pytest.approx(right, rel=0.01)


def test_the_published_formula_turns_negative_where_the_true_loss_is_tiny():
    published = [value_and_pull(PUBLISHED["bert4keras"], scores)[0] for scores in nearly_perfect()]
    ours = [value_and_pull(sparse_multilabel_cross_entropy, scores)[0] for scores in nearly_perfect()]
    assert min(published) < -1
    assert min(ours) > 0
    assert max(ours) < 0.1


def nearly_perfect():
    for s in torch.arange(4, 16, 0.1):
        yield torch.full((PAIRS,), -30.0).index_fill_(0, POSITIVES, float(s))


def test_a_positive_given_twice_breaks_the_ports_and_not_ours():
    twice = POSITIVES[:1].repeat(2)
    scores = scores_at(5.0).index_fill_(0, POSITIVES[1:], -11.0)
    wrong, wrong_pull = value_and_pull(PUBLISHED["bert4torch"], scores, twice)
    right, right_pull = value_and_pull(sparse_multilabel_cross_entropy, scores, twice)
    assert wrong == pytest.approx(-11.1, abs=0.1)
    assert wrong_pull == pytest.approx(0.98, abs=0.01)
    assert right == pytest.approx(0.557, abs=0.01)
    assert right_pull == pytest.approx(-0.0067, abs=1e-4)
