"""A look at the bytes of a request."""

from hypothesis import given
from hypothesis import strategies as st

from crosstower.serving.http.unparsed_request import whole_post

HEADERS = st.lists(
    st.sampled_from(
        ["Host: a", "Content-Length: 2", "content-length:  2 ", "Content-Length: 3", "X: y",
         "Transfer-Encoding: chunked", "Connection: close", "Content-Length : 2", "Content-Length",
         "Expect: 100-continue", "Content-Length: +2", "Content-Length: 2, 2"]
    ),
    max_size=5,
)  # fmt: skip


@given(HEADERS, st.sampled_from([b"", b"{}", b"{}x", b"{}POST /v1/rank HTTP/1.1\r\n\r\n"]))
def test_a_glance_takes_only_what_has_one_length(headers: list[str], body: bytes) -> None:
    lines = ["POST /v1/rank HTTP/1.1", *headers, "", ""]
    found = whole_post("\r\n".join(lines).encode() + body, 1_000)
    plain = {"Host: a", "X: y", "Content-Length: 2", "content-length:  2 "}
    lengths = [h for h in headers if h.lower().startswith("content-length")]
    expected = body == b"{}" and len(lengths) == 1 and set(headers) <= plain
    assert found == (b"/v1/rank" if expected else None)
