"""auto_seg_loss.data.lists: rows that mean one thing, from any editor."""

from __future__ import annotations

import pytest

from auto_seg_loss.data.lists import ListError, Row, read_rows

KNOWN = {"a", "b", "my image", "straße"}


@pytest.fixture
def rows(tmp_path):
    """``rows(content)``: text or bytes as a list."""

    def read(content):
        path = tmp_path / "list.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_rows(path, KNOWN)

    return read


@pytest.mark.parametrize(
    ("encoding", "end"), [("utf-8", "\r"), ("utf-8-sig", "\r\n"), ("utf-16", "\n")]
)
def test_encodings_ends_of_lines_and_blank_lines(rows, encoding, end):
    text = end.join(["straße", "", "  b  ", "\t", "my image"])
    assert rows(text.encode(encoding)) == [Row("straße"), Row("b"), Row("my image")]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("my image.jpeg", Row("my image.jpeg")),
        ("/JPEGImages/my image.jpg", Row("/JPEGImages/my image.jpg")),
        ("C\\images\\a.jpg", Row("C/images/a.jpg")),
        ("a.jpg a.png", Row("a.jpg", "a.png")),
        ("a.jpg, a.png", Row("a.jpg", "a.png")),
        ("new 1.jpg new 1.png", Row("new 1.jpg", "new 1.png")),
        ("/I/my image.jpg /L/my image.png", Row("/I/my image.jpg", "/L/my image.png")),
    ],
)
def test_rows(rows, line, row):
    assert rows(f"b\n{line}\n") == [Row("b"), row]


@pytest.mark.parametrize("line", ["a 1", "a b", "unknown image", "a.jpg 1", "b.jpg"])
def test_a_row_of_two_meanings_or_twice_is_refused_with_its_place(rows, line):
    with pytest.raises(ListError, match=r"list\.txt, line 3: "):
        rows(f"b\n\n{line}\n")


@pytest.mark.parametrize("content", [b"\xe4", "a".encode("utf-16-le"), b"PNG\0"])
def test_what_is_no_text_is_refused(rows, content):
    with pytest.raises(ListError, match=r"list\.txt is neither UTF-8 nor UTF-16.* as UTF-8"):
        rows(b"b\n" + content)
