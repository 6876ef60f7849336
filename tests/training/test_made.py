from collections import Counter
from random import Random

import pytest

from customhouse.governance.abuse.patterns import CATEGORIES
from customhouse.governance.text.view import view_of
from training.made import harm, indirect
from training.made.build import build
from training.made.draw import Draw, Example, distinct


@pytest.fixture(scope="module")
def made() -> list[Example]:
    return build(seed=3, count=60)


def test_a_seed_makes_the_same_texts_again(made: list[Example]) -> None:
    assert build(seed=3, count=60) == made
    assert build(seed=4, count=60) != made


def test_every_text_is_labelled_and_whole(made: list[Example]) -> None:
    for each in made:
        assert each["text"].strip()
        assert (each["category"] in CATEGORIES) is (each["label"] == "abuse")
        assert each["category"].startswith("benign_") is (each["label"] == "benign")
        assert each["source"].startswith("made_")


def test_every_category_of_abuse_is_made(made: list[Example]) -> None:
    assert {each["category"] for each in made if each["label"] == "abuse"} == set(CATEGORIES)


def test_no_text_bears_both_labels(made: list[Example]) -> None:
    labels = Counter(text for text, _ in {(each["text"], each["label"]) for each in made})
    assert not [text for text, count in labels.items() if count > 1]


def test_no_slot_is_left_open(made: list[Example]) -> None:
    slots = ("{act}", "{thing}", "{name}", "{goal}", "{topic}", "{do}", "{word}", "{how}")
    assert not [each["text"] for each in made if any(slot in each["text"] for slot in slots)]


def test_the_focus_of_an_injected_document_stands_in_it(made: list[Example]) -> None:
    injected = [each for each in made if each["source"] == "made_indirect"]
    assert injected
    assert all(each["focus"] in each["text"] for each in injected)


def test_an_injection_is_put_into_a_given_document() -> None:
    document = "The harbour was busy. Two ships left before noon."
    (example,) = indirect.onto(Random(1), [(document, "ports")], 1)
    assert example["focus"] in example["text"]
    assert example["family"] == "ports"
    assert example["text"].replace(example["focus"], "").split() == document.split()


def test_encoded_texts_are_ones_that_decoding_opens(made: list[Example]) -> None:
    encoded = [each["text"] for each in made if each["source"] == "made_encoded"]
    opened = [text for text in encoded if view_of(text).forms or view_of(text).normalized != text]
    assert len(opened) > 0.6 * len(encoded)


def test_harm_and_safety_are_asked_about_the_same_subjects() -> None:
    texts = list(harm.examples(Random(2), 200))
    about = {
        label: " ".join(each["text"].lower() for each in texts if each["label"] == label)
        for label in ("abuse", "benign")
    }
    assert "ransomware" in about["abuse"]
    assert "ransomware" in about["benign"]


def test_distinct_ends_where_there_is_no_more() -> None:
    draw = Draw(Random(1), {"colour": ("red", "blue")})
    assert len(list(distinct(lambda: draw.fill("a {colour} hat"), 10, "benign", "benign_hard", "made_x"))) == 2


def test_an_unknown_slot_is_an_error() -> None:
    with pytest.raises(KeyError, match="size"):
        Draw(Random(1), {}).fill("a {size} hat")
