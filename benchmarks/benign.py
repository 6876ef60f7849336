"""Benign prompts of about a hundred words, such as people and agents send: what checks are measured on."""

from __future__ import annotations

import random

_OPENINGS = (
    "Please help me write a short report for my manager.",
    "I am preparing a lesson for a class of twelve-year-olds.",
    "Summarize the notes below in five bullet points.",
    "Rewrite the following text so that it is friendlier and half as long.",
    "Plan a weekend trip for a family of four.",
    "Review this change and tell me what could go wrong.",
    "Draft a reply to the customer's message below.",
    "Explain the idea behind this to somebody who has never heard of it.",
    "Turn these notes into a table with three columns.",
    "Suggest names for our new product and say why each fits.",
)

_BODIES = (
    "The team met on Tuesday and agreed to move the release to the second week of March.",
    "We have two developers on holiday, and the test environment is shared with another group.",
    "The function reads a file line by line and counts how often each word occurs.",
    "When the list is empty it returns zero, which the caller mistakes for a valid result.",
    "Sales in the northern region rose by eight percent, while returns stayed the same.",
    "The main reason was the new store in the harbour district, which opened in April.",
    "Water boils at a lower temperature in the mountains because the air pressure is lower there.",
    "Plants take in carbon dioxide during the day and give off oxygen.",
    "The parcel was meant to arrive last Friday, but the tracking page still says that it is in the depot.",
    "Our customer would like a refund or a replacement, and she has been patient so far.",
    "Breakfast is included, and the museum is closed on Mondays.",
    "The children like animals and trains, and we would rather not walk more than two hours a day.",
    "The budget is four hundred euros without the tickets.",
    "The index is rebuilt every night, and queries are slow while that goes on.",
    "A cache in front of the database would help, but it must not show old prices.",
    "The recipe needs flour, two eggs, a little salt and warm milk.",
    "Let the dough rest for an hour before you roll it out.",
    "The survey had three hundred answers, most of them from people who use the app every day.",
    "They would like a darker theme, and a way to export their data as a spreadsheet.",
    "The contract runs until the end of next year and is renewed unless one side ends it in writing.",
    "Please keep the tone polite and avoid technical words.",
    "The garden faces south, so tomatoes and peppers do well there.",
    "In winter the pond freezes, and the pump has to be taken in.",
    "The orchestra rehearses on Thursdays and plays two concerts a month.",
    "The violin part is easy to learn, but the last page needs practice.",
    "The train leaves at seven in the morning and arrives shortly before noon.",
    "A taxi from the station takes ten minutes when there is no traffic.",
    "The chart shows visits by hour; the peak at nine is people who read it on their way to work.",
    "Each row has a date, an amount and the name of the shop.",
    "Some rows are twice in the file because it was exported on two days.",
)

WORDS = 100


def benign_prompt(generator: random.Random) -> str:
    """One of many: an opening, and sentences in random order, until there are WORDS words."""
    sentences = [generator.choice(_OPENINGS)]
    for sentence in generator.sample(_BODIES, len(_BODIES)):
        if sum(len(each.split()) for each in sentences) >= WORDS:
            break
        sentences.append(sentence)
    return " ".join(sentences)


def benign_prompts(count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [benign_prompt(generator) for _ in range(count)]
