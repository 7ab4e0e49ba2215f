"""The names that labels have by default: WebOrganizer's 24 topics and 24 formats.

They are those of its models' cards (Wettig et al. 2025, arXiv:2502.10341), in the order of their
label numbers. The pages that WebOrganizer shows on its website shorten four formats; the short
names are read as the long ones. Other names are refused when a model is trained, because a
mixture that asks for `Legal Notices` would silently find nothing in labels that say `legal`,
unless the trainer says that the taxonomy is their own.
"""

import difflib
from typing import Final

TOPICS: Final = (
    "Adult", "Art & Design", "Software Dev.", "Crime & Law", "Education & Jobs", "Hardware",
    "Entertainment", "Social Life", "Fashion & Beauty", "Finance & Business", "Food & Dining",
    "Games", "Health", "History", "Home & Hobbies", "Industrial", "Literature", "Politics",
    "Religion", "Science & Tech.", "Software", "Sports & Fitness", "Transportation", "Travel",
)  # fmt: skip
FORMATS: Final = (
    "Academic Writing", "Content Listing", "Creative Writing", "Customer Support",
    "Comment Section", "FAQ", "Truncated", "Knowledge Article", "Legal Notices", "Listicle",
    "News Article", "Nonfiction Writing", "About (Org.)", "News (Org.)", "About (Pers.)",
    "Personal Blog", "Product Page", "Q&A Forum", "Spam / Ads", "Structured Data",
    "Documentation", "Audio Transcript", "Tutorial", "User Review",
)  # fmt: skip
NAMES: Final = {"topic": TOPICS, "format": FORMATS}
"""Task to the names of its labels."""

_SHORT: Final = {
    "Docs.": "Documentation",
    "Legal": "Legal Notices",
    "Q&A": "Q&A Forum",
    "Support": "Customer Support",
}


def full_name(task: str, label: str) -> str:
    """The name of a label in the taxonomy.

    Args:
        task: `topic` or `format`.
        label: A name of the taxonomy, or a short name of a format.

    Raises:
        ValueError: There is no such label.
    """
    name = _SHORT.get(label, label) if task == "format" else label
    if name in NAMES[task]:
        return name
    near = difflib.get_close_matches(name, NAMES[task], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(
        f"{task} {label!r} is none of WebOrganizer's {len(NAMES[task])}; {hint}allowed are "
        f"{', '.join(NAMES[task])}; or say that the labels are your own (--own-labels)"
    )
