from kdray.reporting.rendering import escape_markdown, fence


def test_markdown_text_keeps_to_one_line_and_one_cell():
    assert escape_markdown("a|b\nc *d* <e>") == r"a\|b c \*d\* &lt;e>"


def test_fence_is_longer_than_any_inside():
    assert fence("a ```` b", "yaml") == "`````yaml\na ```` b\n`````"
