from crosstower.recipe.training import Training


def test_an_epoch_has_a_hundred_steps_where_it_can() -> None:
    training = Training()
    for rows in (1, 12_799, 12_800, 25_600, 99_999, 10**8):
        size = training.rows_a_step(rows)
        assert 128 <= size <= 1024
        assert rows / size >= 100 or size == 128
        assert rows / size < 201 or size in (128, 1024)
    assert training.model_copy(update={"batch_size": 7}).rows_a_step(10**8) == 7
