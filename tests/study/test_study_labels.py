"""What decides on a cell's labels: the seed only where there is noise."""

from support import a_cell

from ranktwo.study.labels import LABELS, labels_of


def test_cells_of_the_same_labels_share_what_decides_on_them():
    def of(**change):
        return labels_of(vars(a_cell(**change)))

    assert dict(zip(LABELS, of(seed=3, split=1, train_size=8), strict=True)) == {
        "train_size": 8,
        "split": 1,
        "label_noise": 0.0,
        "seed": None,
    }
    assert of(seed=3) == of(seed=4, weight_decay=0.5, steps=7)
    noisy = {of(seed=3), of(seed=3, label_noise=0.1), of(seed=4, label_noise=0.1), of(seed=4, label_noise=0.2)}
    assert len(noisy | {of(split=1), of(train_size=9)}) == 6
