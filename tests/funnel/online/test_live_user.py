"""Users beyond the training rows."""

from crosstower.funnel.online.live_user import LiveUser, no_live_users


def test_outside_of_a_server_no_user_is_live() -> None:
    assert no_live_users(7) == no_live_users("x") == LiveUser({}, ())
