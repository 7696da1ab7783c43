import numpy as np

from indexer.corpus import held_out_logos, smooth_pictures, training_logos


def test_no_held_out_logo_is_near_one_that_is_learned_from():
    learned, held_out = training_logos().astype(int), held_out_logos().astype(int)
    assert len(learned) > 3000
    assert len(held_out) > 400
    for logo in held_out[:100]:
        assert np.abs(learned - logo).sum(axis=1).min() > 42


def test_smooth_pictures_are_pictures_and_smooth():
    pictures = smooth_pictures(200, seed=1)
    assert pictures.shape == (200, 84)
    assert pictures.max() == 9
    assert pictures.min() == 0
    grid = pictures.reshape(-1, 6, 14).astype(float)
    across = np.abs(np.diff(grid, axis=2)).mean()
    shuffled = np.random.default_rng(2).permuted(pictures, axis=1).reshape(-1, 6, 14).astype(float)
    assert across < 0.7 * np.abs(np.diff(shuffled, axis=2)).mean()
    assert np.array_equal(pictures, smooth_pictures(200, seed=1))
