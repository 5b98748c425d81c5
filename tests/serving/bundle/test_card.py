"""The cards of a bundle."""

from crosstower.serving.bundle import Bundle


def test_both_cards_say_what_is_in_it(bundle: Bundle) -> None:
    markdown = (bundle.folder / "card.md").read_text()
    page = (bundle.folder / "card.html").read_text()
    ranking = bundle.manifest.ranking
    assert ranking is not None
    auc = ranking.metrics["tasks"]["click"]["shared_bottom"]["auc"]["mean"]
    for text in (markdown, page):
        parts = ("shared_bottom", "Test metrics of booking", "amenities (bag)", "Recall@10")
        for part in (bundle.version, f"{auc:.4f}", *parts):
            assert part in text
    assert "<script" not in page
    assert "| shared_bottom |" in markdown
